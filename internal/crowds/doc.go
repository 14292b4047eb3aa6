// Package crowds tells what many client networks have in common, and nothing of what few do: a Table names a registrable domain when
// at least so many networks, /24 or /56, have come with it within an hour, and a Popularity releases such a list once in an hour,
// with noise. Until then what is kept of a domain is a keyed hash, and of a network one bit, under keys that are drawn for each hour and
// thrown away with it; a Popularity, to which all questions come, keeps of those that came last a keyed hash of the whole name, too, with
// the length of its public suffix. Names that are told no more are written over. The package does no I/O and asks nobody; what is public
// suffix and what is not it has from a table of its own.
//
// Limitations: tables are of a fixed size, in which rare things give way to others, so that a flood of names can keep a domain from
// being told, and one domain that is asked for can push out another. Who can ask from many networks, or forge the addresses of many, can
// bring a domain to the edge, where one network more shows: what is told is decided by the exact number, and nothing is said of how little
// that gives away. The noise of a Popularity hides the number of what is told, whether a network has asked for one domain, and not that it
// has asked for many: how many things one network may count for is not bounded. Who has the memory of the process can try names and
// networks against the hashes of the present hour. A restart begins with a whole budget. What a caller makes of names is the caller's to
// wipe.
package crowds
