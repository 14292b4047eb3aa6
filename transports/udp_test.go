package transports

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/privacy"
	"tacit/internal/wire"
)

// slowly resolves after a time, or fails when the context ends before.
func slowly(after time.Duration) script {
	return script{resolve: func(ctx context.Context, q wire.Question) wire.Answer {
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-timer.C:
			return wire.Answer{Packet: address(q)}
		case <-ctx.Done():
			var b wire.Builder
			b.Begin(nil, q, wire.ServFail, 0)
			return wire.Answer{Packet: b.Message()}
		}
	}}
}

func TestUDPRecallsAtOnceAndResolvesBeside(t *testing.T) {
	overMemory(t, func(t *testing.T, open opener) {
		r := slowly(time.Second)
		r.recall = func(dst []byte, q *wire.Query) (wire.Answer, bool) {
			if q.View != 3 {
				t.Error("view: ", q.View)
			}
			return wire.Answer{Packet: append(dst, address(q.Question())...)}, q.FoldedName()[1] == 'k'
		}
		s, u, _ := startOn(t, open, Options{}, r, everybody{})
		begin := time.Now()
		u.in <- delivery{packet: ask(1, "unknown.example."), peer: client1, control: nil}
		u.in <- delivery{packet: ask(2, "known.example."), peer: client1}
		for _, want := range []struct {
			id    uint16
			after time.Duration
		}{{2, 0}, {1, time.Second}} {
			d := <-u.out
			m := read(t, d.packet)
			if m.Id != want.id || len(m.Answer) != 1 || d.peer != client1 || time.Since(begin) != want.after {
				t.Error(time.Since(begin), d.peer, m)
			}
		}
		c := s.Counters(UDP)
		if c.Queries.Load() != 2 || c.Recalled.Load() != 1 || c.Answers(wire.NoError) != 2 {
			t.Error("counters: ", c.Queries.Load(), c.Recalled.Load(), c.Answers(wire.NoError))
		}
	})
}

func TestUDPQuestionHoldsWhatWasAsked(t *testing.T) {
	overMemory(t, func(t *testing.T, open opener) {
		got := make(chan wire.Question, 1)
		_, u, _ := startOn(t, open, Options{}, script{resolve: func(_ context.Context, q wire.Question) wire.Answer {
			got <- q
			return wire.Answer{Packet: address(q)}
		}}, everybody{})
		u.in <- delivery{peer: client1, packet: ask(9, "MiXed.Example.", func(m *dns.Msg) {
			m.SetEdns0(4096, true)
			m.RecursionDesired, m.CheckingDisabled = false, true
		})}
		want := wire.Question{
			Name: wire.MustName("mixed.example"), Type: wire.TypeA, Class: wire.ClassIN, DO: true, CD: true, View: 3, NoRecursion: true,
		}
		if q := <-got; q != want {
			t.Errorf("%+v", q)
		}
		if m := read(t, (<-u.out).packet); m.Id != 9 || m.Question[0].Name != "MiXed.Example." || !m.IsEdns0().Do() || m.RecursionDesired {
			t.Error(m)
		}
	})
}

// Messages that get no answer at all.
func TestUDPDrops(t *testing.T) {
	response := ask(1, "www.example.", func(m *dns.Msg) { m.Response = true })
	for _, c := range []struct {
		name   string
		packet []byte
	}{{"nothing", nil}, {"half a header", make([]byte, 11)}, {"RFC 1035 section 7.3: a response", response}} {
		t.Run(c.name, func(t *testing.T) {
			overMemory(t, func(t *testing.T, open opener) {
				s, u, _ := startOn(t, open, Options{}, script{}, everybody{})
				u.in <- delivery{packet: c.packet, peer: client1}
				synctest.Wait()
				if len(u.out) != 0 || s.Counters(UDP).Drops(NotAQuery) != 1 {
					t.Error("answers: ", len(u.out))
				}
			})
		})
	}
}

