package testnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

func TestLatencyIsExact(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		s := w.Zone("shop.example.", "www A 203.0.113.80", testnet.Latency(30*time.Millisecond))
		for _, c := range []struct {
			transport testnet.Transport
			behaviour testnet.Behaviour
			want      time.Duration
		}{
			{testnet.UDP, testnet.Latency(30 * time.Millisecond), 30 * time.Millisecond},
			{testnet.UDP, testnet.Slow(time.Second), time.Second + testnet.DefaultLatency},
			{testnet.TCP, testnet.Latency(30 * time.Millisecond), 60 * time.Millisecond}, // one round trip to connect
		} {
			s.Behave(c.behaviour)
			start := time.Now()
			if _, err := exchange(w, c.transport, s, query("www.shop.example.", dns.TypeA)); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got != c.want {
				t.Errorf("over %s: %v, want %v", c.transport, got, c.want)
			}
		}
		if seen := s.Seen(); seen[0].Time.After(seen[1].Time) || len(seen) != 3 {
			t.Errorf("record %v", seen)
		}
	})
}

func TestUnansweredDials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, c := range []struct {
			name    string
			prepare func(n *testnet.Internet)
			network string
			address string
			dial    error // of the dial
			read    error // of the read, if the dial went well
			after   time.Duration
		}{
			{name: "UDP to nobody vanishes", network: "udp", address: "192.0.2.9:53", read: os.ErrDeadlineExceeded, after: time.Second},
			{name: "TCP to nobody is refused", network: "tcp", address: "192.0.2.9:53", dial: syscall.ECONNREFUSED, after: 10 * time.Millisecond},
			{
				name: "no route", network: "udp6", address: "[2001:db8::9]:53", dial: syscall.ENETUNREACH,
				prepare: func(n *testnet.Internet) { n.Unreachable("::/0", syscall.ENETUNREACH) },
			},
			{
				name: "no route is for one family", network: "udp", address: "192.0.2.9:53", read: os.ErrDeadlineExceeded, after: time.Second,
				prepare: func(n *testnet.Internet) { n.Unreachable("::/0", syscall.ENETUNREACH) },
			},
			{
				name: "no route over TCP", network: "tcp", address: "[2001:db8::9]:53", dial: syscall.EHOSTUNREACH,
				prepare: func(n *testnet.Internet) { n.Unreachable("2001:db8::9", syscall.EHOSTUNREACH) },
			},
			{
				name: "a closed port over UDP shows at the read", network: "udp", address: "192.0.2.9:53", read: syscall.ECONNREFUSED, after: 10 * time.Millisecond,
				prepare: func(n *testnet.Internet) { n.Unreachable("192.0.2.0/24", syscall.ECONNREFUSED) },
			},
			{
				name: "a closed port over TCP", network: "tcp4", address: "192.0.2.9:53", dial: syscall.ECONNREFUSED, after: 10 * time.Millisecond,
				prepare: func(n *testnet.Internet) { n.Unreachable("192.0.2.9", syscall.ECONNREFUSED) },
			},
			{
				name: "a black hole over TCP ends with the context", network: "tcp", address: "192.0.2.9:53", dial: context.DeadlineExceeded, after: 3 * time.Second,
				prepare: func(n *testnet.Internet) { n.BlackHole("0.0.0.0/0") },
			},
			{
				name: "a repaired route", network: "udp6", address: "[2001:db8::9]:53", read: os.ErrDeadlineExceeded, after: time.Second,
				prepare: func(n *testnet.Internet) { n.Unreachable("::/0", syscall.ENETUNREACH); n.Reachable("::/0") },
			},
		} {
			n := testnet.NewInternet(1, 0)
			if c.prepare != nil {
				c.prepare(n)
			}
			start := time.Now()
			dialed, read := tryRead(n, c.network, c.address)
			if !errors.Is(dialed, c.dial) || !errors.Is(read, c.read) || time.Since(start) != c.after {
				t.Errorf("%s: dial %v, read %v, after %v", c.name, dialed, read, time.Since(start))
			}
		}
	})
}

// tryRead dials within 3 s, sends, and waits 1 s for something.
func tryRead(n network, network, address string) (dialed, read error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	conn, err := n.DialContext(ctx, network, address)
	if err != nil {
		return err, nil
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("hello")); err != nil {
		return nil, err
	}
	_, err = conn.Read(make([]byte, 512))
	return nil, err
}

func TestAddressesMustSuit(t *testing.T) {
	n := testnet.NewInternet(1, 0)
	for _, c := range [][2]string{
		{"udp4", "[2001:db8::1]:53"}, {"tcp6", "192.0.2.1:53"}, {"udp", "ns1.example.:53"}, {"unix", "192.0.2.1:53"}, {"tcp", "192.0.2.1"},
	} {
		if conn, err := n.DialContext(context.Background(), c[0], c[1]); err == nil {
			t.Errorf("dialled %v: %v", c, conn.RemoteAddr())
		}
	}
}

