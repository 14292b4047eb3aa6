package transports

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"tacit/internal/wire"
)

// A udpSocket is one of the sockets of a UDP listen address, with one goroutine that reads from it.
type udpSocket struct {
	front   *front
	conn    packetConn
	late    bundles        // of what jobs found
	proxies []netip.Prefix // who say in a PROXY header whom they speak for
}

// A packetConn is a UDP socket that is read and written by the batch: a batchConn on Linux, a singleConn elsewhere.
type packetConn interface {
	// receive forgets what it gave before, waits, and gives what has come: at most batchSize messages.
	receive() ([]datagram, error)
	// send sends at most batchSize answers, in order. When not all of them have left, the error is why the next one has
	// not. Several goroutines may call it.
	send(answers []datagram) (sent int, err error)
	SetReadDeadline(t time.Time) error
	Close() error
}

// A datagram is a message of a client, or the answer to one.
type datagram struct {
	octets   []byte
	control  []byte         // says which address of ours was asked, where the socket alone does not
	peer     netip.AddrPort // where the client is
	edns, do bool           // an answer's: whether it has an OPT record, and the DO bit there
}

const (
	batchSize   = 32   // messages that are received or sent together
	maxUDPQuery = 4096 // what is longer arrives cut off, and malformed
	maxControl  = 64
	receiveSize = 4 << 20 // asked for the socket's buffer; the system may grant less
)

func (u *udpSocket) read() {
	var kept ballast
	defer runtime.KeepAlive(&kept)
	b := newBatch()
	var wait backoff
	for {
		received, err := u.conn.receive()
		switch {
		case err == nil:
			wait.reset()
			u.treat(b, received)
			if len(received) < batchSize { // it may have to wait for the next
				wipeStack()
			}
			if b.begun { // what was begun goes on before more is
				runtime.Gosched()
			}
		case u.front.isStopping() || errors.Is(err, net.ErrClosed):
			return
		default:
			if wait.pause == 0 {
				u.front.log.Warn("cannot receive for now", "error", systemError(err))
			}
			wait.wait(u.front.stopping)
		}
	}
}

// treat answers messages at once, all together, or leaves them to jobs.
func (u *udpSocket) treat(b *batch, received []datagram) {
	defer b.forget()
	b.visit.now, b.begun = u.front.now(), false
	for i := range received {
		u.receive(b, &received[i])
	}
	b.tally.tell(&u.front.counters[UDP])
	u.send(b.answers)
}

func (u *udpSocket) receive(b *batch, d *datagram) {
	client, message, l := d.peer.Addr(), d.octets, link{transport: UDP, tally: &b.tally}
	if len(u.proxies) > 0 && contains(u.proxies, client.Unmap()) {
		var err error
		if client, message, err = u.front.cutProxyHeader(message, client); err != nil {
			u.front.drop(UDP, NotAQuery)
			return
		}
	}
	v := b.next()
	answer, o := u.front.treat(v, message, client, l)
	switch o {
	case answered, turnedAway:
		b.add(answer, d)
	case missed:
		l.tally = nil // a job ends elsewhere
		j := u.front.newJob(v, message, client, l)
		if j == nil {
			u.front.drop(UDP, NoSlot)
			return
		}
		control := append(j.control[:0], d.control...)
		j.reply = datagram{control: control, peer: d.peer, edns: v.query.EDNS, do: v.query.DO}
		b.begun = true
		j.wait = b.patience.from(u.front)
		j.start(u.front.ctx, u)
	case entrusted:
		u.entrust(v, message, client, l, d)
	case dropped:
	}
}

// entrust hands a message to the Keeper.
func (u *udpSocket) entrust(v *visit, message []byte, client netip.Addr, l link, d *datagram) {
	e := u.front.newErrand(v, message, client, l)
	if e == nil {
		u.front.drop(UDP, NoSlot)
		return
	}
	control, peer := slices.Clone(d.control), d.peer
	e.start(u.front.ctx, func(reply []byte) error {
		u.send([]datagram{{octets: reply, control: control, peer: peer}})
		return nil
	}, func() { clear(control) })
}

