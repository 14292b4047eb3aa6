//go:build leak

package leak

import (
	"context"
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
)

// The servers that encrypt do, and note it: that few queries are encrypted is not their fault.
func TestServersEncrypt(t *testing.T) {
	w := newWorld(newPlan(seed))
	w.serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	query, err := new(dns.Msg).SetQuestion("crypt.net.", dns.TypeSOA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range w.At("crypt.net.").Addresses() {
		at = netip.AddrPortFrom(at.Addr(), 853)
		trust := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"dot"}, ServerName: "named.example"}
		conn, err := (&tls.Dialer{Config: trust}).DialContext(ctx, "tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, conn, query)
		_ = conn.Close()
		trust.NextProtos, trust.ServerName = []string{"doq"}, ""
		session, err := quic.DialAddr(ctx, at.String(), trust, nil)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := session.OpenStreamSync(ctx)
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, stream, query)
		_ = session.CloseWithError(0, "")
	}
	if dot, doq := w.SeenAt("crypt.net.").Over(overDoT), w.SeenAt("crypt.net.").Over(overDoQ); len(dot) != 2 || len(doq) != 2 {
		t.Errorf("%d queries over DoT and %d over DoQ were noted, want 2 and 2", len(dot), len(doq))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	named := 0
	for _, s := range w.sessions {
		if s.sni == "named.example" && s.protocol == "dot" {
			named++
		}
	}
	if len(w.sessions) != 4 || named != 2 {
		t.Errorf("%d sessions, %d of them named, want 4 and 2", len(w.sessions), named)
	}
}

func exchange(t *testing.T, conn interface {
	Write(b []byte) (int, error)
	Read(b []byte) (int, error)
	SetDeadline(at time.Time) error
}, query []byte,
) {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(framed(query)); err != nil {
		t.Fatal(err)
	}
	octets, err := readFramed(conn)
	if err != nil {
		t.Fatal(err)
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(octets); err != nil || len(reply.Answer) != 1 {
		t.Fatalf("%v, %v", err, reply)
	}
}
