package upstream

import (
	"context"
	"crypto/tls"
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
	secured := tls.Client(conn, p.tlsConfig(server, protocol))
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, handshakeFailure(err)
	}
	return secured, nil
}

// handshakeFailure gives errors that only package tls knows an outcome.
func handshakeFailure(err error) error {
	if e := failure(context.Background(), err); e.Outcome == Local && e.Err == nil {
		return errHandshake
	}
	return err
}
