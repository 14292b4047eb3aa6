package resolver

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"tacit/cache"
	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A script is a resolver in front of an internet in memory, inside a bubble in which waiting takes no time.
type script struct {
	*testing.T
	*testnet.World
	r *Resolver
}

// play runs a script. Options may change the resolver's before it starts.
func play(t *testing.T, run func(s *script), options ...func(*Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{Seed: 1})
		memory := upstream.NewMemory(upstream.MemoryOptions{})
		client := upstream.New(upstream.Options{Network: w, Memory: memory})
		hints, err := ParseHints(strings.NewReader(w.Hints()))
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Exchanger: client, Memory: memory, Cache: cache.New(cache.Options{Size: 1 << 20}), Hints: hints}
		for _, change := range options {
			change(&o)
		}
		s := &script{T: t, World: w, r: New(o)}
		run(s)
		s.r.Close()
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
}

// resolve asks one question as a client would.
func (s *script) resolve(name, kind string) *dns.Msg {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	q := wire.Question{Name: wire.MustName(name), Type: wire.Type(dns.StringToType[kind]), Class: wire.ClassIN}
	return s.unpack(s.r.Resolve(ctx, q))
}

// unpack makes a message of an answer, with its extended errors as text records of the additional section.
func (s *script) unpack(a wire.Answer) *dns.Msg {
	s.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(a.Packet); err != nil {
		s.Fatalf("answer does not unpack: %v", err)
	}
	if !m.Response || !m.RecursionAvailable || m.Id != 0 {
		s.Errorf("header of a finished answer: %+v", m.MsgHdr)
	}
	if len(a.Errors) > 0 {
		m.SetEdns0(1232, false)
		for _, e := range a.Errors {
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_EDE{InfoCode: uint16(e.Code), ExtraText: e.Text})
		}
	}
	return m
}

// want resolves and compares the answer, written as "RCODE" or "RCODE record; record", without TTLs.
func (s *script) want(name, kind, answer string) *dns.Msg {
	s.Helper()
	m := s.resolve(name, kind)
	if got := brief(m); got != answer {
		s.Errorf("%s %s\n got %s\nwant %s\n ede %s\nseen\n%s", name, kind, got, answer, ede(m), strings.Join(s.Seen().Script(), "\n"))
	}
	return m
}

func brief(m *dns.Msg) string {
	var records []string
	for _, rr := range m.Answer {
		h := rr.Header()
		data := strings.TrimPrefix(rr.String(), h.String())
		records = append(records, h.Name+" "+dns.TypeToString[h.Rrtype]+" "+data)
	}
	return strings.TrimSpace(dns.RcodeToString[m.Rcode] + " " + strings.Join(records, "; "))
}

func ede(m *dns.Msg) string {
	var texts []string
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			texts = append(texts, o.String())
		}
	}
	return strings.Join(texts, "; ")
}

// saw compares the questions that a zone's servers saw since the last Reset.
func (s *script) saw(zone string, questions ...string) {
	s.Helper()
	if got := strings.Join(s.SeenAt(zone).Questions(), ", "); got != strings.Join(questions, ", ") {
		s.Errorf("servers of %s saw %q, want %q", zone, got, strings.Join(questions, ", "))
	}
}

var testnetRefusing = testnet.Failing(dns.RcodeRefused)
