package zone

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// The other side is miekg/dns's own server and its way of serving transfers, over TCP on loopback.
func TestTransferFromAnotherImplementation(t *testing.T) {
	zone := makeRoot(version{serial: "7", extra: unknown})
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip("no loopback: ", err)
	}
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		ch := make(chan *dns.Envelope)
		go func() {
			defer close(ch)
			for part := range slices.Chunk(append(slices.Clone(zone.records), zone.records[0]), 7) {
				ch <- &dns.Envelope{RR: part}
			}
		}()
		if err := new(dns.Transfer).Out(w, q, ch); err != nil {
			t.Error(err)
		}
	})}
	served := make(chan error)
	go func() { served <- server.ActivateAndServe() }()
	defer func() {
		if err := errors.Join(server.Shutdown(), <-served); err != nil {
			t.Error(err)
		}
	}()
	taken := make(chan time.Time, 1)
	root := NewRoot(RootOptions{
		Network: new(net.Dialer), Servers: []netip.AddrPort{l.Addr().(*net.TCPAddr).AddrPort()},
		Verify: func(ctx context.Context, now time.Time, sets []wire.RRset) (time.Time, error) {
			until, err := verify(ctx, now, sets)
			if err != nil {
				t.Error(err)
			}
			taken <- until
			return until, err
		},
	})
	until := <-taken
	root.Close()
	c := root.Current(time.Now())
	if c == nil || c.Serial() != 7 {
		t.Fatalf("stats %+v", root.Stats())
	}
	if left := time.Until(until); left < 13*day-time.Minute || left > 13*day {
		t.Errorf("signatures end in %v", left)
	}
	if want := len(zone.records); c.records != want {
		t.Errorf("%d records, want %d", c.records, want)
	}
}

// All that compression may do to names, and what it may not.
func TestReaderExpandsNames(t *testing.T) {
	const head = "\x00\x07\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00"
	const ns = "\x00\x02\x00\x01\x00\x00\x0e\x10"
	for _, test := range []struct {
		name, text  string
		owner, data string // "": malformed
	}{
		{"plain", "\x04test\x00" + ns + "\x00\x04\x02ns\x00", "test.", "\x02ns\x00"},
		{"RDATA points to the owner", "\x04test\x00" + ns + "\x00\x05\x02ns\xc0\x0c", "test.", "\x02ns\x04test\x00"},
		{"a pointer forwards", "\xc0\x0e\x04test\x00" + ns + "\x00\x01\x00", "", ""},
		{"a pointer to itself", "\xc0\x0c" + ns + "\x00\x01\x00", "", ""},
		{"a pointer into the length of RDATA that is too long", "\x00" + ns + "\x00\x09\x02ns\x00", "", ""},
		{"a label type that is not defined", "\x80\x00" + ns + "\x00\x01\x00", "", ""},
		{"a name longer than its RDATA", "\x00" + ns + "\x00\x02\x02ns\x00", "", ""},
		{"another class", "\x00\x00\x02\x00\x03\x00\x00\x0e\x10\x00\x01\x00", "", ""},
		{"nothing", "", "", ""},
		{"MX", "\x04test\x00\x00\x0f\x00\x01\x00\x00\x0e\x10\x00\x04\x00\x05\xc0\x0c", "test.", "\x00\x05\x04test\x00"},
		{"MX that is too short", "\x04test\x00\x00\x0f\x00\x01\x00\x00\x0e\x10\x00\x01\x00", "", ""},
		{
			"RFC 3597 section 4: a type that came later has no compression",
			"\x04test\x00\xff\x00\x00\x01\x00\x00\x0e\x10\x00\x02\xc0\x0c", "test.", "\xc0\x0c",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := newReader([]byte(head+test.text), 7, nil)
			if err != nil {
				t.Fatal(err)
			}
			rec, err := r.next()
			if test.owner == "" {
				if !errors.Is(err, errMessage) {
					t.Errorf("got %q, %v", rec.rdata, err)
				}
				return
			}
			if err != nil || rec.name.Reveal() != test.owner || string(rec.rdata) != test.data || rec.ttl != 3600 {
				t.Errorf("got %q %q %d, %v", rec.name.Reveal(), rec.rdata, rec.ttl, err)
			}
		})
	}
}

func TestReaderChecksTheHeader(t *testing.T) {
	for _, test := range []struct {
		name, head string
		want       error
	}{
		{"a reply", "\x00\x07\x84\x00\x00\x00\x00\x00\x00\x00\x00\x00", nil},
		{"another ID", "\x00\x08\x84\x00\x00\x00\x00\x00\x00\x00\x00\x00", errReply},
		{"a query", "\x00\x07\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00", errReply},
		{"NOTIFY", "\x00\x07\xa4\x00\x00\x00\x00\x00\x00\x00\x00\x00", errReply},
		{"truncated", "\x00\x07\x86\x00\x00\x00\x00\x00\x00\x00\x00\x00", errReply},
		{"REFUSED", "\x00\x07\x84\x05\x00\x00\x00\x00\x00\x00\x00\x00", errRefused},
		{"short", "\x00\x07\x84", errMessage},
		{"a question that is missing", "\x00\x07\x84\x00\x00\x01\x00\x00\x00\x00\x00\x00", errMessage},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := newReader([]byte(test.head), 7, nil); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// FuzzReader reads messages, and holds what it makes of names and RDATA against miekg/dns.
func FuzzReader(f *testing.F) {
	q := new(dns.Msg).SetAxfr(".")
	for m := range replies(q, makeRoot(version{serial: "1", extra: unknown}), honest) {
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) < 12 {
			return
		}
		r, err := newReader(msg, uint16(msg[0])<<8|uint16(msg[1]), nil)
		if err != nil {
			return
		}
		var a assembly
		for r.left > 0 {
			before := r.off
			rec, err := r.next()
			if err != nil {
				return
			}
			if r.off <= before || len(rec.rdata) > 1<<16 {
				t.Fatalf("at %d after %d, %d octets", r.off, before, len(rec.rdata))
			}
			if theirs, end, err := dns.UnpackRR(msg, before); err == nil {
				if end != r.off || wire.MustName(theirs.Header().Name) != rec.name {
					t.Fatalf("ends at %d, want %d", r.off, end)
				}
				want := rdata(theirs)
				if rec.kind == wire.TypeSOA { // the library takes SOA records that end early
					want = want[:min(len(want), len(rec.rdata))]
				}
				if hasNames(rec.kind) && string(want) != string(rec.rdata) {
					t.Fatalf("got %x, want %x", rec.rdata, want)
				}
			}
			if err := a.add(&rec); err != nil {
				return
			}
		}
		if c, err := a.finish(); err == nil {
			for i := range c.sets {
				c.Answer(c.sets[i].Name, c.sets[i].Type)
			}
			c.Answer(wire.MustName("a.b.zz."), wire.TypeA)
		}
	})
}

func hasNames(t wire.Type) bool {
	return t == wire.TypeNS || t == wire.TypeCNAME || t == wire.TypePTR || t == wire.TypeMX || t == wire.TypeSOA
}
