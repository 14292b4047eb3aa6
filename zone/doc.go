// Package zone answers for zones that are kept here. As yet that is the root: Root keeps a Copy of it (RFC 8806),
// fetched by zone transfer from the servers that allow it, so that no root server sees what is asked. A copy is used
// only once a verifier, which the composition root brings, has found its digest and signatures good, and only until the
// first of those signatures ends; without one the resolver asks the root servers as ever. Records are kept as octets,
// whatever their type. Nothing is written to disk, no name that was asked for is kept or sent, and errors and logs hold
// neither names nor addresses.
//
// Limitations: no zone files and no incremental transfers (RFC 1995) yet. A root zone with wildcards, aliases or NSEC3
// is not copied.
package zone
