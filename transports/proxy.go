package transports

import (
	"bufio"
	"bytes"
	"errors"
	"net/netip"
	"time"

	proxyproto "github.com/pires/go-proxyproto"
)

// A proxy that is named in Options.Proxies begins each connection, and each datagram, with a PROXY header of version 2
// that says for whom it speaks (the PROXY protocol, section 2.2). Nobody else may, and a named proxy must.

const (
	proxyHeaderWithin = 2 * time.Second
	maxProxyHeader    = 1 << 10 // with its type-length-values
)

var errNoProxyHeader = errors.New("no PROXY header of version 2")

// readProxyHeader takes the header off the connection and learns the client's address.
func (s *socket) readProxyHeader() error {
	_ = s.SetReadDeadline(time.Now().Add(proxyHeaderWithin))
	r := bufio.NewReaderSize(s.Conn, maxProxyHeader)
	addr, err := parseProxyHeader(r)
	if err != nil {
		return err
	}
	_ = s.SetReadDeadline(time.Time{})
	if s.early = make([]byte, r.Buffered()); len(s.early) > 0 {
		_, _ = r.Read(s.early) // what is buffered can be read
	}
	if !addr.IsValid() {
		addr = remoteAddr(s.Conn)
	}
	s.listener.conns.identify(s.connection, addr)
	return nil
}

// parseProxyHeader reads a header. The address is not valid when the proxy speaks for itself (command LOCAL): so it looks
// whether its servers are well.
func parseProxyHeader(r *bufio.Reader) (netip.Addr, error) {
	header, err := proxyproto.Read(r)
	if err != nil || header.Version != 2 {
		return netip.Addr{}, errNoProxyHeader
	}
	if header.Command.IsLocal() {
		return netip.Addr{}, nil
	}
	addr := hostOf(header.SourceAddr)
	if !addr.IsValid() {
		return netip.Addr{}, errNoProxyHeader
	}
	return addr, nil
}

// cutProxyHeader takes the header off as the function does, on the one goroutine that reads a socket: nothing may end it.
func (f *front) cutProxyHeader(datagram []byte, proxy netip.Addr) (addr netip.Addr, msg []byte, err error) {
	defer func() {
		if recover() != nil {
			f.panicked(UDP)
			err = errNoProxyHeader
		}
	}()
	return cutProxyHeader(datagram, proxy)
}

// cutProxyHeader takes the header off a datagram that a proxy has sent.
func cutProxyHeader(datagram []byte, proxy netip.Addr) (addr netip.Addr, msg []byte, err error) {
	octets := bytes.NewReader(datagram)
	r := bufio.NewReaderSize(octets, maxProxyHeader)
	if addr, err = parseProxyHeader(r); err != nil {
		return netip.Addr{}, nil, err
	}
	if !addr.IsValid() {
		addr = proxy
	}
	return addr, datagram[len(datagram)-octets.Len()-r.Buffered():], nil
}
