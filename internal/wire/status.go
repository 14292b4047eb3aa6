package wire

// A Status is what validation says of an RRset (RFC 4033 section 5). The statuses are ordered by how much they let one
// believe: that of an answer is the least of its RRsets'.
type Status uint8

// Statuses.
const (
	Indeterminate Status = iota // not judged
	Bogus                       // should be signed, and cannot be shown to be
	Insecure                    // proven to lie where nothing is signed, or nothing that can be checked
	Secure                      // a chain of signatures leads to it from a trust anchor
)

var statusNames = [...]string{"indeterminate", "bogus", "insecure", "secure"}

func (s Status) String() string { return statusNames[s] }
