// Package wire holds what DNS messages are made of, as bytes: names, questions, answers, and the parser and builder
// of the hot path, none of which allocates per query. It knows the form of messages (RFC 1035 section 4, RFC 6891)
// and nothing of what they mean; it does no I/O and keeps no time.
//
// Limitations: only names, headers, questions and the OPT record are parsed here. RDATA is carried as octets; who
// needs its fields (resolver, upstream, dnssec, zone) uses miekg/dns.
package wire
