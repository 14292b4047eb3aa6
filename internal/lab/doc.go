// Package lab is a small internet on loopback addresses, with a configuration for a tacit in front of it: a root, three
// TLDs and two dozen zones, some of them broken in the ways that zones are, and all transports towards clients. It is for learning and for showing, on a
// machine without a network. Its name servers answer only on addresses in 127.53.0.0/16; it asks nobody.
//
// Limitations: IPv4 only. The certificate of the encrypted transports is self-signed and ends with the process.
package lab
