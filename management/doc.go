// Package management is an HTTP API by which programs manage the zones served here: it has the shape of the part of
// Cloudflare's API, version 4, that is about zones and DNS records, so that clients of that API work with another base URL. A
// Manager has the zones; this package reads requests, knows who may do what (Tokens), and writes answers.
//
// It says what records lead to, origins included: that is what it is for. So it is off unless configured, listens on
// loopback, and every request needs a token, which is compared by its hash in constant time. What one token may ask for
// is bounded (Limits): above, the answer is 429 with Retry-After. Nothing of a request is logged.
//
// Limitations: nothing but zones and DNS records; every other path is answered with 404 and the code 7003.
package management
