// Package testnet is an internet in memory: name servers with zones, latency and loss, and every way in which servers
// on the real one are known to misbehave, each declared in one line. Tests of resolver behaviour are scripts over it:
// build zones, resolve, look at what each server saw, then at the answer. It keeps time with package time alone and
// blocks on channels alone, so that inside a testing/synctest bubble delays take no time and are exact. It never opens
// a socket; the lab serves the same zones and servers on real ones through Server.Handle. It does not import testing,
// and what is declared wrongly in a script (a zone file with a typing error) panics. Zones are signed in one line, too
// (Signing), and broken in another (Flaw); that signer shares nothing with the validator that it tests.
//
// Limitations: signatures of glue and other additional records are not sent; there are no streams other than DNS over
// TCP (so no TLS, HTTPS or QUIC servers), no zone transfers, no fragmentation and no reordering other than by different
// delays.
package testnet
