package upstream

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// RFC 9103 section 8.4: a zone comes from who has proven to be its primary, over TLS 1.3, and never in clear.
func TestSecuredProvesWhoIsThere(t *testing.T) {
	for name, c := range map[string]struct {
		stub     *resolverStub
		identity func(a *authority, p Pin) Identity
		want     error
	}{
		"the name and the authority": {&resolverStub{}, func(a *authority, p Pin) Identity { return Identity{Name: upstreamName, Roots: a.roots} }, nil},
		"the pin":                    {&resolverStub{}, func(a *authority, p Pin) Identity { return Identity{Pins: []Pin{p}} }, nil},
		"a server that knows no protocol by name": {
			&resolverStub{protocols: []string{}}, func(a *authority, p Pin) Identity { return Identity{Pins: []Pin{p}} }, nil,
		},
		"another name":      {&resolverStub{}, func(a *authority, p Pin) Identity { return Identity{Name: "other.test", Roots: a.roots} }, errUnproven},
		"another authority": {&resolverStub{}, func(*authority, Pin) Identity { return Identity{Name: upstreamName} }, errUnproven},
		"another key":       {&resolverStub{}, func(*authority, Pin) Identity { return Identity{Pins: []Pin{{1}}} }, errUnproven},
		"TLS 1.2":           {&resolverStub{version: tls.VersionTLS12}, func(a *authority, p Pin) Identity { return Identity{Pins: []Pin{p}} }, errUnsecured},
		"another protocol":  {&resolverStub{protocols: []string{"h2"}}, func(a *authority, p Pin) Identity { return Identity{Pins: []Pin{p}} }, errUnsecured},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			c.stub.transport, c.stub.certificate = TLS, a.issue(t, nil)
			c.stub.start(t)
			conn, err := Secured{Network: new(net.Dialer), Peer: NewPeer(c.identity(a, pinOf(t, c.stub.certificate)))}.DialContext(t.Context(), "tcp", c.stub.addr.String())
			if !errors.Is(err, c.want) {
				t.Fatal(err)
			}
			if err != nil {
				if strings.Contains(err.Error(), c.stub.addr.Addr().String()) {
					t.Error("the error has the address:", err)
				}
				return
			}
			if _, ok := conn.(*tls.Conn); !ok {
				t.Error("in clear")
			}
			_ = conn.Close()
		})
	}
}

// What does not speak TLS is not spoken to, and what is not there is said without its address.
func TestSecuredIsNeverInClear(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan []byte)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			close(done)
			return
		}
		_, _ = conn.Write([]byte("\x00\x00"))
		first := make([]byte, 1)
		_, _ = io.ReadFull(conn, first)
		_ = conn.Close()
		done <- first
	}()
	at := l.Addr().String()
	if _, err := (Secured{Network: new(net.Dialer)}).DialContext(t.Context(), "tcp", at); !errors.Is(err, errUnsecured) {
		t.Error(err)
	}
	if first := <-done; len(first) != 1 || first[0] != 22 { // a handshake (RFC 8446 section 5.1)
		t.Errorf("sent %v", first)
	}
	_ = l.Close()
	if _, err := (Secured{Network: new(net.Dialer)}).DialContext(t.Context(), "tcp", at); !errors.Is(err, errNoWay) {
		t.Error(err)
	}
	if _, err := (Secured{Network: new(net.Dialer)}).DialContext(t.Context(), "udp", at); err == nil {
		t.Error("over UDP")
	}
}
