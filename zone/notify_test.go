package zone

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// A told is a secondary that is told of changes: each connection is a channel of messages.
type told struct {
	conns chan net.Conn // as the secondary has them
	fail  bool
}

func (s *told) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "udp" || address != loopbackSecondary.String() {
		return nil, errors.New("dialed " + network + " " + address)
	}
	if s.fail {
		return nil, errors.New("no way to " + address)
	}
	here, there := net.Pipe()
	select {
	case s.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hear waits for a notice, checks it, and answers by what reply makes of it.
func (s *told) hear(t *testing.T, reply func(m *dns.Msg, signed *signature) []byte) *dns.Msg {
	t.Helper()
	conn := <-s.conns
	defer conn.Close()
	buf := make([]byte, 4096)
	size, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(buf[:size]); err != nil {
		t.Fatal(err)
	}
	signed, key := (keyring{secondaryKey.name: secondaryKey}).verify(m, bytes.Clone(buf[:size]))
	if key == nil || m.Opcode != dns.OpcodeNotify || !m.Authoritative || m.Question[0].Qtype != dns.TypeSOA || len(m.Answer) != 1 {
		t.Fatalf("not a notice: %v", m)
	}
	if reply == nil {
		time.Sleep(noticeTime) // in a bubble: until the other side gives up
		return m
	}
	if _, err := conn.Write(reply(m, signed)); err != nil {
		t.Fatal(err)
	}
	return m
}

func accept(m *dns.Msg, signed *signature) []byte {
	packed, err := signed.sign(new(dns.Msg).SetReply(m))
	if err != nil {
		panic(err)
	}
	return packed
}

func serialIn1(m *dns.Msg) uint32 { return m.Answer[0].(*dns.SOA).Serial }

// notifying serves a zone, of which one secondary is told.
func notifying(t *testing.T, s *told, log *bytes.Buffer) *keeping {
	return keep(t, map[string]string{"example.com.": soa7}, func(o *KeeperOptions) {
		o.Network = s
		o.Secondaries[0].Notify = []netip.AddrPort{loopbackSecondary}
		if log != nil {
			o.Log = slog.New(slog.NewTextHandler(log, nil))
		}
	})
}

// RFC 1996 section 3.7: a change is told, with the SOA record as it is now.
func TestSecondariesAreToldOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &told{conns: make(chan net.Conn)}
		k := notifying(t, s, nil)
		if got := serialIn1(s.hear(t, accept)); got != 7 { // at the start
			t.Errorf("told of %d at the start", got)
		}
		k.write("example.com.", soaAt(8))
		if got := serialIn1(s.hear(t, accept)); got != 8 {
			t.Errorf("told of %d after a change", got)
		}
		k.write("example.com.", soaAt(8)) // no change
		synctest.Wait()
		select {
		case <-s.conns:
			t.Error("told of nothing")
		case <-time.After(time.Hour):
		}
		k.Close()
	})
}

// RFC 1996 section 3.6: who does not answer is told again, and then no more. What fits not is no answer.
func TestNoticesAreRepeated(t *testing.T) {
	forge := func(change func(m *dns.Msg) *signature) func(*dns.Msg, *signature) []byte {
		return func(m *dns.Msg, _ *signature) []byte {
			r := new(dns.Msg).SetReply(m)
			packed, err := change(r).sign(r)
			if err != nil {
				panic(err)
			}
			return packed
		}
	}
	for name, reply := range map[string]func(m *dns.Msg, signed *signature) []byte{
		"no answer":           nil,
		"octets":              func(*dns.Msg, *signature) []byte { return []byte{1, 2, 3} },
		"an answer to others": forge(func(r *dns.Msg) *signature { r.Id++; return nil }),
		"a question":          forge(func(r *dns.Msg) *signature { r.Response = false; return nil }),
		"an unsigned answer":  forge(func(*dns.Msg) *signature { return nil }),
		"signed by another key": forge(func(*dns.Msg) *signature {
			return &signature{keys: keyring{forgedKey.name: forgedKey}, name: forgedKey.name.Reveal(), algorithm: forgedKey.algorithm}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := &told{conns: make(chan net.Conn)}
				k := notifying(t, s, &log)
				began := time.Now()
				for range noticeAttempts {
					s.hear(t, reply)
				}
				if took := time.Since(began); took < time.Minute || took > 3*time.Minute {
					t.Errorf("attempts took %s", took)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if !bytes.Contains(log.Bytes(), []byte("does not answer")) || bytes.Contains(log.Bytes(), []byte("192.0.2.53")) || bytes.Contains(log.Bytes(), []byte("example")) {
					t.Errorf("the log: %s", log.Bytes())
				}
				k.write("example.com.", soaAt(8)) // and the next change is a new beginning
				if got := serialIn1(s.hear(t, accept)); got != 8 {
					t.Errorf("told of %d", got)
				}
				k.Close()
			})
		})
	}
}

// Who does not want to be told is not told again, and what cannot be sent keeps nobody.
func TestNoticesThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &told{conns: make(chan net.Conn)}
		k := notifying(t, s, nil)
		s.hear(t, func(m *dns.Msg, _ *signature) []byte {
			r := new(dns.Msg).SetRcode(m, dns.RcodeNotAuth)
			packed, _ := r.Pack()
			return packed
		})
		select {
		case <-s.conns:
			t.Error("told again")
		case <-time.After(time.Hour):
		}
		k.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		k := notifying(t, &told{fail: true}, nil)
		time.Sleep(time.Hour)
		k.Close()
	})
}

// However often a zone changes while its secondary is away, it waits in the queue once.
func TestNoticesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &told{conns: make(chan net.Conn)}
		k := notifying(t, s, nil)
		for i := range 100 {
			k.write("example.com.", soaAt(8+i))
		}
		if got := len(k.notices[0].waiting); got > 1 {
			t.Errorf("%d notices wait", got)
		}
		s.hear(t, accept)
		k.Close()
	})
}
