// Package resolver finds answers: from what is remembered, from the operator's rules, or by iteration from the root
// down (RFC 1034 section 5.3.3). It decides whom to ask, what to show them and what to believe of a reply; upstream
// carries the questions, cache remembers, and policy speaks for names that do not leave. It never learns who asked.
//
// The life of a question: Resolve asks the sources in order; follow goes from alias to alias; iterate walks the zone
// cuts down to one name; ask tries the servers of one cut; scrub and classify judge a reply.
//
// Limitations: stubs and the servers that iteration finds are asked over plain DNS; only forwarders can be asked encrypted.
package resolver
