package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"
)

// dialTLS makes a connection that is spoken over as over TCP (RFC 7858 section 3.3). A server need not know the name of the
// protocol, which is younger.
func (p *pool) dialTLS(ctx context.Context, server Server) (session, error) {
	conn, err := p.handshake(ctx, server, "dot")
	if err != nil {
		return nil, err
	}
	return newConnection(p, server, conn), nil
}

// handshake connects to the server's address, whatever its name, and proves who it is before a query is sent.
func (p *pool) handshake(ctx context.Context, server Server, protocol string) (*tls.Conn, error) {
	conn, err := p.network.DialContext(ctx, "tcp", server.Addr.String())
	if err != nil {
		return nil, err
	}
	return secure(ctx, conn, p.tlsConfig(server, protocol))
}

func secure(ctx context.Context, conn net.Conn, config *tls.Config) (*tls.Conn, error) {
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, handshakeFailure(err)
	}
	return secured, nil
}

// A Secured is a network in which all connections are over TLS to the Peer, for zone transfers (RFC 9103): strict, so that none is
// made to anybody else, and none in clear.
type Secured struct {
	Network Network
	Peer    Peer
	// Now tells the time by which certificates end. Nil: time.Now.
	Now func() time.Time
}

// DialContext connects to an address over TCP, and proves who is there. Its errors hold no address.
func (s Secured) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp" {
		return nil, errors.New("not an address of TCP")
	}
	conn, err := s.Network.DialContext(ctx, network, address)
	if err != nil {
		return nil, errNoWay
	}
	secured, err := secure(ctx, conn, tlsConfig(Server{Addr: at, Transport: TLS, Peer: s.Peer}, "dot", s.Now))
	if err != nil {
		return nil, secureFailure(err)
	}
	return secured, nil
}

// A secureError says why a connection is not made, in constant words, which the log may show.
type secureError string

func (e secureError) Error() string { return string(e) }

// ConstantText marks the type for the log.
func (secureError) ConstantText() {}

const (
	errNoWay     secureError = "no connection to the server"
	errUnproven  secureError = "server does not prove by its certificate or key who it is"
	errUnsecured secureError = "server does not speak TLS 1.3 as it should"
)

func secureFailure(err error) error {
	if e := failure(context.Background(), err); e.Outcome == Unauthenticated {
		return errUnproven
	}
	return errUnsecured
}

// handshakeFailure gives errors that only package tls knows an outcome.
func handshakeFailure(err error) error {
	if e := failure(context.Background(), err); e.Outcome == Local && e.Err == nil {
		return errHandshake
	}
	return err
}
