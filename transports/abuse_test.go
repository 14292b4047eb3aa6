//go:build abuse && linux

package transports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// 500 idle TCP and 400 stalled TLS connections: a new client is answered in less than 2 s, and each of them is gone 12 s
// after it was opened.
func TestAbuseIdleAndStalledConnections(t *testing.T) {
	t.Parallel()
	const many = 900
	a := startAbused(t)
	abuseWarmUp(t, a, 60, abuseWays...)
	var wave [many]net.Conn
	for i := range wave { // before, and not for long: what so many goroutines need, the runtime keeps
		wave[i] = abuseStall(t, a, i)
	}
	a.figures(t, "settle")
	for _, conn := range wave {
		_ = conn.Close()
	}
	var table abuseTable
	a.rounds(t, &table, "idle and stalled", many, func() { stallAndWait(t, a, many) })
	t.Log(table.String())
}

// stallAndWait opens many connections, and waits for the server to close them all.
func stallAndWait(t *testing.T, a *abuseServer, many int) {
	t.Helper()
	begin := time.Now()
	var open, longest atomic.Int64
	var clients sync.WaitGroup
	for i := range many {
		conn, opened := abuseStall(t, a, i), time.Now()
		open.Add(1)
		clients.Go(func() {
			defer open.Add(-1)
			abuseUntilClosed(t, conn)
			for took := int64(time.Since(opened)); ; {
				if before := longest.Load(); took <= before || longest.CompareAndSwap(before, took) {
					return
				}
			}
		})
	}
	f := a.figures(t, "peek")
	t.Logf("%d connections are open after %v: %d goroutines, %d descriptors, %d KiB, %d handshakes in progress",
		open.Load(), time.Since(begin).Round(time.Millisecond), f.Goroutines, f.Descriptors, f.Resident, f.Greetings)
	w := a.watch(t, abuseWays...)
	clients.Wait()
	w.end(t)
	if took := time.Duration(longest.Load()); took > 12*time.Second {
		t.Error("one was there for ", took)
	}
}

// abuseStall opens one connection and leaves it at that: 500 over TCP, and 400 in the midst of a handshake or just behind it.
func abuseStall(t *testing.T, a *abuseServer, i int) net.Conn {
	t.Helper()
	c := a.client(t, fmt.Sprintf("127.0.%d.%d", 1+i/250, 1+i%250))
	ctx, cancel := context.WithTimeout(t.Context(), abuseGiveUp)
	defer cancel()
	if i < 500 {
		conn, err := c.dialTCP(ctx, TCP)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // half of them have asked
			mustWrite(t, conn, framed(ask(1, "a.example.")))
			mustReceive(t, conn)
		}
		return conn
	}
	over := []Transport{TLS, HTTPS}[i%2]
	if i >= 800 { // the handshake is over, and then nothing is said
		conn, err := c.dial(ctx, abuseWay{transport: over})
		if err != nil {
			t.Fatal(i, err)
		}
		return conn
	}
	conn, err := c.dialTCP(ctx, over)
	if err != nil {
		t.Fatal(err)
	}
	if i >= 600 {
		mustWrite(t, conn, abuseHello(t)[:[]int{99, 5, 1}[i%3]])
	}
	return conn
}

// abuseUntilClosed reads until the server has closed the connection.
func abuseUntilClosed(t *testing.T, conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for b := make([]byte, 1<<10); ; {
		if _, err := conn.Read(b); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("a connection is open after 30 s")
			return
		} else if err != nil {
			return
		}
	}
}

// abuseWarmUp asks so often by each way that what is made once and kept (buffers, pools, pages of the program) is there.
func abuseWarmUp(t *testing.T, a *abuseServer, times int, ways ...abuseWay) {
	t.Helper()
	c := a.client(t, "127.0.0.3")
	for range times {
		for _, w := range ways {
			if _, err := c.ask(w); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// abuseNumber is how many connections are opened, if the environment does not say otherwise.
func abuseNumber(t *testing.T, variable string, usual int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// 30,000 connections opened and closed in turn over each transport, with one question on each: what the server holds then is
// within 5 % of the start.
func TestAbuseConnectionsLeaveNothing(t *testing.T) {
	t.Parallel()
	const side = 4 // at a time
	turns := abuseNumber(t, "TACIT_ABUSE_TURNS", 30000)
	var table abuseTable
	for _, w := range abuseWays {
		t.Run(w.String(), func(t *testing.T) {
			n := turns
			if w.transport == HTTPS {
				n /= 2 // with each version of HTTP
			}
			a := startAbused(t)
			abuseTurn(t, a, w, n/10, 2*side) // to the size at which it stays
			a.rounds(t, &table, w.String(), n, func() { abuseTurn(t, a, w, n, side) })
		})
	}
	t.Log(table.String())
}

// abuseTurn opens n connections one after the other, side by side on some addresses.
func abuseTurn(t *testing.T, a *abuseServer, w abuseWay, n, side int) {
	t.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	var workers sync.WaitGroup
	for i := range side {
		c := a.client(t, netip.AddrFrom4([4]byte{127, 0, 3, byte(i + 1)}).String())
		c.curves = quickCurves
		workers.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := c.ask(w); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
}
