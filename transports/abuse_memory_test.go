//go:build abuse && linux

package transports

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/net/http2"
)

// What an idle connection may cost the process, in resident octets: a third more than what was measured, which is 13, 15 and
// 55 KiB. Of the last, 46 are the library's.
var idleBounds = []struct {
	way  abuseWay
	most int
}{
	{abuseWay{transport: TLS}, 20 << 10},
	{abuseWay{transport: HTTPS}, 22 << 10},
	{abuseWay{transport: QUIC}, 72 << 10},
}

// Thousands of connections of DoT, of DoH over HTTP/2 and of DoQ have asked and are idle, and then some ask again. What the
// kernel holds for their sockets is not counted. TACIT_ABUSE_IDLE=10000 is what the figures above come from.
func TestAbuseIdleMemory(t *testing.T) {
	many := abuseNumber(t, "TACIT_ABUSE_IDLE", 3000)
	var table idleTable
	for _, c := range idleBounds {
		t.Run(c.way.String(), func(t *testing.T) {
			a := startAbusedWith(t, Limits{Connections: 2 * many, ConnectionsPerAddress: 2 * many})
			abuseWarmUp(t, a, 60, c.way)
			start, begin := a.begin(t), time.Now()
			var hold idleHold
			hold.open(t, a, c.way, many)
			if t.Failed() {
				return
			}
			time.Sleep(2 * restAfter)
			before, after := a.figures(t, "peek"), a.figures(t, "settle")
			if open := after.Connections[c.way.transport]; int(open) != many {
				t.Errorf("%d connections are open", open)
			}
			table.row(c.way, many, start, before, after, time.Since(begin))
			if each := 1024 * (after.Resident - start.Resident) / many; each > c.most {
				t.Errorf("an idle connection costs %d octets, more than %d", each, c.most)
			}
			for i := 0; i < len(hold.held); i += 10 { // the others would be idle for too long on a busy machine
				if err := hold.held[i](); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	t.Log(table.String())
}

// An idleTable is how the figures are printed.
type idleTable struct{ strings.Builder }

func (r *idleTable) row(w abuseWay, many int, start, before, after abuseFigures, took time.Duration) {
	if r.Len() == 0 {
		fmt.Fprintf(r, "\n%-15s %11s %11s %9s %8s %9s %10s %7s\n",
			"idle", "connections", "octets each", "before GC", "of heap", "of stacks", "goroutines", "took")
	}
	each := func(now, then int) int { return 1024 * (now - then) / many }
	fmt.Fprintf(r, "%-15s %11d %11d %9d %8d %9d %10d %6.1fs\n", w, many, each(after.Resident, start.Resident),
		each(before.Resident, start.Resident), each(after.Heap, start.Heap), each(after.StackMemory, start.StackMemory),
		(after.Goroutines-start.Goroutines)/many, took.Seconds())
}

// An idleHold keeps connections open.
type idleHold struct {
	mu   sync.Mutex
	held []func() error // asks one more question
}

// open opens so many connections and asks on each. What the first of them have waited is forgiven them until the last are there.
func (h *idleHold) open(t *testing.T, a *abuseServer, w abuseWay, many int) {
	t.Helper()
	const side = 4 // at a time
	var workers sync.WaitGroup
	for i := range side {
		c := a.client(t, netip.AddrFrom4([4]byte{127, 0, 8, byte(i + 1)}).String())
		c.curves = quickCurves
		workers.Go(func() {
			for range many / side {
				if err := h.add(t, c, w); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	opened := make(chan struct{})
	go func() {
		workers.Wait()
		close(opened)
	}()
	for {
		select {
		case <-opened:
			a.figures(t, "touch")
			return
		case <-time.After(time.Second):
			a.figures(t, "touch")
		}
	}
}

// add opens a connection and asks on it.
func (h *idleHold) add(t *testing.T, c *abuseClient, w abuseWay) error {
	ask, err := c.hold(t, w)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.held = append(h.held, ask)
	h.mu.Unlock()
	return ask()
}

// hold opens a connection that stays open until the test is over.
func (c *abuseClient) hold(t *testing.T, w abuseWay) (asks func() error, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), abuseGiveUp)
	defer cancel()
	query := ask(0, "a.example.")
	if w.transport == QUIC {
		conn, err := c.dialQUIC(ctx, c.server.Addrs[QUIC], alpnDoQ)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = conn.CloseWithError(doqNoError, "") })
		return func() error { return abuseAskStream(conn, query) }, nil
	}
	conn, err := c.dial(ctx, w)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	return asker(conn, w, query)
}

func abuseAskStream(conn *quic.Conn, query []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), abuseGiveUp)
	defer cancel()
	_, err := abuseStream(ctx, conn, query)
	return err
}

// asker makes a function that asks over a connection that is greeted.
func asker(conn net.Conn, w abuseWay, query []byte) (func() error, error) {
	if w.transport != HTTPS {
		return func() error {
			_ = conn.SetDeadline(time.Now().Add(abuseGiveUp))
			if _, err := conn.Write(framed(query)); err != nil {
				return err
			}
			_, err := receiveFrame(conn)
			return err
		}, nil
	}
	h, err := newAbuseHTTP2(conn)
	if err != nil {
		return nil, err
	}
	stream := uint32(1)
	return func() error {
		_ = conn.SetDeadline(time.Now().Add(abuseGiveUp))
		if err := h.get(stream, query); err != nil {
			return err
		}
		stream += 2
		return h.untilAnswered()
	}, nil
}

// untilAnswered reads the answer to the one question that is open.
func (h *abuseHTTP2) untilAnswered() error {
	for {
		frame, err := h.ReadFrame()
		if err != nil {
			return err
		}
		if f, ok := frame.(*http2.DataFrame); ok && f.StreamEnded() {
			return nil
		}
	}
}
