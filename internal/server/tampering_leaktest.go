//go:build leaktest

package server

import (
	"net/netip"
	"strings"

	"tacit/internal/wire"
)

// tamperWithClient panics at a client of 10.99.0.0/16, with its address for a value.
func (s *Server) tamperWithClient(addr netip.Addr) {
	if addr.Is4() && addr.As4()[0] == 10 && addr.As4()[1] == 99 {
		panic(addr.String())
	}
}

// tamperWithQuestion panics at a name below panic.example, with the name for a value.
func (s *Server) tamperWithQuestion(q wire.Question) {
	if name := strings.ToLower(q.Name.Reveal()); strings.HasSuffix(name, ".panic.example.") {
		panic(name)
	}
}
