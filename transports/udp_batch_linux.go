package transports

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A batchConn receives and sends up to batchSize datagrams with one system call: a server that answers from memory does
// little else than make such calls. The kernel takes them as an array of headers, each of which points to the parts of one
// datagram. All of it is made once, and then only what differs from datagram to datagram is written:
//
//	headers[i]     struct mmsghdr; behind it the kernel writes the length of what it received
//	  .Name     -> names[i]     struct sockaddr_in or sockaddr_in6: where the client is
//	  .Iov      -> vectors[i]   struct iovec, one for each datagram
//	    .Base   -> messages[i], or an answer where it stands
//	  .Control  -> controls[i], or that of an answer: the address that was asked; nil where the socket has only one
//
// Package net has no such call, and that of x/net makes an address on the heap for each datagram. The calls never wait. Package
// net's poller does, as for every other socket, so that deadlines and Close work.
type batchConn struct {
	conn deadliner
	raw  syscall.RawConn
	in   inbox

	sending sync.Mutex // a reader and jobs send
	out     outbox
}

// A deadliner is what else is used of net.UDPConn.
type deadliner interface {
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	Close() error
}

// newPacketConn reads and writes conn by the batch.
func newPacketConn(conn *net.UDPConn) packetConn {
	raw, err := conn.SyscallConn()
	if err != nil {
		return &singleConn{messageConn: conn}
	}
	return newBatchConn(conn, raw, kernel, endpoint(conn.LocalAddr()).Addr())
}

func newBatchConn(conn deadliner, raw syscall.RawConn, calls mmsg, local netip.Addr) *batchConn {
	c := &batchConn{conn: conn, raw: raw}
	c.in.init(calls.receive, local.IsUnspecified())
	c.out.init(calls.send, conn)
	return c
}

func (c *batchConn) receive() ([]datagram, error) {
	c.in.forget()
	if err := c.raw.Read(c.in.ready); err != nil {
		return nil, err
	}
	return c.in.open()
}

func (c *batchConn) send(answers []datagram) (sent int, err error) {
	c.sending.Lock()
	defer c.sending.Unlock()
	c.out.load(answers)
	defer c.out.forget()
	if err := c.raw.Write(c.out.ready); err != nil {
		return c.out.sent, err
	}
	if c.out.errno != 0 {
		return c.out.sent, c.out.errno
	}
	return c.out.sent, nil
}

func (c *batchConn) SetReadDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) }

func (c *batchConn) Close() error { return c.conn.Close() }

var _ packetConn = (*batchConn)(nil)

// An mmsg has the two system calls. They return how many of the headers were used.
type mmsg struct{ receive, send mmsgCall }

type mmsgCall func(fd uintptr, headers []unix.Mmsghdr) (int, unix.Errno)

var kernel = mmsg{
	receive: func(fd uintptr, headers []unix.Mmsghdr) (int, unix.Errno) {
		return call(unix.SYS_RECVMMSG, fd, headers)
	},
	send: func(fd uintptr, headers []unix.Mmsghdr) (int, unix.Errno) {
		return call(unix.SYS_SENDMMSG, fd, headers)
	},
}

