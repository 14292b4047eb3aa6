// Package upstream carries one question to one server and brings back the server's reply, over UDP or TCP, and
// remembers how servers behave: round-trip times, EDNS, letter case, cookies, lameness. It is where off-path forgery is
// fought (RFC 5452, RFC 7873): every query has a socket, port and ID of its own. It builds the query out of the name and
// the type alone, so that nothing of a client's message can travel upstream, and it never judges what a reply
// means: SERVFAIL is a reply like any other. What it remembers, of servers only, is kept in memory and dies with
// the process.
//
// Limitations: no encrypted transports yet; the keepalive time-out of RFC 7828 is not asked for.
package upstream