func TestCancelledDial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := testnet.NewInternet(1, time.Hour)
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := n.DialContext(ctx, "tcp", "192.0.2.9:53")
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, err := n.DialContext(ctx, "udp", "192.0.2.9:53"); !errors.Is(err, context.Canceled) {
			t.Errorf("UDP with a cancelled context: %v", err)
		}
	})
}

// What package net's connections promise of deadlines and Close, for both kinds.
func TestConnections(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := testnet.New(testnet.Options{})
				conn, err := w.DialContext(context.Background(), network, w.At(".").Addresses()[0].String())
				if err != nil {
					t.Fatal(err)
				}
				checkDeadlines(t, conn)
				checkClose(t, conn)
			})
		})
	}
}

func checkDeadlines(t *testing.T, conn net.Conn) {
	buffer := make([]byte, 512)
	read := func() (time.Duration, error) {
		start := time.Now()
		_, err := conn.Read(buffer)
		return time.Since(start), err
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	if after, err := read(); !isTimeout(err) || after != time.Second {
		t.Errorf("deadline in 1 s: %v after %v", err, after)
	}
	if after, err := read(); !isTimeout(err) || after != 0 {
		t.Errorf("deadline in the past: %v after %v", err, after)
	}
	// A new deadline counts for a read that waits.
	_ = conn.SetDeadline(time.Time{})
	time.AfterFunc(time.Second, func() { _ = conn.SetReadDeadline(time.Now().Add(time.Second)) })
	if after, err := read(); !isTimeout(err) || after != 2*time.Second {
		t.Errorf("deadline set while reading: %v after %v", err, after)
	}
	_ = conn.SetWriteDeadline(time.Now().Add(-time.Second))
	if _, err := conn.Write(buffer); !isTimeout(err) {
		t.Errorf("write after its deadline: %v", err)
	}
}

func checkClose(t *testing.T, conn net.Conn) {
	_ = conn.SetDeadline(time.Time{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if _, err := conn.Read(make([]byte, 512)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read while closing: %v", err)
		}
	})
	synctest.Wait()
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	waiting.Wait()
	_, err := conn.Write([]byte("late"))
	if again := conn.Close(); !errors.Is(err, net.ErrClosed) || !errors.Is(again, net.ErrClosed) {
		t.Errorf("after closing: write %v, close %v", err, again)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout() && errors.Is(err, os.ErrDeadlineExceeded)
}

func TestSourcePorts(t *testing.T) {
	ports := func(seed uint64) (ports []uint16) {
		w := testnet.New(testnet.Options{Seed: seed})
		for range 20 {
			ask(t, w, w.At("."), query("example.", dns.TypeNS))
		}
		for _, p := range w.Seen() {
			ports = append(ports, p.From.Port())
		}
		return ports
	}
	bubble(t, func(t *testing.T) {
		first, again, other := ports(1), ports(1), ports(2)
		distinct := make(map[uint16]bool)
		for _, p := range first {
			distinct[p] = true
		}
		if len(distinct) < 19 {
			t.Errorf("%d ports for 20 sockets: %v", len(distinct), first)
		}
		if !equal(first, again) || equal(first, other) {
			t.Errorf("seeds 1, 1, 2 gave %v, %v, %v", first, again, other)
		}
	})
}

func equal(a, b []uint16) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

func TestListenPacket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		conn, err := w.ListenPacket(context.Background(), "udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		packet, _ := query("example.", dns.TypeSOA).Pack()
		for _, to := range w.At("example.").Addresses() { // IPv4, then IPv6
			if _, err := conn.WriteTo(packet, net.UDPAddrFromAddrPort(to)); err != nil {
				t.Fatal(err)
			}
			n, from, err := conn.ReadFrom(make([]byte, 512))
			if err != nil || n < 12 || from.String() != to.String() {
				t.Errorf("%d bytes from %v: %v; want from %v", n, from, err, to)
			}
		}
		if seen := w.Seen(); seen[0].From.Addr() != testnet.ClientIPv4 || seen[1].From.Addr() != testnet.ClientIPv6 {
			t.Errorf("sources %v and %v", seen[0].From, seen[1].From)
		}
		_, err = w.ListenPacket(context.Background(), "udp", conn.LocalAddr().String())
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second socket on a port: %v", err)
		}
	})
}

// Two sockets can talk with each other; a connected one hears its peer alone.
func TestSocketToSocket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := testnet.NewInternet(1, 0)
		ctx := context.Background()
		server, err := n.ListenPacket(ctx, "udp4", "192.0.2.99:5300")
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		stranger, _ := n.ListenPacket(ctx, "udp4", "192.0.2.98:5300")
		defer stranger.Close()
		client, _ := n.DialContext(ctx, "udp", "192.0.2.99:5300")
		defer client.Close()
		_, _ = stranger.WriteTo([]byte("false"), client.LocalAddr())
		_, _ = client.Write([]byte("ping"))
		buffer := make([]byte, 16)
		_, from, _ := server.ReadFrom(buffer)
		_, _ = server.WriteTo([]byte("pong"), from)
		got, err := client.Read(buffer)
		if err != nil || string(buffer[:got]) != "pong" {
			t.Errorf("%q, %v", buffer[:got], err)
		}
	})
}

