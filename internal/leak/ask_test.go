//go:build leak

package leak

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Where tacit listens, for each family; the mark is not in them.
var (
	front4 = netip.MustParseAddr("10.0.0.1")
	front6 = netip.MustParseAddr("fd00::1")
)

// A reply is what a client got.
type reply struct {
	message *dns.Msg // nil: nothing
	size    int
	header  http.Header
	err     error
}

// Askers count what clients were given beside answers.
type askers struct {
	tickets atomic.Int64
	mu      sync.Mutex
	headers map[string]bool // names of HTTP header fields, as far as any answer had them
	most    int             // such fields of one answer
}

const askTimeout = 8 * time.Second

// ask lets a client ask once, over a connection of its own that is closed behind the answer.
func (a *askers) ask(ctx context.Context, c *client, m *dns.Msg) reply {
	packed, err := m.Pack()
	if err != nil {
		return reply{err: err}
	}
	if c.raw != nil {
		packed = c.raw(packed)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	octets, header, err := a.carry(ctx, c, packed)
	if err != nil {
		return reply{err: err}
	}
	r := reply{message: new(dns.Msg), size: len(octets), header: header}
	if err := r.message.Unpack(octets); err != nil {
		return reply{err: err, size: len(octets)}
	}
	return r
}

func (a *askers) carry(ctx context.Context, c *client, packed []byte) (octets []byte, header http.Header, err error) {
	switch c.way {
	case udp:
		octets, err = overUDP(ctx, c, packed)
	case tcp:
		octets, err = overStream(ctx, c, 53, packed, nil)
	case dot:
		octets, err = overStream(ctx, c, 853, packed, a.trust("dot"))
	case doq:
		octets, err = a.overQUIC(ctx, c, packed)
	case garbage:
		octets, err = overStream(ctx, c, 853, packed, nil)
	case doh1, doh2, doh3:
		return a.overHTTP(ctx, c, packed)
	}
	return octets, nil, err
}

func (c *client) front(port uint16) netip.AddrPort {
	if c.address.Is4() {
		return netip.AddrPortFrom(front4, port)
	}
	return netip.AddrPortFrom(front6, port)
}

func (c *client) dial(ctx context.Context, network string, port uint16) (net.Conn, error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.address, 0))}
	if network == "udp" {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.address, 0))
	}
	conn, err := d.DialContext(ctx, network, c.front(port).String())
	if err != nil {
		return nil, err
	}
	if at, err := netip.ParseAddrPort(conn.LocalAddr().String()); err == nil {
		c.port = at.Port()
	}
	deadline, _ := ctx.Deadline()
	return conn, conn.SetDeadline(deadline)
}

func overUDP(ctx context.Context, c *client, packed []byte) ([]byte, error) {
	conn, err := c.dial(ctx, "udp", 53)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	answer := make([]byte, 1<<16)
	n, err := conn.Read(answer)
	return answer[:n], err
}

func overStream(ctx context.Context, c *client, port uint16, packed []byte, secure *tls.Config) ([]byte, error) {
	conn, err := c.dial(ctx, "tcp", port)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if secure != nil {
		conn = tls.Client(conn, secure)
	}
	if _, err := conn.Write(framed(packed)); err != nil {
		return nil, err
	}
	answer, err := readFramed(conn)
	if err == nil && secure != nil {
		_ = conn.Close() // with an alert
	}
	return answer, err
}

// trust looks at no certificate: who answers is known here.
func (a *askers) trust(protocol string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{protocol},
		InsecureSkipVerify: true,
		ClientSessionCache: countingCache{a}, ServerName: "resolver.example",
	}
}

// A countingCache counts the tickets that it is given.
type countingCache struct{ askers *askers }

func (countingCache) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (c countingCache) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		c.askers.tickets.Add(1)
	}
}

// packets is a socket of the client, for QUIC.
func (c *client) packets() (*net.UDPConn, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.address, 0)))
	if err == nil {
		c.port = uint16(conn.LocalAddr().(*net.UDPAddr).Port)
	}
	return conn, err
}

