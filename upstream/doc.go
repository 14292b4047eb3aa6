// Package upstream carries one question to one server and brings back the server's reply, over UDP or TCP, or
// over TLS, HTTPS or QUIC to those whose Server says so, and remembers how servers behave: round-trip times, EDNS, letter
// case, cookies, lameness. It is where off-path forgery is fought (RFC 5452, RFC 7873): every query over UDP has a socket,
// port and ID of its own. What is to travel encrypted goes to nobody but the authenticated Peer, padded, and never in clear.
// Servers of which nobody has said how they can be asked are tried over encrypted transports in the background, and asked
// over those that work (RFC 9539), unauthenticated: against who listens, not against who interferes.
// It builds the query out of the name and the type alone, so that nothing of a client's message can travel upstream, and it
// never judges what a reply means: SERVFAIL is a reply like any other, but where it casts doubt on who has been found.
// What it remembers, of servers only, is kept in memory and dies with the process.
//
// Limitations: what is known of encrypted transports is not kept for each of this machine's own addresses (RFC 9539 section
// 4.5.1); who is found over one is not held against TLSA records; of a zone's servers those that can be asked encrypted are
// not preferred; DNS over HTTPS is HTTP/2 alone; a pin is compared with the server's own key and not with those of its
// authorities; the keepalive time-out of RFC 7828 is not asked for. A target of Oblivious DoH is asked directly for its key, and
// so sees once in a while that somebody at our address is going to ask; one proxy is used for a target, and padding is that of
// the DNS message.
package upstream
