// Package certificate holds what tacit shows to clients of the encrypted transports: certificates from files, from an
// ACME authority, or made by itself. It follows files that change, picks the one that a client asks for, and says when one
// runs out. It opens no listener, logs nothing that a client has sent (the server name in a hello is client data), and never
// writes a private key anywhere but where the operator said.
//
// Limitations: the expiry of intermediate certificates is not looked at, and there is no OCSP stapling. ACME is for names
// without wildcards, by HTTP-01 and TLS-ALPN-01. An ACME order that is under way when Follow ends is not interrupted: what it
// would still send is refused, and it ends within five minutes. The library's timer for a renewal outlives the Store; what
// it would send is refused as well.
package certificate
