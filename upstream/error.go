package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"tacit/internal/work"
)

// An Error says why there is no reply. Its text holds neither a name nor an address.
type Error struct {
	Outcome Outcome
	Err     error // a system's error number, a context's error, a *work.Exceeded, or nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return "upstream: " + e.Outcome.String()
	}
	return "upstream: " + e.Outcome.String() + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// An Outcome is how an exchange ended without a reply.
type Outcome uint8

// Outcomes.
const (
	Timeout         Outcome = iota // no acceptable reply within the server's time-out
	Unreachable                    // no way there: no route, or the address family is down
	Refused                        // nobody listens, or who does will not talk: port unreachable, reset, no HTTP status 200
	Malformed                      // whatever came, by every way open, could not be read
	BadCookies                     // the server refuses the cookies that it gave
	Budget                         // the resolution may cost no more
	Cancelled                      // the context ended first, or the Client is closed
	Local                          // this machine is out of ports, sockets or memory: nothing is known of the server
	Unauthenticated                // an encrypted transport led to somebody else than the Peer
	Unencrypted                    // it must be asked encrypted, and is not to be had that way
)

var outcomeNames = [...]string{
	Timeout: "time-out", Unreachable: "unreachable", Refused: "refused", Malformed: "malformed reply",
	BadCookies: "cookies refused", Budget: "budget spent", Cancelled: "cancelled", Local: "local failure",
	Unauthenticated: "not authenticated", Unencrypted: "no encrypted transport",
}

func (o Outcome) String() string { return outcomeNames[o] }

// failure makes an *Error of what the network said. Errors of package net print addresses, so nothing of them is
// kept but the number, and nothing of those of package tls, which print names. outer is the caller's context, whose end goes
// before all else.
func failure(outer context.Context, err error) *Error {
	var (
		exceeded *work.Exceeded
		known    *Error
		stranger *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &exceeded):
		return &Error{Budget, exceeded}
	case outer.Err() != nil:
		return &Error{Cancelled, outer.Err()}
	case errors.As(err, &known):
		return known
	case errors.As(err, &stranger):
		return &Error{Outcome: Unauthenticated}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Outcome: Timeout}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, net.ErrClosed):
		return &Error{Outcome: Refused}
	}
	var number syscall.Errno
	if !errors.As(err, &number) {
		return &Error{Outcome: Local}
	}
	return &Error{outcomeOf(number), number}
}

func outcomeOf(number syscall.Errno) Outcome {
	switch number {
	case syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE:
		return Refused
	case syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.EACCES, syscall.EPERM:
		return Unreachable
	case syscall.ETIMEDOUT:
		return Timeout
	default:
	}
	if familyTrouble(number) {
		return Unreachable
	}
	return Local
}

// familyTrouble reports whether number says that a whole address family has no way out of this machine.
func familyTrouble(number syscall.Errno) bool {
	switch number {
	case syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT:
		return true
	default:
		return false
	}
}
