// Package policy says who is served and what may be said: which clients the front door lets in, and which names never
// leave because the global DNS does not hold them. It answers from tables that are built once; it asks nobody, keeps
// nothing about a client, and an address goes no further than Access.Admit.
//
// Limitations: one view for everybody, no block lists, no rebinding protection. Answers for special-use names are not
// signed, so a validating stub takes those below a signed parent for bogus, and so it does with what the resolver says of
// itself at its own name when that lies in a signed zone; and ipv4only.arpa is answered without DNS64, so who forwards
// everything to a DNS64 server has to forward that name by itself.
package policy
