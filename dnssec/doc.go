// Package dnssec decides what can be believed. It reads keys, delegation signers, signatures and denials of existence
// out of RRsets, checks them as RFC 4033 to 4035, RFC 5155 and their updates ask (RFC 6840, RFC 9276, RFC 9905), and
// follows the chain of trust from an anchor down. It does no I/O and keeps no time: the moment, the budget and the source
// of further RRsets are arguments. RDATA is read as octets; nothing that is malformed stops more than the record it is in.
//
// Limitations: Ed448 (algorithm 16) and GOST (12, digest type 3) count as unsupported, so that what only they sign is
// insecure. RSA keys are taken with 512 to 4096 bits and exponents of at most 64 bits.
package dnssec