// A batch is what a reader treats together. The answers stand one behind the other in its room, so that little memory is
// touched, and little is to be wiped.
type batch struct {
	visit    visit
	patience patience
	tally    tally
	room     []byte
	used     int  // by answers that are ready
	reach    int  // as in a visit
	begun    bool // a job
	answers  []datagram
}

func newBatch() *batch {
	return &batch{room: make([]byte, batchSize*udpSize+maxKept), answers: make([]datagram, 0, batchSize)}
}

// next is the visit for the next message.
func (b *batch) next() *visit {
	b.reach = max(b.reach, b.used+b.visit.reach)
	b.visit.answer, b.visit.reach = b.room[b.used:b.used], 0
	return &b.visit
}

// add takes the answer to d. One that has outgrown the room, before it was truncated, stands elsewhere.
func (b *batch) add(answer []byte, d *datagram) {
	if here := b.room[b.used:]; &here[0] != &answer[0] {
		elsewhere := answer[:cap(answer)]
		answer = here[:copy(here, answer)]
		clear(elsewhere)
	}
	b.used += len(answer)
	q := &b.visit.query
	b.answers = append(b.answers, datagram{slices.Clip(answer), d.control, d.peer, q.EDNS, q.DO})
}

// forget leaves nothing of the clients in a reader that waits.
func (b *batch) forget() {
	b.next()
	b.visit.query = wire.Query{}
	clear(b.room[:min(b.reach, len(b.room))])
	clear(b.answers)
	b.used, b.reach, b.answers = 0, 0, b.answers[:0]
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
	j.reply.octets = answer
	u.late.send(&j.reply, u.send)
}

// send sends answers. One that the way back does not take goes shortened; one that does not leave does not keep the
// others here, unless there is no room for any.
func (u *udpSocket) send(answers []datagram) {
	for shortened := false; len(answers) > 0; {
		sent, err := u.conn.send(answers)
		if answers = answers[sent:]; sent > 0 {
			shortened = false
		}
		switch {
		case len(answers) == 0:
		case errors.Is(err, syscall.EMSGSIZE) && !shortened:
			answers[0].octets = shorten(answers[0].octets, answers[0].edns, answers[0].do)
			shortened = true
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			u.front.counters[UDP].drops[SendFailed].Add(uint64(len(answers)))
			return
		default:
			u.front.drop(UDP, SendFailed)
			answers, shortened = answers[1:], false
		}
	}
}

// A singleConn receives and sends one datagram at a time: what every system can do.
type singleConn struct {
	messageConn
	message    [maxUDPQuery]byte
	control    [maxControl]byte
	size       int
	controlled int
	received   [1]datagram
}

// A messageConn is what is used of net.UDPConn. Control messages say which address was asked, where the socket alone
// does not.
type messageConn interface {
	ReadMsgUDPAddrPort(b, control []byte) (n, controlled, flags int, peer netip.AddrPort, err error)
	WriteMsgUDPAddrPort(b, control []byte, peer netip.AddrPort) (n, controlled int, err error)
	SetReadDeadline(t time.Time) error
	Close() error
}

func (s *singleConn) receive() ([]datagram, error) {
	clear(s.message[:s.size])
	clear(s.control[:s.controlled])
	s.received[0] = datagram{}
	var peer netip.AddrPort
	var err error
	s.size, s.controlled, _, peer, err = s.ReadMsgUDPAddrPort(s.message[:], s.control[:])
	if err != nil {
		return nil, err
	}
	s.received[0] = datagram{octets: s.message[:s.size], control: replyControl(s.control[:s.controlled]), peer: peer}
	return s.received[:], nil
}

func (s *singleConn) send(answers []datagram) (sent int, err error) {
	for i := range answers {
		if _, _, err = s.WriteMsgUDPAddrPort(answers[i].octets, answers[i].control, answers[i].peer); err != nil {
			return i, err
		}
	}
	return len(answers), nil
}

var _ packetConn = (*singleConn)(nil)

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
