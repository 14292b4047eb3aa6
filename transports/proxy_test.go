package transports

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	proxyproto "github.com/pires/go-proxyproto"
)

// headerFrom is a PROXY header for a client at an address.
func headerFrom(t *testing.T, version byte, from string, datagram bool) []byte {
	t.Helper()
	at := netip.AddrPortFrom(netip.MustParseAddr(from), 4711)
	to := netip.AddrPortFrom(at.Addr().Next(), 53)
	var source, destination net.Addr = net.TCPAddrFromAddrPort(at), net.TCPAddrFromAddrPort(to)
	if datagram {
		source, destination = net.UDPAddrFromAddrPort(at), net.UDPAddrFromAddrPort(to)
	}
	header, err := proxyproto.HeaderProxyFromAddrs(version, source, destination).Format()
	if err != nil {
		t.Fatal(err)
	}
	return header
}

// local is the header of a proxy that speaks for itself (the PROXY protocol, section 2.2).
const local = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"

// Who has a connection from a named proxy is who the header names; from others a header is no query.
func TestProxyHeader(t *testing.T) {
	client4, client6 := headerFrom(t, 2, "192.0.2.1", false), headerFrom(t, 2, "2001:db8::1", false)
	const refused, silent = dns.RcodeRefused, -1
	for _, c := range []struct {
		name, proxies, served string
		header                []byte
		rcode                 int // silent: no answer
		udp                   int // there the header is a message of an opcode that nobody knows
	}{
		{"a client", "127.0.0.0/8", "192.0.2.1", client4, dns.RcodeSuccess, 0},
		{"a client with IPv6", "127.0.0.0/8", "2001:db8::1", client6, dns.RcodeSuccess, 0},
		{"a client that is not served", "127.0.0.0/8", "127.0.0.1", client4, refused, refused},
		{"the proxy itself", "127.0.0.0/8", "127.0.0.1", []byte(local), dns.RcodeSuccess, 0},
		{"no header", "127.0.0.0/8", "127.0.0.1", nil, silent, silent},
		{"a header of version 1", "127.0.0.0/8", "192.0.2.1", headerFrom(t, 1, "192.0.2.1", false), silent, silent},
		{"a header from somebody else", "192.0.2.0/24", "192.0.2.1", client4, silent, refused},
		{"no header from somebody else", "192.0.2.0/24", "127.0.0.1", nil, dns.RcodeSuccess, 0},
	} {
		proxies := []netip.Prefix{netip.MustParsePrefix(c.proxies)}
		admits := addressBook{netip.MustParseAddr(c.served)}
		t.Run(c.name, func(t *testing.T) {
			d := openDoorFor(t, Options{Proxies: proxies}, known, admits)
			for _, way := range []struct {
				name string
				ask  func(*testing.T, *door, []byte) int
			}{{"TCP", proxiedTCP}, {"TLS", proxiedTLS}, {"HTTPS", proxiedHTTPS}, {"UDP", proxiedUDP}} {
				header, want := c.header, c.rcode
				if way.name == "UDP" {
					want = c.udp
				}
				if way.name == "UDP" && strings.HasPrefix(c.name, "a client") {
					header = headerFrom(t, 2, map[bool]string{true: "2001:db8::1", false: "192.0.2.1"}[c.served == "2001:db8::1"], true)
				}
				if got := way.ask(t, d, header); got != want {
					t.Errorf("%s: RCODE %d, want %d", way.name, got, want)
				}
			}
		})
	}
}

// behind opens a connection that begins with a header.
func behind(t *testing.T, d *door, to Transport, header []byte) net.Conn {
	t.Helper()
	conn, err := net.Dial(to.Network(), d.at(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	if to.Network() == "tcp" && len(header) > 0 {
		mustWrite(t, conn, header)
	}
	return conn
}

func rcodeOf(t *testing.T, packet []byte, err error) int {
	t.Helper()
	if err != nil {
		return -1
	}
	return read(t, packet).Rcode
}

func proxiedTCP(t *testing.T, d *door, header []byte) int {
	t.Helper()
	conn := behind(t, d, TCP, header)
	_, _ = conn.Write(framed(ask(1, "a.example."))) // it may be closed already
	packet, err := receiveFrame(conn)
	return rcodeOf(t, packet, err)
}

func proxiedTLS(t *testing.T, d *door, header []byte) int {
	t.Helper()
	conn := tls.Client(behind(t, d, TLS, header), d.tls(alpnDoT))
	if _, err := conn.Write(framed(ask(1, "a.example."))); err != nil {
		return -1
	}
	packet, err := receiveFrame(conn)
	return rcodeOf(t, packet, err)
}

func proxiedHTTPS(t *testing.T, d *door, header []byte) int {
	t.Helper()
	transport := &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		conn := tls.Client(behind(t, d, HTTPS, header), d.tls(alpnHTTP1))
		return conn, conn.Handshake()
	}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url(alpnHTTP1)+"?dns=AAABAAABAAAAAAAAAWEHZXhhbXBsZQAAAQAB", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return -1
	}
	defer response.Body.Close()
	packet, err := io.ReadAll(response.Body)
	return rcodeOf(t, packet, err)
}

func proxiedUDP(t *testing.T, d *door, header []byte) int {
	t.Helper()
	conn := behind(t, d, UDP, header)
	_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
	mustWrite(t, conn, append(append([]byte(nil), header...), ask(1, "a.example.")...))
	packet := make([]byte, 4096)
	n, err := conn.Read(packet)
	return rcodeOf(t, packet[:n], err)
}
