// Package transports is the clients' side: it receives queries over UDP and TCP, decides who is served, finishes
// answers for the client that asked, and bounds what clients can hold. What the answer is, a Responder says; the
// client's address ends here and is never logged, counted or passed on but to the Admitter.
//
// Limitations: no DNS-over-TLS, -HTTPS or -QUIC and no DNS cookies yet. An IPv6 listen address serves IPv6 only.
// Outside Linux a wildcard address may answer from another address than the one that was asked.
package transports
