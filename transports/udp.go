package transports

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"tacit/internal/wire"
)

// A udpSocket is one of the sockets of a UDP listen address, with one goroutine that reads from it.
type udpSocket struct {
	front   *front
	conn    packetConn
	proxies []netip.Prefix // who say in a PROXY header whom they speak for
}

// A packetConn is what is used of net.UDPConn. Control messages say which address was asked, where the socket alone
// does not.
type packetConn interface {
	ReadMsgUDPAddrPort(b, control []byte) (n, controlled, flags int, peer netip.AddrPort, err error)
	WriteMsgUDPAddrPort(b, control []byte, peer netip.AddrPort) (n, controlled int, err error)
	SetReadDeadline(t time.Time) error
	Close() error
}

const (
	maxUDPQuery = 4096 // what is longer arrives cut off, and malformed
	maxControl  = 64
	receiveSize = 4 << 20 // asked for the socket's buffer; the system may grant less
)

func (u *udpSocket) read() {
	message, control := make([]byte, maxUDPQuery), make([]byte, maxControl)
	v := visit{answer: make([]byte, 0, maxUDPQuery)}
	var wait backoff
	for {
		n, controlled, _, peer, err := u.conn.ReadMsgUDPAddrPort(message, control)
		switch {
		case err == nil:
			wait.reset()
			u.receive(&v, message[:n], replyControl(control[:controlled]), peer)
		case u.front.isStopping() || errors.Is(err, net.ErrClosed):
			return
		default:
			if wait.pause == 0 {
				u.front.log.Warn("cannot receive for now", "error", systemError(err))
			}
			wait.wait(u.front.stopping)
		}
		clear(message[:n])
		clear(control[:controlled])
	}
}

// receive answers a message at once, or leaves it to a job.
func (u *udpSocket) receive(v *visit, message, control []byte, peer netip.AddrPort) {
	defer v.end()
	client, l := peer.Addr(), link{transport: UDP}
	if len(u.proxies) > 0 && contains(u.proxies, client.Unmap()) {
		var err error
		if client, message, err = u.front.cutProxyHeader(message, client); err != nil {
			u.front.drop(UDP, NotAQuery)
			return
		}
	}
	answer, o := u.front.receive(v, message, client, l)
	switch o {
	case answered, turnedAway:
		u.send(answer, &v.query, control, peer)
	case missed:
		j := u.front.newJob(v, message, client, l)
		if j == nil {
			u.front.drop(UDP, NoSlot)
			return
		}
		j.peer, j.size = peer, copy(j.control[:], control)
		j.start(u.front.ctx, u)
	case dropped:
	}
}

// Answers that come late in great number are what a pulse attack is made of (DNSBomb, CVE-2024-33655): its sender
// collects them behind slow servers and lets them go at once. Who waits in such a crowd asks again anyway.
const (
	lateAfter = 1900 * time.Millisecond
	crowd     = 50
)

func (u *udpSocket) deliver(j *job, answer []byte) {
	if !j.holder.local && u.front.now().Sub(j.arrived) > lateAfter && u.front.quota.slots.count(j.holder) > crowd {
		u.front.drop(UDP, Late)
		return
	}
	u.send(answer, &j.query, j.control[:j.size], j.peer)
}

func (u *udpSocket) send(answer []byte, q *wire.Query, control []byte, peer netip.AddrPort) {
	_, _, err := u.conn.WriteMsgUDPAddrPort(answer, control, peer)
	if errors.Is(err, syscall.EMSGSIZE) {
		_, _, err = u.conn.WriteMsgUDPAddrPort(shorten(answer, q), control, peer)
	}
	if err != nil {
		u.front.drop(UDP, SendFailed)
	}
}

// A backoff is the pause after a failed call that is to be tried again: 5 ms, doubling to 1 s.
type backoff struct{ pause time.Duration }

func (b *backoff) reset() { b.pause = 0 }

func (b *backoff) wait(stopping <-chan struct{}) {
	b.pause = min(max(2*b.pause, 5*time.Millisecond), time.Second)
	timer := time.NewTimer(b.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stopping:
	}
}
