// Package statement says what becomes of the data of clients, as RFC 8932 section 6 asks of the operator of a resolver: policy,
// practice, and how it can be checked. A Statement is filled in from what runs, never from a text that can go stale; the package
// renders it, numbers it, and holds the table of all places that data of clients can go to. It holds no client and no question.
//
// Limitations: what happens outside the process (packet captures, the network, what an operator agrees with others) is what the
// operator declares; the statement cannot know whether it is true.
package statement
