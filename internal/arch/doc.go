// Package arch holds the tests of tacit's architecture: which room may import which, that questions and answers have
// no place for a client's address, that each package says once what it is for, and that files and functions stay short
// enough to be read. It has no code of its own and nothing imports it. The import table in table_test.go is the only
// one written by hand; the depguard rules in .golangci.yml are generated from it, so that an editor shows a forbidden
// import before the test does.
//
// Limitations: test files are free to import what they need, and a Responder is only held to address-free types by
// what it is given, wire.Question and wire.Answer.
package arch

//go:generate go test -run TestDepguardFollowsTheTable -update .
