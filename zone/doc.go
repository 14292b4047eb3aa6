// Package zone answers for zones that are kept here.
//
// Those that the operator serves are read from zone files by Build into a Zone, which says what it holds for a name and type
// (Find). A record that is marked as proxied is in a Zone with the addresses of the edge only: where it leads, its origin, is
// known to the file and to the draft that a Zone is made from, and to nothing that answers. A Store follows the files; one that has become bad
// keeps the zone that it made before. A Zone finds, and neither follows aliases out of itself nor looks up what is flattened:
// that is the resolver's.
//
// A zone whose file says so is signed when it is asked (ECDSA P-256): Sign makes the signature of an RRset that was found, Deny the
// compact proof that there is nothing to find (RFC 9824), so that a denial tells of no other name. Keys keep one key for each zone,
// in a file of its own, which is made when it is not there; without its key such a zone says nothing at all.
//
// A MasterFile is such a file as it is edited: Edit changes it and puts the new one into its place whole, after reading it as who
// serves it will. What its records lead to is of type Content, which prints as [origin] and is opened in few places. Leaks finds the
// records that tell what others hide.
//
// Root keeps a Copy of the root zone (RFC 8806), fetched by zone transfer from the servers that allow it, so that no root
// server sees what is asked. A copy is used only once a verifier, which the composition root brings, has found its digest and
// signatures good, and only until the first of those signatures ends; without one the resolver asks the root servers as
// ever.
//
// Records are kept as octets, whatever their type. No name that was asked for is kept or sent; the words of problems and errors
// are constants, so that what a record says is in no log; the Detail of a Problem is for the operator's own terminal.
//
// A Keeper speaks with those who transfer zones and change them, and knows them by their keys alone (TSIG, RFC 8945). It gives away
// what a Zone has, which has no origins: AXFR, and IXFR from a journal of the last differences; it tells secondaries of changes
// (NOTIFY), and makes the changes that an UPDATE asks for in the zone file, where a name that is proxied stays so. Secondaries can have
// a catalog of the zones that they may transfer (RFC 9432): a zone of its own that is for them alone, and lists what can be transferred
// at the moment.
//
// At and below a zone cut nothing is proxied: what stands there is glue, and given as it is (Leaks warns of it).
//
// It also keeps copies of zones that others are primaries of: each Replica is refreshed by the times of its SOA record and when a primary
// gives notice, by IXFR or AXFR, and kept as a zone file, which outlives a restart and which nobody else may change. A copy is taken as a
// whole or not at all, by the rules for files, and not answered for once it has expired.
//
// Limitations: catalogs of others are not followed. A zone that its primary signs is refused: its signatures and denials could not be given; the
// settings in the file of a copy can have it signed here. What is marked as proxied in the file of a copy is so until the next
// transfer. What a zone file must not have, such as a delegation beside other records, keeps a whole transfer out. A transfer has at
// most 128 MiB and 2,000,000 records, and each one makes the zone anew, however little has changed. Primaries are asked over TCP and TLS
// only, one connection for each refresh, not padded; a server need not choose the ALPN "dot" (RFC 9103 section 7.1), which NSD 4.6
// does not. Those who are not signed for are known by the addresses of their notices. The key of a signed zone is not rolled; to do
// so, a new key is put in its place, while nobody remembers the old one. A denial costs a signature, about 40 µs, for each name and
// day. The answer to QTYPE ANY is none of the zone's (RFC 8482), and not signed. A zone served here below another one that is signed
// needs its delegation in there. Records that a file makes by $GENERATE are edited with an editor only, and a file has 262,144 of them
// at most. On systems without flock, two edits at once can lose one.
//
// A signed zone is not transferred: its copies would have no signatures. In a transfer, a CNAME that is flattened and leads out of
// its zone goes as a CNAME, and beside other records, as at the apex, not at all: secondaries have no addresses there. The journal is in
// memory: after a restart, the first transfer to each secondary is a whole zone. Transfers over TLS are not padded (RFC 9103
// section 6), and there are none over QUIC. MACs that are truncated are refused. Of signed questions, those for SOA records only get
// signed answers. An UPDATE that deletes all addresses of a proxied name, and another that adds one, leave it not proxied, unless the
// grant says so; within one it stays so. Who sees a proxied CNAME sees addresses, and cannot delete it by deleting these. TTLs of an
// UPDATE are kept between 30 s and a day. A root zone with wildcards, aliases or NSEC3 is not copied.
//
// A catalog has no groups and no other properties of members. A zone that becomes signed cannot be transferred and leaves it, and those
// who follow the catalog delete what they have of it. Which version there was before a restart is not known: the next serial is the
// time, so after a clock was set back, secondaries hear of changes once it has caught up.
package zone
