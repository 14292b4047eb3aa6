//go:build leak

package leak

import (
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"tacit/internal/apart"
)

// A capture notes where packets go in the namespace: whoever sends one to an address that is not planned is seen.
type capture struct {
	fd   int
	done chan struct{}

	mu      sync.Mutex
	to      map[netip.Addr]int
	packets int
}

func startCapture(t *testing.T) *capture {
	t.Helper()
	fd, err := apart.PacketSocket()
	if err != nil {
		t.Fatal("packet socket:", err)
	}
	c := &capture{fd: fd, done: make(chan struct{}), to: map[netip.Addr]int{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.read()
	}()
	t.Cleanup(func() {
		close(c.done)
		<-ended
		_ = unix.Close(fd)
	})
	return c
}

// read takes packets until the capture is done. On lo each packet passes twice; the outgoing one counts.
func (c *capture) read() {
	buf := make([]byte, 64) // a header is enough
	for {
		n, from, err := unix.Recvfrom(c.fd, buf, 0)
		link, ok := from.(*unix.SockaddrLinklayer)
		if err == nil && ok && link.Pkttype == unix.PACKET_OUTGOING {
			c.note(buf[:n])
		}
		select {
		case <-c.done:
			return
		default:
		}
	}
}

// note takes the destination of a packet (RFC 791 section 3.1, RFC 8200 section 3).
func (c *capture) note(p []byte) {
	var to netip.Addr
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		to = netip.AddrFrom4([4]byte(p[16:20]))
	case len(p) >= 40 && p[0]>>4 == 6:
		to = netip.AddrFrom16([16]byte(p[24:40]))
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to[to]++
	c.packets++
}

// beyond lists addresses that packets went to and that are not planned.
func (c *capture) beyond(planned map[netip.Addr]bool) (list []netip.Addr, packets int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for a := range c.to {
		if !planned[a] && !a.IsLoopback() && !a.IsMulticast() {
			list = append(list, a)
		}
	}
	return list, c.packets
}
