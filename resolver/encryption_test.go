package resolver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/upstream"
)

// covert plays a script in which every server can be asked over TLS, too, unless the network says otherwise.
func covert(t *testing.T, o Options, run func(s *script, n *secured)) {
	t.Helper()
	playOnce(t, func(s *script) {
		n := newSecured(t, s.World)
		client := upstream.New(upstream.Options{Network: n, Memory: s.r.memory})
		s.r.exchanger = client
		s.r.encryption = encryption{o.Encrypt, o.EncryptedZones, o.EncryptedServers}
		run(s, n)
		s.r.Close()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}, packetsOff)
}

const wildcard = "* A 203.0.113.80"

// wants asks for one new name below shop.example., and returns how long that took.
func (s *script) wants(label string) time.Duration {
	s.Helper()
	begin := time.Now()
	s.want(label+".shop.example.", "A", "NOERROR "+label+".shop.example. A 203.0.113.80")
	return time.Since(begin)
}

// RFC 9539: of what is asked when the servers are known, all is encrypted, and the trials cost no answer any time.
func TestRecursionIsEncrypted(t *testing.T) {
	const questions = 200
	var inClear []time.Duration
	covert(t, Options{}, func(s *script, _ *secured) {
		s.Zone("shop.example.", wildcard)
		for i := range 3 {
			inClear = append(inClear, s.wants(fmt.Sprintf("x%d", i)))
		}
	})
	covert(t, Options{Encrypt: true}, func(s *script, _ *secured) {
		s.Zone("shop.example.", wildcard)
		if took := s.wants("x0"); took != inClear[0] {
			t.Errorf("the first answer took %v, in clear %v", took, inClear[0])
		}
		time.Sleep(time.Second)
		before := s.r.memory.Stats()
		for i := range questions {
			s.wants(fmt.Sprintf("y%d", i))
			time.Sleep(time.Duration(i%3) * 10 * time.Second) // some sessions have ended, some have not
		}
		after := s.r.memory.Stats()
		all, hidden := 0, after.Encrypted()-before.Encrypted()
		for i := range after.Queries {
			all += int(after.Queries[i] - before.Queries[i])
		}
		t.Logf("%d of %d queries were encrypted", hidden, all)
		if share := 100 * int(hidden) / all; share < 95 {
			t.Errorf("%d %% of %d queries were encrypted", share, all)
		}
	})
}

// Where nobody is at the port, everything is as it would be without.
func TestTrialsCostNothing(t *testing.T) {
	var took [2][]time.Duration
	for i, encrypt := range []bool{false, true} {
		covert(t, Options{Encrypt: encrypt}, func(s *script, n *secured) {
			n.absent.Store(true)
			s.Zone("shop.example.", wildcard)
			for j := range 20 {
				took[i] = append(took[i], s.wants(fmt.Sprintf("x%d", j)))
			}
		})
	}
	if fmt.Sprint(took[0]) != fmt.Sprint(took[1]) {
		t.Errorf("in clear %v\nwith trials %v", took[0], took[1])
	}
}

// An encrypted transport that falls silent holds up one question for less than a second, and no other.
func TestSilentCoverIsLeft(t *testing.T) {
	for _, servers := range []int{1, 2} {
		covert(t, Options{Encrypt: true}, func(s *script, n *secured) {
			s.Zone("shop.example.", wildcard, testnet.IPv4Only())
			for range servers - 1 {
				s.NameServer("shop.example.", testnet.IPv4Only())
			}
			for i := range 10 {
				s.wants(fmt.Sprintf("warm%d", i))
				time.Sleep(time.Second)
			}
			s.Reset()
			n.stalled.Store(true)
			var slow int
			for i := range 20 {
				switch took := s.wants(fmt.Sprintf("x%d", i)); {
				case took >= time.Second:
					t.Errorf("%d servers: an answer took %v", servers, took)
				case took > 100*time.Millisecond:
					slow++
				}
			}
			if slow > servers {
				t.Errorf("%d servers: %d answers were late", servers, slow)
			}
		})
	}
}