func TestUDPWaitsHaveLimits(t *testing.T) {
	overMemory(t, func(t *testing.T, open opener) {
		s, u, _ := startOn(t, open, Options{Limits: Limits{Waiting: 150}}, slowly(time.Second), everybody{})
		other := netip.MustParseAddrPort("198.51.100.1:53")
		for i := range 110 {
			u.in <- delivery{packet: ask(uint16(i), "www.example."), peer: client1}
		}
		for i := range 60 {
			u.in <- delivery{packet: ask(uint16(i), "www.example."), peer: other}
		}
		synctest.Wait()
		if got := s.Counters(UDP).Drops(NoSlot); got != 10+10 {
			t.Errorf("%d without a slot, want 10 above the 100 of a network and 10 above the 150 of all", got)
		}
		before := runtime.NumGoroutine()
		u.in <- delivery{packet: ask(1, "www.example."), peer: other}
		synctest.Wait()
		if after := runtime.NumGoroutine(); after != before {
			t.Error("a goroutine without a slot")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(u.out) != 150 || inUse(s) != 0 {
			t.Error(len(u.out), inUse(s))
		}
	})
}

// DNSBomb, CVE-2024-33655: a crowd that waits for slow servers gets no pulse of answers; a few do get theirs.
func TestUDPLateAnswers(t *testing.T) {
	for _, c := range []struct {
		name          string
		clients       int
		after         time.Duration
		answers, late uint64
	}{
		{"a crowd in time", 80, 1900 * time.Millisecond, 80, 0},
		{"a crowd, late: dropped until 50 are left", 80, 1901 * time.Millisecond, 50, 30},
		{"a few, late", 50, 4 * time.Second, 50, 0},
		{"a few, at the end of their patience", 3, time.Minute, 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			overMemory(t, func(t *testing.T, open opener) {
				s, u, _ := startOn(t, open, Options{}, slowly(c.after), everybody{})
				for i := range c.clients {
					u.in <- delivery{packet: ask(uint16(i), "www.example."), peer: client1}
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				answers, late := uint64(len(u.out)), s.Counters(UDP).Drops(Late)
				more := late - c.late // jobs that end at the same moment count each other
				if answers+late != uint64(c.clients) || more > min(c.late, uint64(runtime.GOMAXPROCS(0))) {
					t.Errorf("%d answers, %d late", answers, late)
				}
			})
		})
	}
}

func TestUDPAnswerThatDoesNotFitThePath(t *testing.T) {
	overMemory(t, func(t *testing.T, open opener) {
		s, u, _ := startOn(t, open, Options{}, script{resolve: func(_ context.Context, q wire.Question) wire.Answer {
			return wire.Answer{Packet: records(q, 8)}
		}}, everybody{})
		u.fail = func(packet []byte) error {
			if len(packet) > 600 {
				return fmt.Errorf("wrapped: %w", syscall.EMSGSIZE)
			}
			return nil
		}
		u.in <- delivery{packet: ask(1, "www.example.", edns(1232)), peer: client1}
		if m := read(t, (<-u.out).packet); !m.Truncated || m.IsEdns0() == nil {
			t.Error(m)
		}
		u.fail = func([]byte) error { return syscall.EPERM }
		u.in <- delivery{packet: ask(1, "www.example.", edns(1232)), peer: client1}
		synctest.Wait()
		if len(u.out) != 0 || s.Counters(UDP).Drops(SendFailed) != 1 {
			t.Error("a failed send is not counted")
		}
	})
}

// Each goroutine that handles a query answers SERVFAIL after a panic and logs nothing but positions in the code.
func TestPanics(t *testing.T) {
	const secret = "www.secret.example"
	explode := func() { panic(secret) }
	for _, c := range []struct {
		name string
		r    script
	}{
		{"in Recall", script{recall: func([]byte, *wire.Query) (wire.Answer, bool) { explode(); return wire.Answer{}, false }}},
		{"in Resolve", script{resolve: func(context.Context, wire.Question) wire.Answer { explode(); return wire.Answer{} }}},
	} {
		t.Run(c.name, func(t *testing.T) {
			overMemory(t, func(t *testing.T, open opener) {
				var logged bytes.Buffer
				log := slog.New(privacy.NewHandler(slog.NewTextHandler(&logged, nil)))
				s, u, l := startOn(t, open, Options{Log: log}, c.r, everybody{})
				u.in <- delivery{packet: ask(7, secret+".", edns(1232)), peer: client1}
				m := read(t, (<-u.out).packet)
				if code, _ := ede(m); m.Rcode != dns.RcodeServerFailure || m.Id != 7 || code != 0 {
					t.Error(m)
				}
				conn := l.dial("192.0.2.1")
				mustWrite(t, conn, framed(ask(8, secret+".")))
				if m := mustReceive(t, conn); m.Rcode != dns.RcodeServerFailure || m.Id != 8 {
					t.Error(m)
				}
				_ = conn.Close()
				synctest.Wait()
				if s.Counters(UDP).Panics.Load() != 1 || s.Counters(TCP).Panics.Load() != 1 || inUse(s) != 0 {
					t.Error("panics are not counted")
				}
				if out := logged.String(); !strings.Contains(out, "transports.TestPanics.func") || strings.Contains(out, "secret") ||
					strings.Contains(out, "192.0.2.1") || strings.Count(out, "\n") != 2 {
					t.Error(out)
				}
			})
		})
	}
}

// Shutdown: nothing more is read, who waits gets the answer within 5 s.
func TestShutdownDrains(t *testing.T) {
	for _, c := range []struct {
		name    string
		after   time.Duration
		took    time.Duration
		err     error
		answers int
	}{
		{"in time", 3 * time.Second, 3 * time.Second, nil, 1},
		{"not in time", time.Minute, 4900 * time.Millisecond, nil, 1}, // the failure is an answer, too
	} {
		t.Run(c.name, func(t *testing.T) {
			overMemory(t, func(t *testing.T, open opener) {
				s, u, l := newServer(Options{}), newMemoryUDP(), newMemoryListener()
				s.udp = append(s.udp, &udpSocket{front: s.front, conn: open(u)})
				s.tcpListener(l, TCP)
				served := make(chan struct{})
				go func() {
					s.Serve(slowly(c.after), everybody{})
					close(served)
				}()
				u.in <- delivery{packet: ask(1, "www.example."), peer: client1}
				conn, idle := l.dial("192.0.2.1"), l.dial("192.0.2.2")
				mustWrite(t, conn, framed(ask(2, "www.example.")))
				synctest.Wait()
				begin := time.Now()
				result := make(chan error)
				go func() { result <- s.Shutdown(t.Context()) }()
				if m := mustReceive(t, conn); m.Id != 2 {
					t.Error(m)
				}
				if _, err := receiveFrame(idle); err == nil {
					t.Error("the idle connection is open")
				}
				if err := <-result; !errors.Is(err, c.err) || time.Since(begin) != c.took {
					t.Error(err, time.Since(begin))
				}
				if <-served; len(u.out) != c.answers {
					t.Error(len(u.out))
				}
				if err := s.Shutdown(t.Context()); err != nil {
					t.Error("second call: ", err)
				}
			})
		})
	}
}

// Clients of a tenth of a second have one end of patience, 4.8 to 4.9 s after they came; those that come later have another.
func TestPatience(t *testing.T) {
	overMemory(t, func(t *testing.T, open opener) {
		s, u := newServer(Options{}), newMemoryUDP()
		s.udp = append(s.udp, &udpSocket{front: s.front, conn: open(u)})
		go s.Serve(slowly(time.Minute), everybody{})
		begin := time.Now()
		for i := range 40 { // every 50 ms
			u.in <- delivery{packet: ask(uint16(i), "www.example."), peer: client1}
			time.Sleep(50 * time.Millisecond)
		}
		for range 40 {
			m := read(t, (<-u.out).packet)
			came := begin.Add(time.Duration(m.Id) * 50 * time.Millisecond)
			if waited := time.Since(came); m.Rcode != dns.RcodeServerFailure || waited <= answerWithin-100*time.Millisecond || waited > answerWithin {
				t.Errorf("question %d waited %v: %v", m.Id, waited, m.Rcode)
			}
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Shutdown does not wait longer than its context allows; jobs that are left are told to end.
func TestShutdownGivesUp(t *testing.T) {
	overMemory(t, func(t *testing.T, open opener) {
		s, u := newServer(Options{}), newMemoryUDP()
		s.udp = append(s.udp, &udpSocket{front: s.front, conn: open(u)})
		served := make(chan struct{})
		go func() {
			s.Serve(slowly(time.Minute), everybody{})
			close(served)
		}()
		u.in <- delivery{packet: ask(1, "www.example."), peer: client1}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if err := s.Shutdown(ctx); !errors.Is(err, ErrNotDrained) || time.Since(begin) != time.Second {
			t.Error(err, time.Since(begin))
		}
		if <-served; time.Since(begin) != time.Second {
			t.Error("jobs run on")
		}
	})
}
