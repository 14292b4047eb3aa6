//go:build interop

package interop

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A middle stands between resolvers and one name server, and changes what the server says about some zones. It does
// what an attacker on the path can do, and signs with a zone's keys where the operator is the one who errs.
type middle struct {
	server string // asked over TCP, so that nothing is cut off
	world  *world
	edits  map[name]edit // by apex
}

// An edit changes a reply about a zone.
type edit func(m *middle, z *zone, reply *dns.Msg) error

var _ dns.Handler = (*middle)(nil)

// start answers at addr over UDP and TCP until the test ends.
func (m *middle) start(t *testing.T, addr netip.Addr) {
	t.Helper()
	at := netip.AddrPortFrom(addr, 53)
	packets, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: m}, {Listener: listener, Handler: m}} {
		started, ended := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(ended)
			if err := s.ActivateAndServe(); err != nil {
				t.Error(err)
			}
		}()
		select {
		case <-started:
		case <-ended:
		}
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Error(err)
			}
			<-ended
		})
	}
}

func (m *middle) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	reply, err := m.answer(query)
	if err != nil {
		reply = new(dns.Msg).SetRcode(query, dns.RcodeServerFailure)
	}
	if _, udp := w.LocalAddr().(*net.UDPAddr); udp {
		size := dns.MinMsgSize
		if opt := query.IsEdns0(); opt != nil {
			size = min(int(opt.UDPSize()), udpSize)
		}
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply) // a client that has gone away is no loss
}

// answer is the server's answer after the edit of the deepest zone that has one.
func (m *middle) answer(query *dns.Msg) (*dns.Msg, error) {
	reply, err := m.ask(query)
	if err != nil {
		return nil, err
	}
	qname, err := parseName(query.Question[0].Name)
	if err != nil {
		return nil, err
	}
	for n := qname; n != rootName; n = n.parent() {
		if change := m.edits[n]; change != nil {
			return reply, change(m, m.world.zones[n], reply)
		}
	}
	return reply, nil
}

func (m *middle) ask(query *dns.Msg) (*dns.Msg, error) {
	client := &dns.Client{Net: "tcp", Timeout: 2 * time.Second}
	reply, _, err := client.Exchange(query, m.server)
	return reply, err
}