func (a *askers) overQUIC(ctx context.Context, c *client, packed []byte) ([]byte, error) {
	socket, err := c.packets()
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	transport := &quic.Transport{Conn: socket}
	defer transport.Close()
	conn, err := transport.Dial(ctx, net.UDPAddrFromAddrPort(c.front(853)), a.trust("doq"), nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if _, err := stream.Write(framed(packed)); err != nil {
		return nil, err
	}
	if err := errors.Join(stream.Close(), stream.SetReadDeadline(deadline)); err != nil {
		return nil, err
	}
	return readFramed(stream)
}

func (a *askers) overHTTP(ctx context.Context, c *client, packed []byte) ([]byte, http.Header, error) {
	transport, end, err := a.httpTransport(c)
	if err != nil {
		return nil, nil, err
	}
	defer end()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.front(443).String()+"/dns-query", bytes.NewReader(packed))
	if err != nil {
		return nil, nil, err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/dns-message", "Accept": "application/dns-message", "User-Agent": c.header, "Cookie": "c=" + c.header,
	} {
		r.Header.Set(name, value)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	if want := map[way]int{doh1: 1, doh2: 2, doh3: 3}[c.way]; response.ProtoMajor != want {
		return nil, nil, fmt.Errorf("%s is spoken", response.Proto)
	}
	if response.StatusCode != http.StatusOK {
		return nil, nil, errors.New(response.Status)
	}
	a.noteHeader(response.Header)
	body, err := io.ReadAll(response.Body)
	return body, response.Header, err
}

func (a *askers) noteHeader(h http.Header) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name := range h {
		if a.headers == nil {
			a.headers = map[string]bool{}
		}
		a.headers[name] = true
	}
	a.most = max(a.most, len(h))
}

func (a *askers) httpTransport(c *client) (transport http.RoundTripper, end func(), err error) {
	if c.way != doh3 {
		protocol := map[way]string{doh1: "http/1.1", doh2: "h2"}[c.way]
		t := &http.Transport{
			TLSClientConfig: a.trust(protocol), ForceAttemptHTTP2: c.way == doh2, DisableCompression: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx, "tcp", 443) },
		}
		return t, t.CloseIdleConnections, nil
	}
	socket, err := c.packets()
	if err != nil {
		return nil, nil, err
	}
	carrier := &quic.Transport{Conn: socket}
	t := &http3.Transport{
		TLSClientConfig: a.trust("h3"), DisableCompression: true,
		Dial: func(ctx context.Context, _ string, secure *tls.Config, config *quic.Config) (*quic.Conn, error) {
			return carrier.Dial(ctx, net.UDPAddrFromAddrPort(c.front(443)), secure, config)
		},
	}
	return t, func() { _, _, _ = t.Close(), carrier.Close(), socket.Close() }, nil
}

// together is how many clients ask at a time.
const together = 24

// askAll lets clients ask, some at a time, and returns how many had the fate that was planned.
func (a *askers) askAll(ctx context.Context, clients []*client) (asPlanned int, strange map[class]int, replies map[*client]reply) {
	var (
		mu      sync.Mutex
		running sync.WaitGroup
		slots   = make(chan struct{}, together)
	)
	strange, replies = map[class]int{}, map[*client]reply{}
	for _, c := range clients {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			r := a.ask(ctx, c, c.message())
			mu.Lock()
			defer mu.Unlock()
			replies[c] = r
			if c.isPlanned(r) {
				asPlanned++
			} else {
				strange[c.class]++
			}
		})
	}
	running.Wait()
	return asPlanned, strange, replies
}

func (c *client) isPlanned(r reply) bool {
	switch {
	case c.class == "malformed" && r.message == nil, c.class == "bogus" && c.cd: // dropped, perhaps; and asked for unvalidated
		return true
	case r.message == nil:
		return c.rcodes == nil
	default:
		return slices.Contains(c.rcodes, r.message.Rcode)
	}
}