func TestLossFollowsTheSeed(t *testing.T) {
	lost := func(seed uint64) (pattern []bool) {
		w := testnet.New(testnet.Options{Seed: seed})
		s := w.Zone("shop.example.", "", testnet.Loss(0.3))
		for range 60 {
			_, err := exchange(w, testnet.UDP, s, query("shop.example.", dns.TypeSOA))
			pattern = append(pattern, err != nil)
		}
		return pattern
	}
	count := func(pattern []bool) (n int) {
		for _, l := range pattern {
			if l {
				n++
			}
		}
		return n
	}
	bubble(t, func(t *testing.T) {
		first, again := lost(1), lost(1)
		for i := range first {
			if first[i] != again[i] {
				t.Fatalf("query %d was lost in one of two equal runs", i)
			}
		}
		// 0.3 each way: 51 % of exchanges; 3 standard deviations are 12.
		if n := count(first); n < 19 || n > 43 {
			t.Errorf("%d of 60 lost", n)
		}
	})
}

// RFC 7766 section 6.2.1.1: several queries on one connection; section 7: answers may come in another order.
func TestPipelining(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		s := w.Zone("shop.example.", "slow A 203.0.113.1\nfast A 203.0.113.2",
			testnet.For("slow.shop.example.", 0, testnet.Slow(time.Second)))
		conn := dialTCP(t, w, s)
		defer conn.Close()
		var both bytes.Buffer
		for _, name := range []string{"slow.shop.example.", "fast.shop.example."} {
			packet, _ := query(name, dns.TypeA).Pack()
			both.Write([]byte{0, byte(len(packet))})
			both.Write(packet)
		}
		// In pieces that do not end where messages do.
		for chunk := make([]byte, 7); ; {
			n, err := both.Read(chunk)
			if err != nil {
				break
			}
			_, _ = conn.Write(chunk[:n])
		}
		for _, want := range []string{"fast.shop.example.", "slow.shop.example."} {
			r, err := (&dns.Conn{Conn: conn}).ReadMsg()
			if err != nil || r.Question[0].Name != want {
				t.Errorf("%v, %v; want %s", r, err, want)
			}
		}
	})
}

func TestServerClosesConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		s := w.Zone("shop.example.", "", testnet.ClosesIdle(4*time.Second))
		conn := dialTCP(t, w, s)
		defer conn.Close()
		c := &dns.Conn{Conn: conn}
		for range 3 { // use keeps it open
			time.Sleep(3 * time.Second)
			_ = c.WriteMsg(query("shop.example.", dns.TypeSOA))
			if _, err := c.ReadMsg(); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		_, err := conn.Read(make([]byte, 2))
		if after := time.Since(start); !errors.Is(err, io.EOF) || after > 4*time.Second || after < 3*time.Second {
			t.Errorf("%v after %v, want EOF after about 4 s", err, after)
		}
		if _, err := conn.Write([]byte{0}); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write after the end: %v", err)
		}

		s.Behave(testnet.ClosesAfter(1))
		second := dialTCP(t, w, s)
		defer second.Close()
		c = &dns.Conn{Conn: second}
		_ = c.WriteMsg(query("shop.example.", dns.TypeSOA))
		_ = c.WriteMsg(query("shop.example.", dns.TypeNS))
		if _, err := c.ReadMsg(); err != nil {
			t.Error(err)
		}
		if _, err := c.ReadMsg(); !errors.Is(err, io.EOF) {
			t.Errorf("second answer: %v", err)
		}
	})
}

func dialTCP(t *testing.T, n network, s *testnet.Server) net.Conn {
	t.Helper()
	conn, err := n.DialContext(context.Background(), "tcp", s.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestConnectRefusesTakenAddresses(t *testing.T) {
	n := testnet.NewInternet(1, 0)
	at := netip.MustParseAddrPort("192.0.2.2:53")
	n.Connect(testnet.NewServer("ns1.example."), at)
	defer func() {
		if recover() == nil {
			t.Error("two servers at one address")
		}
	}()
	n.Connect(testnet.NewServer("ns2.example."), at)
}

// Many clients at once, for the race detector.
func TestManyClients(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := testnet.New(testnet.Options{})
		var clients sync.WaitGroup
		for i := range 64 {
			clients.Go(func() {
				transport := []testnet.Transport{testnet.UDP, testnet.TCP}[i%2]
				if _, err := exchange(w, transport, w.At("example."), query("example.", dns.TypeSOA)); err != nil {
					t.Error(err)
				}
			})
		}
		clients.Wait()
		if got := w.Count("example."); got != 64 {
			t.Errorf("%d packets, want 64", got)
		}
	})
}
