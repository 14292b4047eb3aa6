// Package certificate holds what tacit shows to clients of the encrypted transports: certificates from files, from an
// ACME authority, or made by itself. It follows files that change, picks the one that a client asks for, and says when one
// runs out. It opens no listener and never writes a private key anywhere but where the operator said.
package certificate
