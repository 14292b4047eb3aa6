package resolver

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"tacit/internal/testnet"
	"tacit/internal/wire"
)

func TestParseHints(t *testing.T) {
	cases := []struct {
		name, text string
		servers    int
		addresses  int
		err        string // "" for none
	}{
		{"a server", ". 3600 NS a.example.\na.example. 3600 A 192.0.2.1", 1, 1, ""},
		{"without TTL", ". NS a.example.\na.example. A 192.0.2.1", 1, 1, ""},
		{"both families", ". 1 NS a.example.\na.example. 1 A 192.0.2.1\na.example. 1 AAAA 2001:db8::1", 1, 2, ""},
		{"letter case", ". 1 NS A.Example.\na.eXAMPLE. 1 A 192.0.2.1", 1, 1, ""},
		{"other records", ". 1 NS a.example.\na.example. 1 A 192.0.2.1\n. 1 TXT x", 1, 1, ""},
		{"a server without address", ". 1 NS a.example.\n. 1 NS b.example.\nb.example. 1 A 192.0.2.1", 1, 1, ""},
		{"an address of nobody", "a.example. 1 A 192.0.2.1", 0, 0, ErrNoHints.Error()},
		{"empty", "", 0, 0, ErrNoHints.Error()},
		{"another zone", "example. 1 NS a.example.\na.example. 1 A 192.0.2.1", 0, 0, "another zone"},
		{"thousands", ". 1 NS a.example.\n$GENERATE 1-65535 a.example. 1 A 192.0.2.1", 0, 0, ErrNoHints.Error()},
		{"not a zone file", "<html>", 0, 0, "dns:"},
	}
	for _, c := range cases {
		hints, err := ParseHints(strings.NewReader(c.text))
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		case c.err == "" && (err != nil || len(hints) != c.servers || len(hints[0].Addresses) != c.addresses):
			t.Errorf("%s: %d hints, %v", c.name, len(hints), err)
		}
	}
}

// The built-in hints are those of IANA: thirteen servers with two addresses each.
func TestBuiltinHints(t *testing.T) {
	hints := BuiltinHints()
	if len(hints) != 13 {
		t.Fatalf("%d root servers", len(hints))
	}
	for i, h := range hints {
		if len(h.Addresses) != 2 || h.Addresses[0].Is4() == h.Addresses[1].Is4() {
			t.Errorf("root server %d has the addresses %v", i, h.Addresses)
		}
	}
	if r := New(Options{}); len(r.hints) != 13 || r.port != defaultPort {
		t.Error("a Resolver without options does not start at the root")
	}
}

func at(name string, addresses ...string) Hint {
	h := Hint{Name: wire.MustName(name)}
	for _, a := range addresses {
		h.Addresses = append(h.Addresses, netip.MustParseAddr(a))
	}
	return h
}

// RFC 9609 section 3: the answer to the priming query replaces the hints.
func TestPrimingAnswerIsUsed(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		root := s.At(".").Addresses()[0].Addr().String()
		s.r.hints = []Hint{at("old.example.", root)}
		s.want("www.shop.example.", "A", wwwAnswer)
		s.saw(".", ". NS", "example. A")
		s.r.hints = []Hint{at("old.example.", "192.0.2.250")} // nobody there
		s.want("nothing.test.", "A", "NXDOMAIN")
	})
}

// RFC 9609 section 3: dead hints cost time and not the answer.
func TestDeadHints(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		good := s.At(".").Addresses()[0].Addr().String()
		s.r.hints = []Hint{at("a.example.", "192.0.2.250"), at("b.example.", "192.0.2.251"), at("c.example.", good)}
		s.want("www.shop.example.", "A", wwwAnswer)
	})
}

func TestNoRoot(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", wwwRecord)
		s.At(".").Behave(testnet.Silent())
		m := s.want("www.shop.example.", "A", "SERVFAIL")
		if ede(m) == "" {
			t.Error("a failure without reason")
		}
		time.Sleep(20 * time.Second)
		s.At(".").Behave()
		s.want("www.shop.example.", "A", wwwAnswer)
	})
}

// RFC 9609 section 3.3: the root's NS RRset is asked for again when it has expired, and not before.
func TestPrimingIsRepeatedWhenItsLeaseIsOver(t *testing.T) {
	play(t, func(s *script) {
		s.resolve("a.nowhere.", "A")
		s.saw(".", ". NS", "nowhere. A")
		time.Sleep(3500 * time.Second)
		s.Reset()
		m := s.resolve("a.nowhere2.", "A")
		s.saw(".", "nowhere2. A")
		// Nobody has granted the root: what it says is kept for its own TTL.
		if ttl := m.Ns[0].Header().Ttl; ttl != 300 {
			t.Errorf("a denial of the root's has the TTL %d, want 300", ttl)
		}
		time.Sleep(101 * time.Second)
		s.Reset()
		s.resolve("a.nowhere3.", "A")
		s.saw(".", ". NS", "nowhere3. A")
	})
}

// RFC 9609 section 3.2: the resolver asks any of the servers, at random.
func TestPrimingAsksAnyServer(t *testing.T) {
	asked := map[netip.AddrPort]bool{}
	for range 40 {
		playOnce(t, func(s *script) {
			s.NameServer(".")
			hints, err := ParseHints(strings.NewReader(s.Hints()))
			if err != nil {
				t.Fatal(err)
			}
			s.r.hints = hints
			s.resolve("nowhere.", "A")
			for _, p := range s.SeenAt(".").Asking(".", 0) {
				asked[p.To] = true
			}
		}, packetsOn)
	}
	if len(asked) < 3 {
		t.Errorf("%d of 4 addresses were primed from", len(asked))
	}
}

func FuzzHints(f *testing.F) {
	f.Add(rootHints)
	f.Add(". 3600 NS a.example.\na.example. 3600 A 192.0.2.1")
	f.Add("$ORIGIN example.\n. NS a\na AAAA 2001:db8::1")
	f.Add("$INCLUDE root.hints")
	f.Add("$GENERATE 1-3 . NS a$.example.")
	f.Fuzz(func(t *testing.T, text string) {
		hints, err := ParseHints(strings.NewReader(text))
		if (err == nil) != (len(hints) > 0) {
			t.Fatalf("%d hints and the error %v", len(hints), err)
		}
		if err != nil && errors.Is(err, ErrNoHints) && strings.Contains(err.Error(), "\n") {
			t.Error("an error of more than one line")
		}
		for _, h := range hints {
			if len(h.Addresses) == 0 {
				t.Error("a hint without address")
			}
			for _, a := range h.Addresses {
				if !a.IsValid() {
					t.Error("a hint with an invalid address")
				}
			}
		}
	})
}
