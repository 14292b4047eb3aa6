//go:build leak

package leak

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"

	"tacit/internal/testnet"
)

// Transports between tacit and the name servers, beside those that testnet knows.
const (
	overDoT testnet.Transport = "dot"
	overDoQ testnet.Transport = "doq"
)

// A world is the Internet of the audit: name servers that note each query exactly, on sockets of the namespace.
type world struct {
	*testnet.World
	running sync.WaitGroup

	mu       sync.Mutex
	sessions []session // encrypted ones, from tacit
}

// A session is what a name server saw of an encrypted connection beside the queries.
type session struct {
	server   string
	sni      string
	resumed  bool
	protocol string
}

// Signed TLDs: com. has the leaves, org. so few delegations that one span of NSEC covers every mistyped name, net. those that
// speak encrypted transports.
func newWorld(p *plan) *world {
	w := &world{World: testnet.New(testnet.Options{Seed: p.seed, TLDs: []string{"com.", "org.", "net."}})}
	w.Zone("plain.com.", p.records("plain", "deep", "odd"))
	w.Zone("dept.plain.com.", p.records("plaindept"))
	w.Zone("signed.com.", p.records("signed"))
	w.Zone("dept.signed.com.", p.records("signeddept"))
	w.Zone("dead.com.", "", testnet.Silent())
	w.Zone("lame.com.", "", testnet.Failing(dns.RcodeRefused))
	w.Zone("formerr.com.", "", testnet.Failing(dns.RcodeFormatError))
	w.Zone("servfail.com.", "", testnet.Failing(dns.RcodeServerFailure))
	w.Zone("loop.com.", p.loops("loop"))
	w.Zone("bogus.com.", p.records("bogus"))
	w.Zone("sizes.com.", p.sizes("sizes"))
	w.Zone("snooped.com.", p.records("snooped", "fresh"))
	w.Zone("00.org.", "")
	w.Zone("crypt.net.", p.records("crypt"))
	w.Sign(testnet.Signing{}, ".", "com.", "org.", "net.", "signed.com.", "dept.signed.com.", "bogus.com.")
	w.Spoil("bogus.com.", testnet.Expired())
	return w
}

// encrypting says which zones' servers speak DoT and DoQ, too.
func encrypting(server string) bool { return strings.HasSuffix(server, ".crypt.net.") }

// serve opens the sockets, until the test ends.
func (w *world) serve(t *testing.T) {
	t.Helper()
	w.addAddresses(t)
	certificate := selfSigned(t)
	t.Cleanup(w.running.Wait)
	for _, s := range w.Servers() {
		for _, at := range s.Addresses() {
			w.servePlain(t, s, at)
			if encrypting(s.Name()) {
				w.serveEncrypted(t, s, netip.AddrPortFrom(at.Addr(), 853), certificate)
			}
		}
	}
}

func (w *world) addAddresses(t *testing.T) {
	t.Helper()
	var batch strings.Builder
	for _, s := range w.Servers() {
		for _, at := range s.Addresses() {
			fmt.Fprintf(&batch, "addr replace %s/%d dev lo nodad\n", at.Addr(), at.Addr().BitLen())
		}
	}
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(batch.String(), "/32 dev lo nodad", "/32 dev lo"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip: %v\n%s", err, out)
	}
}

func (w *world) servePlain(t *testing.T, s *testnet.Server, at netip.AddrPort) {
	t.Helper()
	packets, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	w.running.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := packets.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			for _, r := range w.handle(s, testnet.UDP, from, at, buf[:n]) {
				_, _ = packets.WriteToUDPAddrPort(r.Packet, from)
			}
		}
	})
	streams, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	w.accept(t, streams, func(conn net.Conn) { w.converse(s, testnet.TCP, at, conn, conn.RemoteAddr()) })
}

func (w *world) handle(s *testnet.Server, over testnet.Transport, from, to netip.AddrPort, packet []byte) []testnet.Reply {
	return s.Handle(testnet.Arrival{Time: time.Now(), Transport: over, From: from, To: to, Packet: append([]byte(nil), packet...)})
}

// accept serves each connection on a goroutine, until the test ends.
func (w *world) accept(t *testing.T, listener net.Listener, serve func(net.Conn)) {
	t.Helper()
	t.Cleanup(func() { listener.Close() })
	w.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(t.Context(), func() { conn.Close() })
			w.running.Go(func() {
				defer conn.Close()
				defer stop()
				serve(conn)
			})
		}
	})
}

// converse answers queries in their order (RFC 1035 section 4.2.2).
func (w *world) converse(s *testnet.Server, over testnet.Transport, at netip.AddrPort, conn io.ReadWriter, remote net.Addr) {
	from, _ := netip.ParseAddrPort(remote.String())
	for {
		packet, err := readFramed(conn)
		if err != nil {
			return
		}
		for _, r := range w.handle(s, over, from, at, packet) {
			if _, err := conn.Write(framed(r.Packet)); err != nil {
				return
			}
		}
	}
}

func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
}

func readFramed(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, message)
	return message, err
}

// serveEncrypted speaks DoT and DoQ with a certificate that nobody vouches for, as RFC 9539 section 4.6.3.3 has it.
func (w *world) serveEncrypted(t *testing.T, s *testnet.Server, at netip.AddrPort, certificate tls.Certificate) {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13, NextProtos: []string{"dot"}}
	streams, err := tls.Listen("tcp", at.String(), config)
	if err != nil {
		t.Fatal(err)
	}
	w.accept(t, streams, func(conn net.Conn) {
		secure := conn.(*tls.Conn)
		if secure.HandshakeContext(t.Context()) != nil {
			return
		}
		w.noteSession(s, "dot", secure.ConnectionState())
		w.converse(s, overDoT, at, conn, conn.RemoteAddr())
	})
	config = config.Clone()
	config.NextProtos = []string{"doq"}
	listener, err := quic.ListenAddr(at.String(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	w.running.Go(func() {
		for {
			conn, err := listener.Accept(t.Context())
			if err != nil {
				return
			}
			w.noteSession(s, "doq", conn.ConnectionState().TLS)
			w.running.Go(func() { w.serveStreams(t.Context(), s, at, conn) })
		}
	})
}

func (w *world) serveStreams(ctx context.Context, s *testnet.Server, at netip.AddrPort, conn *quic.Conn) {
	for {
		stream, err := conn.AcceptStream(ctx)
		if err != nil {
			return
		}
		w.running.Go(func() {
			defer stream.Close()
			w.converse(s, overDoQ, at, stream, conn.RemoteAddr())
		})
	}
}

func (w *world) noteSession(s *testnet.Server, protocol string, state tls.ConnectionState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sessions = append(w.sessions, session{server: s.Name(), sni: state.ServerName, resumed: state.DidResume, protocol: protocol})
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// role is where in the tree a server's zone is: the root, a TLD, or a leaf.
func role(server string) string {
	switch labels := dns.CountLabel(server); {
	case strings.Contains(server, "root-servers"):
		return "root"
	case labels == 2:
		return "TLD"
	default:
		return "leaf"
	}
}
