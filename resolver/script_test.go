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

// play runs a script twice, with and without the cache of finished answers: what a client gets must not depend on it.
// Options may change the resolver's before it starts.
func play(t *testing.T, run func(s *script), options ...func(*Options)) {
	t.Helper()
	for name, off := range map[string]bool{"packets": false, "no packets": true} {
		t.Run(name, func(t *testing.T) {
			remember := packetsOn
			if off {
				remember = packetsOff
			}
			playOnce(t, run, append([]func(*Options){remember}, options...)...)
		})
	}
}

func packetsOn(o *Options)  { o.Cache = cache.New(cache.Options{Size: 1 << 20}) }
func packetsOff(o *Options) { o.Cache = cache.New(cache.Options{Size: 1 << 20, PacketsOff: true}) }

func playOnce(t *testing.T, run func(s *script), options ...func(*Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{Seed: 1})
		memory := upstream.NewMemory(upstream.MemoryOptions{})
		client := upstream.New(upstream.Options{Network: w, Memory: memory})
		hints, err := ParseHints(strings.NewReader(w.Hints()))
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Exchanger: client, Memory: memory, Hints: hints}
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
	return s.unpack(s.ask(question(name, kind)))
}

func question(name, kind string) wire.Question {
	return wire.Question{Name: wire.MustName(name), Type: wire.Type(dns.StringToType[kind]), Class: wire.ClassIN}
}

// clientPatience is how long clients wait, as transports have it.
const clientPatience = 5 * time.Second

// everyWay is how often the same is asked in turn to see all ways in which it is answered: found, put together from RRsets, and
// as a finished answer.
const everyWay = 3

// ask takes the way of a query: a finished answer, or the whole path.
func (s *script) ask(q wire.Question) wire.Answer {
	s.Helper()
	if a, ok := s.r.Recall(nil, query(s, q), s.r.now()); ok {
		return a
	}
	ctx, cancel := context.WithTimeout(context.Background(), clientPatience)
	defer cancel()
	a, _ := s.r.Resolve(ctx, q)
	return a
}

// A failer is a test.
type failer interface {
	Helper()
	Fatal(args ...any)
}

// query makes of a question the client's message that asks it.
func query(t failer, q wire.Question) *wire.Query {
	t.Helper()
	m := new(dns.Msg).SetQuestion(q.Name.Reveal(), uint16(q.Type))
	m.CheckingDisabled, m.RecursionDesired = q.CD, !q.NoRecursion
	if q.DO {
		m.SetEdns0(1232, true).IsEdns0().SetCo(q.CO)
	}
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	parsed := new(wire.Query)
	if parsed.Parse(packet) != wire.Accept {
		t.Fatal("a client's query was not accepted")
	}
	parsed.View = q.View
	return parsed
}

// unpack makes a message of an answer, with its extended errors as text records of the additional section.
func (s *script) unpack(a wire.Answer, _ ...Failure) *dns.Msg {
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

// add adds records to a zone.
func (s *script) add(zone, text string) {
	s.Helper()
	if err := s.Data(zone).Add(text); err != nil {
		s.Fatal(err)
	}
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
