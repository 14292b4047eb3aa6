package transports

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"tacit/internal/place"
)

// openPlain listens where DoH is spoken in clear.
func openPlain(ctx context.Context, addr string) (net.Listener, error) {
	if strings.HasPrefix(addr, "/") {
		return openUnix(ctx, addr)
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, errListen
	}
	return openTCP(ctx, ap)
}

// openUnix listens on a Unix socket for our own user and group: the proxy is another user.
func openUnix(ctx context.Context, path string) (net.Listener, error) {
	listener, err := place.Listen(ctx, path, 0o660)
	switch {
	case errors.Is(err, place.ErrInUse), errors.Is(err, place.ErrNoSocket):
		return nil, syscall.EADDRINUSE
	case err != nil:
		return nil, err
	}
	return listener, nil
}