// Of two servers the one that can be asked encrypted is, unless that takes much longer.
func TestEncryptedServersArePreferred(t *testing.T) {
	const questions, few = 200, 30 // chosen at random: 5
	for _, c := range []struct {
		far       time.Duration
		encrypted bool
	}{{100 * time.Millisecond, true}, {150 * time.Millisecond, false}} {
		covert(t, Options{Encrypt: true}, func(s *script, n *secured) {
			near := s.Zone("shop.example.", wildcard, testnet.IPv4Only(), testnet.Latency(10*time.Millisecond))
			n.plain = near.Addresses()[0].Addr()
			s.NameServer("shop.example.", testnet.IPv4Only(), testnet.Latency(c.far))
			for i := range 100 { // both are asked, and found out about
				s.wants(fmt.Sprintf("warm%d", i))
				time.Sleep(time.Second)
			}
			before := s.r.memory.Stats()
			for i := range questions {
				s.wants(fmt.Sprintf("x%d", i))
			}
			after := s.r.memory.Stats()
			count := int(after.Encrypted() - before.Encrypted())
			if c.encrypted {
				count = questions - count
			}
			if count > few {
				t.Errorf("%v away: %d of %d questions went to the other server", c.far, count, questions)
			}
		})
	}
}

// Zones and servers of the strict list are asked encrypted or not at all; what lies beside them goes as ever.
func TestStrictEncryptionOfZones(t *testing.T) {
	strict := Options{EncryptedZones: []wire.Name{wire.MustName("shop.example.")}}
	covert(t, strict, func(s *script, _ *secured) {
		s.Zone("shop.example.", wildcard)
		s.Zone("deep.shop.example.", wildcard)
		for i := range 5 {
			s.wants(fmt.Sprintf("x%d", i))
		}
		s.want("www.deep.shop.example.", "A", "NOERROR www.deep.shop.example. A 203.0.113.80")
		for _, zone := range []string{"shop.example.", "deep.shop.example."} {
			if seen := s.SeenAt(zone); len(seen.Over(testnet.UDP)) > 0 || len(seen.Over(testnet.TCP)) == 0 {
				t.Errorf("the servers of %s saw %v", zone, seen.Script())
			}
		}
		if len(s.SeenAt("example.").Over(testnet.UDP)) == 0 {
			t.Error("the servers above were not asked in clear")
		}
	})
	covert(t, strict, func(s *script, n *secured) {
		n.absent.Store(true)
		s.Zone("shop.example.", wildcard)
		m := s.want("www.shop.example.", "A", "SERVFAIL")
		if got := ede(m); !strings.Contains(got, errUncovered.Error()) || !hasCodes(m, "23") {
			t.Errorf("EDE %q", got)
		}
		if seen := s.SeenAt("shop.example."); len(seen.Over(testnet.UDP))+len(seen.Over(testnet.TCP)) > 0 {
			t.Errorf("saw %v", seen.Script())
		}
	})
}

// Whom to try is decided by who named the server, and where it is.
func TestWhoIsAskedEncrypted(t *testing.T) {
	address := func(a string) upstream.Server {
		return upstream.Server{Addr: netip.AddrPortFrom(netip.MustParseAddr(a), 53)}
	}
	named := address("192.0.2.1")
	named.Transport = upstream.TLS
	example := wire.MustName("example.")
	for _, c := range []struct {
		name   string
		o      Options
		zone   string
		server upstream.Server
		found  bool
		want   upstream.Encryption
	}{
		{"a server found", Options{Encrypt: true}, "test.", address("192.0.2.1"), true, upstream.Opportunistic},
		{"off", Options{}, "test.", address("192.0.2.1"), true, upstream.Clear},
		{"a stub or a forwarder", Options{Encrypt: true}, "test.", address("192.0.2.1"), false, upstream.Clear},
		{"a forwarder over TLS", Options{EncryptedZones: []wire.Name{example}}, "example.", named, false, upstream.Clear},
		{"a private address", Options{Encrypt: true}, "test.", address("10.0.0.1"), true, upstream.Clear},
		{"loopback", Options{Encrypt: true}, "test.", address("::1"), true, upstream.Clear},
		{"a private address that may be", Options{Encrypt: true, AllowSpecialAddresses: true}, "test.", address("10.0.0.1"), true, upstream.Opportunistic},
		{"strict zone", Options{Encrypt: true, EncryptedZones: []wire.Name{example}}, "example.", address("192.0.2.1"), true, upstream.Strict},
		{"below a strict zone", Options{EncryptedZones: []wire.Name{example}}, "shop.example.", address("192.0.2.1"), true, upstream.Strict},
		{"above a strict zone", Options{EncryptedZones: []wire.Name{example}}, ".", address("192.0.2.1"), true, upstream.Clear},
		{"a stub in a strict zone", Options{EncryptedZones: []wire.Name{example}}, "example.", address("10.0.0.1"), false, upstream.Strict},
		{"strict server", Options{EncryptedServers: []netip.Addr{named.Addr.Addr()}}, "test.", address("192.0.2.1"), true, upstream.Strict},
	} {
		if got := New(c.o).covered(wire.MustName(c.zone), c.server, c.found).Encryption; got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