// call leaves the scheduler untold: what does not wait is over before another thread could take over.
func call(trap, fd uintptr, headers []unix.Mmsghdr) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(trap, fd, uintptr(unsafe.Pointer(&headers[0])), uintptr(len(headers)), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// Envelopes are a datagram's parts but its octets.
type envelopes struct {
	headers [batchSize]unix.Mmsghdr
	vectors [batchSize]unix.Iovec
	names   [batchSize]name
}

func (e *envelopes) init() {
	for i := range e.headers {
		header := &e.headers[i].Hdr
		header.Name, header.Iov = &e.names[i][0], &e.vectors[i]
		header.SetIovlen(1)
	}
}

// An inbox is where datagrams are received.
type inbox struct {
	envelopes
	messages [batchSize][maxUDPQuery + cacheLine]byte // if all began at multiples of a page, they would share a few lines of the cache
	controls [batchSize][maxControl]byte
	received [batchSize]datagram

	call  mmsgCall
	ready func(fd uintptr) (done bool) // take, as a value that is made once
	count int
	errno unix.Errno
}

func (in *inbox) init(call mmsgCall, controlled bool) {
	in.envelopes.init()
	in.call, in.ready = call, in.take
	for i := range batchSize {
		in.vectors[i].Base = &in.messages[i][0]
		in.vectors[i].SetLen(maxUDPQuery)
		if controlled {
			in.headers[i].Hdr.Control = &in.controls[i][0]
		}
		in.empty(i)
	}
}

// take takes what is there. When nothing is, it is not done, and the poller waits.
func (in *inbox) take(fd uintptr) (done bool) {
	if in.count, in.errno = in.call(fd, in.headers[:]); in.errno != 0 {
		in.count = 0
	}
	return in.errno != unix.EAGAIN
}

func (in *inbox) open() ([]datagram, error) {
	if in.errno != 0 {
		return nil, in.errno
	}
	for i := range in.count {
		header := &in.headers[i]
		in.received[i] = datagram{
			octets:  in.messages[i][:header.Len],
			control: replyControl(in.controls[i][:header.Hdr.Controllen]),
			peer:    in.names[i].peer(),
		}
	}
	return in.received[:in.count], nil
}

// forget leaves nothing of the clients in a reader that waits.
func (in *inbox) forget() {
	for i := range in.count {
		clear(in.messages[i][:in.headers[i].Len])
		in.received[i] = datagram{}
		in.empty(i)
	}
	in.count = 0
}

// empty clears an envelope, and says again how much fits into it.
func (in *inbox) empty(i int) {
	header := &in.headers[i].Hdr
	in.names[i], header.Namelen = name{}, uint32(len(name{}))
	if header.Control != nil {
		in.controls[i] = [maxControl]byte{}
		header.SetControllen(maxControl)
	}
}

// An outbox is where answers are sent from.
type outbox struct {
	envelopes
	call  mmsgCall
	conn  deadliner
	ready func(fd uintptr) (done bool) // put, as a value that is made once
	count int
	sent  int
	errno unix.Errno // why the next one was not
	stuck bool       // the socket's buffer was full
}

// sendWithin is how long answers wait for room in the socket's buffer. It is full when the interface is stuck.
const sendWithin = 100 * time.Millisecond

func (out *outbox) init(call mmsgCall, conn deadliner) {
	out.envelopes.init()
	out.call, out.conn, out.ready = call, conn, out.put
}

// load takes at most batchSize answers.
func (out *outbox) load(answers []datagram) {
	out.count, out.sent, out.errno = len(answers), 0, 0
	for i := range answers {
		a, header := &answers[i], &out.headers[i].Hdr
		header.Namelen = out.names[i].set(a.peer)
		out.vectors[i].Base = unsafe.SliceData(a.octets)
		out.vectors[i].SetLen(len(a.octets))
		if len(a.control) > 0 {
			header.Control = unsafe.SliceData(a.control)
		}
		header.SetControllen(len(a.control))
	}
}

// put sends what is still to be sent, up to an error. When there is no room, it is not done, and the poller waits.
func (out *outbox) put(fd uintptr) (done bool) {
	for out.sent < out.count {
		n, errno := out.call(fd, out.headers[out.sent:out.count])
		switch errno {
		case 0:
			out.sent += n
		case unix.EAGAIN:
			if !out.stuck {
				out.stuck = true
				_ = out.conn.SetWriteDeadline(time.Now().Add(sendWithin))
			}
			return false
		default:
			out.errno = errno
			return true
		}
	}
	return true
}

func (out *outbox) forget() {
	for i := range out.count {
		out.names[i], out.vectors[i].Base, out.headers[i].Hdr.Control = name{}, nil, nil
	}
	if out.count = 0; out.stuck {
		out.stuck = false
		_ = out.conn.SetWriteDeadline(time.Time{})
	}
}

// A name is a struct sockaddr_in6 (family, port, flow label, address, scope), or a sockaddr_in (family, port, address) in its
// first octets.
type name [unix.SizeofSockaddrInet6]byte

// peer reads the name that the kernel has written. A scope is a number here, no interface's name: it is only needed for the
// way back (RFC 4007 section 11.2).
func (n *name) peer() netip.AddrPort {
	port := binary.BigEndian.Uint16(n[2:])
	if binary.NativeEndian.Uint16(n[:]) == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(n[4:8])), port)
	}
	addr := netip.AddrFrom16([16]byte(n[8:24]))
	if scope := binary.NativeEndian.Uint32(n[24:]); scope != 0 {
		addr = addr.WithZone(strconv.FormatUint(uint64(scope), 10))
	}
	return netip.AddrPortFrom(addr, port)
}

// set writes the name of a peer and returns its length.
func (n *name) set(peer netip.AddrPort) uint32 {
	addr := peer.Addr()
	binary.BigEndian.PutUint16(n[2:], peer.Port())
	if addr.Is4() {
		binary.NativeEndian.PutUint16(n[:], unix.AF_INET)
		*(*[4]byte)(n[4:8]) = addr.As4()
		return unix.SizeofSockaddrInet4
	}
	binary.NativeEndian.PutUint16(n[:], unix.AF_INET6)
	*(*[16]byte)(n[8:24]) = addr.As16()
	if zone := addr.Zone(); zone != "" {
		scope, _ := strconv.ParseUint(zone, 10, 32) // from peer
		binary.NativeEndian.PutUint32(n[24:], uint32(scope))
	}
	return unix.SizeofSockaddrInet6
}
