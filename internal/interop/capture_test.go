//go:build interop

package interop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"tacit/internal/apart"
)

// A capture notes what leaves for name servers, as seen on the loopback interface.
type capture struct {
	fd      int
	done    chan struct{}
	quiet   chan struct{}    // receives when no packet is left to read and somebody waits for that
	streams map[flow]*stream // of the reading goroutine only

	mu   sync.Mutex
	seen []sighting
	odd  []string // packets that ought not to be there
}

// A sighting is one query on its way to a server.
type sighting struct {
	server netip.Addr
	name   name
	qtype  uint16
	tcp    bool
}

type flow struct{ from, to netip.AddrPort }

// A stream puts the octets of one direction of a TCP connection together again.
type stream struct {
	next uint32
	data []byte
}

const (
	dnsPort      = 53
	protocolTCP  = 6
	protocolUDP  = 17
	quietTimeout = 10 * time.Second
)

// startCapture listens until the test ends.
func startCapture(t *testing.T) *capture {
	t.Helper()
	fd, err := apart.PacketSocket()
	if err != nil {
		t.Fatal("packet socket:", err)
	}
	c := &capture{fd: fd, done: make(chan struct{}), quiet: make(chan struct{}), streams: make(map[flow]*stream)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.read()
	}()
	t.Cleanup(func() {
		close(c.done)
		<-ended
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	})
	return c
}

// read takes packets until the capture is done. On lo each packet passes twice; the outgoing one counts.
func (c *capture) read() {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(c.fd, buf, 0)
		link, ok := from.(*unix.SockaddrLinklayer)
		if err == nil && ok && link.Pkttype == unix.PACKET_OUTGOING {
			c.note(buf[:n])
		}
		if errors.Is(err, unix.EAGAIN) {
			select {
			case c.quiet <- struct{}{}:
			default:
			}
		}
		select {
		case <-c.done:
			return
		default:
		}
	}
}

// note looks into one IP packet.
func (c *capture) note(packet []byte) {
	src, dst, protocol, payload, ok := splitIP(packet)
	if !ok || len(payload) < 8 || dst.IsLoopback() || (protocol != protocolTCP && protocol != protocolUDP) {
		return
	}
	f := flow{
		from: netip.AddrPortFrom(src, binary.BigEndian.Uint16(payload)),
		to:   netip.AddrPortFrom(dst, binary.BigEndian.Uint16(payload[2:])),
	}
	switch {
	case f.from.Port() == dnsPort:
	case f.to.Port() != dnsPort:
		c.addOdd(fmt.Sprintf("a packet to port %d of %s", f.to.Port(), dst))
	case protocol == protocolUDP:
		c.addQuery(dst, payload[8:], false)
	default:
		c.noteSegment(f, payload)
	}
}

// splitIP takes the IP header off (RFC 791 section 3.1, RFC 8200 section 3); nothing here uses extension headers.
func splitIP(p []byte) (src, dst netip.Addr, protocol byte, payload []byte, ok bool) {
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		header, total := int(p[0]&0xf)*4, int(binary.BigEndian.Uint16(p[2:]))
		if header < 20 || total < header || total > len(p) {
			return src, dst, 0, nil, false
		}
		return netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20])), p[9], p[header:total], true
	case len(p) >= 40 && p[0]>>4 == 6:
		total := 40 + int(binary.BigEndian.Uint16(p[4:]))
		if total > len(p) {
			return src, dst, 0, nil, false
		}
		return netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40])), p[6], p[40:total], true
	}
	return src, dst, 0, nil, false
}

// noteSegment adds one TCP segment to its stream and takes out whole messages (RFC 1035 section 4.2.2).
func (c *capture) noteSegment(f flow, p []byte) {
	if len(p) < 20 || int(p[12]>>4)*4 > len(p) {
		return
	}
	const syn = 0x02
	sequence, data := binary.BigEndian.Uint32(p[4:]), p[int(p[12]>>4)*4:]
	if p[13]&syn != 0 {
		c.streams[f] = &stream{next: sequence + 1}
		return
	}
	s := c.streams[f]
	if s == nil || sequence != s.next { // a segment sent again
		return
	}
	s.next += uint32(len(data))
	s.data = append(s.data, data...)
	for len(s.data) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(s.data))
		if len(s.data) < end {
			return
		}
		c.addQuery(f.to.Addr(), s.data[2:end], true)
		s.data = s.data[end:]
	}
}

func (c *capture) addQuery(server netip.Addr, message []byte, tcp bool) {
	var m dns.Msg
	if err := m.Unpack(message); err != nil || len(m.Question) != 1 {
		c.addOdd(fmt.Sprintf("a query of %d octets to %s that does not parse", len(message), server))
		return
	}
	n, err := parseName(m.Question[0].Name)
	if err != nil {
		c.addOdd(err.Error())
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, sighting{server: server, name: n, qtype: m.Question[0].Qtype, tcp: tcp})
}

func (c *capture) addOdd(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.odd = append(c.odd, what)
}

// take returns what was seen since the last time, and what was odd about it. A resolver is asked and stopped between
// two calls, so that what is taken is its own. Packets that the kernel had to drop make the count worthless: fatal.
func (c *capture) take(t *testing.T) (seen []sighting, odd []string) {
	t.Helper()
	select {
	case <-c.quiet:
	case <-time.After(quietTimeout):
		t.Fatal("the name servers' side does not come to rest")
	}
	statistics, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		t.Fatal(err)
	}
	if statistics.Drops > 0 {
		t.Fatalf("the capture lost %d packets", statistics.Drops)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	seen, odd = c.seen, c.odd
	c.seen, c.odd = nil, nil
	return seen, odd
}
