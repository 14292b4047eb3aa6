package resolver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/upstream"
)

// Over an internet in memory there is no TLS. secured is that internet, with a server of DNS over TLS at port 853 of each
// address at which a server of plain DNS stands at port 53.
type secured struct {
	*testnet.World
	certificate tls.Certificate
	stalled     atomic.Bool // servers read, and answer nothing
	absent      atomic.Bool // nobody is at port 853
	plain       netip.Addr  // ... of this server
	counting    sync.Mutex
	connects    map[netip.Addr]int
}

func newSecured(t *testing.T, w *testnet.World) *secured {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &secured{World: w, certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, connects: map[netip.Addr]int{}}
}

// identity is the pin of the certificate.
func (n *secured) identity(t *testing.T) upstream.Identity {
	t.Helper()
	parsed, err := x509.ParseCertificate(n.certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return upstream.Identity{Pins: []upstream.Pin{sha256.Sum256(parsed.RawSubjectPublicKeyInfo)}}
}

// DialContext connects to the plain server behind, as does a proxy that terminates TLS.
func (n *secured) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil || to.Port() != 853 || network == "udp" || n.absent.Load() || to.Addr() == n.plain {
		return n.World.DialContext(ctx, network, address)
	}
	n.counting.Lock()
	n.connects[to.Addr()]++
	n.counting.Unlock()
	behind, err := n.World.DialContext(ctx, "tcp", netip.AddrPortFrom(to.Addr(), 53).String())
	if err != nil {
		return nil, err
	}
	here, there := net.Pipe()
	go n.serve(tls.Server(there, &tls.Config{Certificates: []tls.Certificate{n.certificate}, SessionTicketsDisabled: true}), behind)
	return here, nil
}

func (n *secured) serve(client, behind net.Conn) {
	defer func() { _ = client.Close() }()
	defer func() { _ = behind.Close() }()
	for {
		query, err := readFramed(client)
		if err != nil {
			return
		}
		if n.stalled.Load() {
			continue
		}
		if _, err := behind.Write(query); err != nil {
			return
		}
		reply, err := readFramed(behind)
		if err != nil {
			return
		}
		if _, err := client.Write(reply); err != nil {
			return
		}
	}
}

func readFramed(r io.Reader) ([]byte, error) {
	length := make([]byte, 2)
	if _, err := io.ReadFull(r, length); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(length))
	_, err := io.ReadFull(r, message)
	return append(length, message...), err
}

// encrypted plays a script in which everything is forwarded to two servers over TLS. Names are numbered, so that none is
// known. The first is the quicker one.
func encrypted(t *testing.T, run func(s *script, n *secured, servers []upstream.Server)) {
	t.Helper()
	var network *secured
	playOnce(t, func(s *script) {
		network = newSecured(t, s.World)
		client := upstream.New(upstream.Options{Network: network, Memory: s.r.memory})
		s.r.exchanger = client
		var servers []upstream.Server
		for _, b := range []testnet.Behaviour{{}, testnet.Slow(30 * time.Millisecond)} {
			recursive := s.Server("recursive.example.", b, testnet.NotAuthoritative())
			recursive.Host(testnet.MustZone("corp.example.", "* A 203.0.113.7"))
			servers = append(servers, upstream.Server{
				Addr: netip.AddrPortFrom(recursive.Addresses()[0].Addr(), 853), Transport: upstream.TLS,
				Peer: upstream.NewPeer(network.identity(t)),
			})
		}
		s.r.routes = newRoutes(&Options{Forwards: []Forward{{Zone: wire.MustName("corp.example."), Servers: servers}}})
		run(s, network, servers)
		s.r.Close()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}, packetsOff)
}

// answers asks for one new name, and returns how long that took.
func (s *script) answers(label string) time.Duration {
	s.Helper()
	begin := time.Now()
	s.want(label+".corp.example.", "A", "NOERROR "+label+".corp.example. A 203.0.113.7")
	return time.Since(begin)
}

