// Package odoh has the messages and keys of Oblivious DNS over HTTPS (RFC 9230): a client seals a query to the key of a target, and a
// proxy that cannot open it takes it there, so that the one who knows the client does not know the question, and the one who
// knows the question does not know the client. Here are both ends of that, in memory: Keys are the target's, a Config is what clients
// know of them. It sends nothing, keeps nothing of a message, and reads no clock.
//
// Limitations: one suite, which RFC 9230 section 9 requires of everybody: X25519, HKDF-SHA256, AES-128-GCM. A key that is dropped is
// left to the garbage collector, which does not write over it.
package odoh
