// Package transports is the clients' side: it receives queries over UDP, TCP, TLS, HTTPS (versions 1.1, 2 and 3) and QUIC,
// decides who is served, finishes answers for the client that asked, and bounds what clients can hold. What the answer is, a
// Responder says, and what is for whoever keeps zones a Keeper hears; the client's address ends here and is never logged,
// counted or passed on but to the Admitter; of its network, keyed hashes are. Which
// certificate is shown, others say. Messages of Oblivious DoH are opened here, with keys that others hold, or handed to a Relay.
//
// Limitations: no encrypted client hello. DNS cookies are for UDP and TCP; a message without a question is refused although it asks for one (RFC 7873
// section 5.4), and none is demanded. When answers leave over an encrypted connection follows when they were found: nothing hides it. A PROXY header is not read over QUIC and HTTP/3, and a reverse
// proxy is answered over HTTP/1.1 only. The JSON form knows no parameters but name, type, do and cd. An IPv6 listen address
// serves IPv6 only. Outside Linux datagrams are received and sent one at a time, and a wildcard address may answer from another
// address than the one that was asked.
package transports