// An upstream behind which packets vanish costs less than a second, once, whether it never answered or has just ceased to.
// Then it is not asked first, until 10 s have gone.
func TestDeadUpstreamIsLeftWithinASecond(t *testing.T) {
	for _, c := range []struct {
		name string
		warm int // questions before
	}{{"from the start", 0}, {"after it has been the quicker one", 8}} {
		t.Run(c.name, func(t *testing.T) {
			encrypted(t, func(s *script, n *secured, servers []upstream.Server) {
				for i := range c.warm {
					s.answers("warm" + strings.Repeat("x", i))
				}
				dead := servers[0].Addr.Addr()
				time.Sleep(time.Minute) // connections are closed
				s.BlackHole(dead.String() + "/32")
				clear(n.connects)
				var slow, longest time.Duration
				for i := range 20 {
					took := s.answers("cold" + strings.Repeat("x", i))
					if longest = max(longest, took); took > 300*time.Millisecond {
						slow += took
					}
				}
				if longest >= time.Second || n.connects[dead] > 1 || slow >= time.Second {
					t.Errorf("the longest took %v, all that were slow %v, with %d connections to the dead one", longest, slow, n.connects[dead])
				}
				s.Reachable(dead.String() + "/32")
				time.Sleep(time.Minute)
				clear(n.connects)
				for i := range 60 {
					s.answers("new" + strings.Repeat("x", i))
				}
				if n.connects[dead] == 0 {
					t.Error("it is never asked again")
				}
			})
		})
	}
}

// A server that answers nothing over the connection that it keeps open is left within a second, too.
func TestStalledUpstreamIsLeftWithinASecond(t *testing.T) {
	encrypted(t, func(s *script, n *secured, servers []upstream.Server) {
		for i := range 8 {
			s.answers("warm" + strings.Repeat("x", i))
		}
		n.stalled.Store(true)
		begin := time.Now()
		go func() {
			time.Sleep(700 * time.Millisecond) // by then the first one has been waited for alone
			n.stalled.Store(false)
		}()
		if took := s.answers("cold"); took >= time.Second || took < otherWait {
			t.Errorf("took %v, since %v", took, begin)
		}
		if !s.r.memory.Prospect(servers[0], wire.Root, s.r.now()).Doubtful && !s.r.memory.Prospect(servers[1], wire.Root, s.r.now()).Doubtful {
			t.Error("nothing was learned")
		}
	})
}

// RFC 8914: the client is told that it is the upstream's identity that fails, whatever else does.
func TestStrangerIsNamedInTheError(t *testing.T) {
	encrypted(t, func(s *script, _ *secured, servers []upstream.Server) {
		stranger := servers[0]
		stranger.Peer = upstream.NewPeer(upstream.Identity{Pins: []upstream.Pin{{1}}})
		nobody := upstream.Server{Addr: netip.MustParseAddrPort("192.0.2.254:853"), Transport: upstream.TLS}
		s.r.routes = newRoutes(&Options{Forwards: []Forward{{Zone: wire.MustName("corp.example."), Servers: []upstream.Server{stranger, nobody}}}})
		m := s.want("www.corp.example.", "A", "SERVFAIL")
		if got := ede(m); !strings.Contains(got, errStranger.Error()) || !hasCodes(m, "23") {
			t.Errorf("EDE %q", got)
		}
	})
}

// What an upstream says is validated, over an encrypted transport as over any other.
func TestEncryptedForwardsAreValidated(t *testing.T) {
	for _, c := range []struct {
		name  string
		flaws []testnet.Flaw
		want  string
	}{
		{"signed", nil, "NOERROR secure"},
		{"badly signed", []testnet.Flaw{testnet.BadSignature()}, "SERVFAIL 6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			encrypted(t, func(s *script, n *secured, _ []upstream.Server) {
				s.Zone("shop.example.", wwwRecord)
				s.Sign(testnet.Signing{}, ".", "example.")
				s.Sign(testnet.Signing{Flaws: c.flaws}, "shop.example.")
				s.doubting()
				at := s.At("shop.example.").Addresses()[0].Addr()
				s.r.routes = newRoutes(&Options{Forwards: []Forward{{Zone: wire.MustName("shop.example."), Servers: []upstream.Server{{
					Addr: netip.AddrPortFrom(at, 853), Transport: upstream.TLS, Peer: upstream.NewPeer(n.identity(t)),
				}}}}})
				s.wantStatus("www.shop.example.", "A", c.want)
				if n.connects[at] != 1 {
					t.Errorf("%d connections over TLS", n.connects[at])
				}
				if over := s.At("shop.example.").Seen().Over(testnet.UDP); len(over) > 0 {
					t.Errorf("the upstream was asked in clear: %v", over.Questions())
				}
			})
		})
	}
}
