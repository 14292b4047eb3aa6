//go:build interop

package interop

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A passage leads to tacit's door for DoH over one protocol only: datagrams, and so HTTP/3, or connections, and so
// HTTP/1.1 and 2. It stays open when tacit is gone, and knows whether somebody came.
type passage struct {
	at      netip.AddrPort
	knocked chan struct{} // closed when the first has come
	once    sync.Once

	group sync.WaitGroup
	mu    sync.Mutex
	ended bool
	open  []io.Closer
}

// silence ends a way back to a client that nothing has come from for so long.
const silence = 20 * time.Second

// naming says whether the address of a passage is in tacit's certificate.
type naming string

const (
	inCertificate    naming = "right name"
	notInCertificate naming = "wrong name"
)

// passageAddress is the address of a passage; numbers begin at 1.
func passageAddress(number uint32, n naming) netip.Addr {
	network := map[naming]byte{inCertificate: 4, notInCertificate: 5}[n]
	return netip.AddrFrom4([4]byte{127, 0, network, byte(number)})
}

// openPassage leads to the door until the test ends.
func (f *front) openPassage(t *testing.T, network string, n naming) *passage {
	t.Helper()
	at := netip.AddrPortFrom(passageAddress(f.passages.Add(1), n), httpsDoor.named.Port())
	p := &passage{at: at, knocked: make(chan struct{})}
	t.Cleanup(p.close)
	if network == "udp" {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(p.at))
		if err != nil {
			t.Fatal(err)
		}
		p.keep(conn)
		p.group.Go(func() { p.carryDatagrams(conn) })
		return p
	}
	listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(p.at))
	if err != nil {
		t.Fatal(err)
	}
	p.keep(listener)
	p.group.Go(func() { p.carryConnections(listener) })
	return p
}

// keep has c closed at the end, or at once if that has come already.
func (p *passage) keep(c io.Closer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		c.Close()
		return
	}
	p.open = append(p.open, c)
}

func (p *passage) close() {
	p.mu.Lock()
	p.ended = true
	for _, c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.group.Wait()
}

func (p *passage) knock() { p.once.Do(func() { close(p.knocked) }) }

// carryDatagrams keeps one socket towards tacit for each client's address.
func (p *passage) carryDatagrams(conn *net.UDPConn) {
	ways := make(map[netip.AddrPort]*net.UDPConn)
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		way := ways[from]
		if way == nil {
			p.knock()
			if way, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(httpsDoor.named)); err != nil {
				return
			}
			p.keep(way)
			ways[from] = way
			p.group.Go(func() { carryBack(conn, way, from) })
		}
		_, _ = way.Write(buf[:n]) // may be lost, as datagrams are; when tacit is gone all are
	}
}

func carryBack(conn, way *net.UDPConn, to netip.AddrPort) {
	buf := make([]byte, 1<<16)
	for {
		if err := way.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return
		}
		n, err := way.Read(buf)
		switch {
		case err == nil:
			_, _ = conn.WriteToUDPAddrPort(buf[:n], to)
		case !errors.Is(err, syscall.ECONNREFUSED): // tacit is gone, the client may go on all the same
			return
		}
	}
}

// carryConnections makes a connection to tacit for each of a client.
func (p *passage) carryConnections(listener *net.TCPListener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		p.knock()
		way, err := net.Dial("tcp", httpsDoor.named.String())
		if err != nil {
			conn.Close()
			continue
		}
		p.keep(conn)
		p.keep(way)
		p.group.Go(func() { carryStream(way, conn) })
		p.group.Go(func() { carryStream(conn, way) })
	}
}

// carryStream closes both ends when one has ended: nobody here half-closes.
func carryStream(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	_, _ = io.Copy(to, from)
}
