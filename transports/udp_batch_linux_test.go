package transports

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tacit/internal/wire"
)

var openers = map[string]opener{"one at a time": openSingle, "batches": openBatch}

func openBatch(m *memoryUDP) packetConn {
	return newMemoryKernel(m).conn
}

// A memoryKernel is what a batchConn needs of the system, above a memoryUDP: two system calls, and a poller.
type memoryKernel struct {
	*memoryUDP
	conn    *batchConn
	queue   []delivery
	most    int // answers that a call takes
	calls   []int
	full    bool // no room for answers
	emptied chan struct{}
}

func newMemoryKernel(m *memoryUDP) *memoryKernel {
	k := &memoryKernel{memoryUDP: m, most: batchSize, emptied: make(chan struct{})}
	k.conn = newBatchConn(m, k, mmsg{k.receive, k.send}, netip.IPv6Unspecified())
	return k
}

func (k *memoryKernel) Control(func(uintptr)) error { return nil }

func (k *memoryKernel) Read(f func(uintptr) bool) error {
	for {
		select {
		case <-k.stop:
			return os.ErrDeadlineExceeded
		default:
		}
		if f(0) {
			return nil
		}
		select {
		case d := <-k.in:
			k.queue = append(k.queue, d)
		case <-k.stop:
		}
	}
}

func (k *memoryKernel) Write(f func(uintptr) bool) error {
	for !f(0) {
		if k.until.IsZero() {
			return errors.New("waits without a deadline")
		}
		timer := time.NewTimer(time.Until(k.until))
		select {
		case <-k.emptied:
			timer.Stop()
			k.full = false
		case <-timer.C:
			return os.ErrDeadlineExceeded
		}
	}
	return nil
}

// receive is recvmmsg.
func (k *memoryKernel) receive(_ uintptr, headers []unix.Mmsghdr) (int, unix.Errno) {
	for len(k.queue) < len(headers) {
		select {
		case d := <-k.in:
			k.queue = append(k.queue, d)
			continue
		default:
		}
		break
	}
	count := min(len(k.queue), len(headers))
	for i, d := range k.queue[:count] {
		h := &headers[i].Hdr
		var n name
		h.Namelen = n.set(d.peer)
		copy(unsafe.Slice(h.Name, len(n)), n[:])
		headers[i].Len = uint32(copy(unsafe.Slice(h.Iov.Base, h.Iov.Len), d.packet))
		h.SetControllen(copy(unsafe.Slice(h.Control, h.Controllen), d.control))
	}
	if k.queue = k.queue[count:]; count == 0 {
		return 0, unix.EAGAIN
	}
	return count, 0
}

// send is sendmmsg: an error is returned only of the first.
func (k *memoryKernel) send(_ uintptr, headers []unix.Mmsghdr) (int, unix.Errno) {
	k.calls = append(k.calls, len(headers))
	if k.full {
		return 0, unix.EAGAIN
	}
	for i := range headers {
		if i == k.most {
			return i, 0
		}
		h := &headers[i].Hdr
		_, _, err := k.WriteMsgUDPAddrPort(unsafe.Slice(h.Iov.Base, h.Iov.Len), unsafe.Slice(h.Control, h.Controllen),
			(*name)(unsafe.Pointer(h.Name)).peer())
		if errno, _ := errors.AsType[syscall.Errno](err); errno != 0 {
			if i > 0 {
				return i, 0
			}
			return 0, errno
		}
	}
	return len(headers), 0
}

// crowded serves a batch of queries with IDs from 0 that all came before the first was read.
func crowded(t *testing.T, k *memoryKernel, r Responder, names ...string) *Server {
	t.Helper()
	for i, name := range names {
		k.queue = append(k.queue, delivery{packet: ask(uint16(i), name, edns(1232)), peer: client1})
	}
	s := newServer(Options{})
	s.udp = append(s.udp, &udpSocket{front: s.front, conn: k.conn})
	serve(t, s, r, everybody{})
	synctest.Wait()
	return s
}

// sortOf answers by the first letter of the name: known, long, panicking, or else to be resolved.
var sortOf = script{
	recall: func(dst []byte, q *wire.Query) (wire.Answer, bool) {
		switch q.FoldedName()[1] {
		case 'k':
			return wire.Answer{Packet: append(dst, records(q.Question(), 1)...)}, true
		case 'l':
			return wire.Answer{Packet: append(dst, records(q.Question(), 8)...)}, true
		case 'h': // more than there is room for
			return wire.Answer{Packet: append(dst, records(q.Question(), 560)...)}, true
		case 'p':
			_ = append(dst, records(q.Question(), 8)...)
			panic("half-way")
		}
		return wire.Answer{}, false
	},
	resolve: slowly(time.Millisecond).resolve, // so that what is known has left by then
}

func ids(t *testing.T, k *memoryKernel) (list []int) {
	t.Helper()
	for len(k.out) > 0 {
		list = append(list, int(read(t, (<-k.out).packet).Id))
	}
	return list
}

func TestBatchLeavesTogether(t *testing.T) {
	many := slices.Repeat([]string{"known.example."}, batchSize+3)
	for _, c := range []struct {
		name  string
		names []string
		calls []int
		rcode []int
	}{
		{"one", []string{"known.example."}, []int{1}, []int{0}},
		{"more than a batch", many, []int{batchSize, 3}, make([]int, len(many))},
		{"a miss follows when it is resolved", []string{"k.example.", "miss.example.", "k.example."}, []int{2, 1}, []int{0, 0, 0}},
		{"a panic costs nobody else anything", []string{"k.example.", "panic.example.", "k.example."}, []int{3}, []int{0, 2, 0}},
		{"one that outgrows the room", []string{"k.example.", "huge.example.", "k.example."}, []int{3}, []int{0, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newMemoryKernel(newMemoryUDP())
				s := crowded(t, k, sortOf, c.names...)
				time.Sleep(time.Second) // in a bubble
				synctest.Wait()
				if !slices.Equal(k.calls, c.calls) {
					t.Errorf("calls to send %v, want %v", k.calls, c.calls)
				}
				rcodes := make([]int, len(c.names))
				for range c.names {
					m := read(t, (<-k.out).packet)
					if rcodes[m.Id] = m.Rcode; m.Question[0].Name != c.names[m.Id] || m.Truncated != (c.names[m.Id][0] == 'h') {
						t.Error(m)
					}
				}
				if !slices.Equal(rcodes, c.rcode) || s.Counters(UDP).Queries.Load() != uint64(len(c.names)) {
					t.Error(rcodes, s.Counters(UDP).Queries.Load())
				}
			})
		})
	}
}

// What becomes of a batch of which not all leaves at once.
func TestBatchThatDoesNotLeave(t *testing.T) {
	names := []string{"k.example.", "long.example.", "k.example.", "k.example.", "k.example."}
	second := func(err error) func(packet []byte) error {
		return func(packet []byte) error {
			if packet[1] == 1 { // its ID
				return err
			}
			return nil
		}
	}
	for _, c := range []struct {
		name   string
		change func(k *memoryKernel)
		ids    []int
		failed uint64
	}{
		{"two at a time", func(k *memoryKernel) { k.most = 2 }, []int{0, 1, 2, 3, 4}, 0},
		{"one is forbidden", func(k *memoryKernel) { k.fail = second(syscall.EPERM) }, []int{0, 2, 3, 4}, 1},
		{"one never fits", func(k *memoryKernel) { k.fail = second(syscall.EMSGSIZE) }, []int{0, 2, 3, 4}, 1},
		{"one fits when it is short", func(k *memoryKernel) {
			k.fail = func(packet []byte) error {
				if len(packet) > 600 {
					return syscall.EMSGSIZE
				}
				return nil
			}
		}, []int{0, 1, 2, 3, 4}, 0},
		{"all are forbidden", func(k *memoryKernel) { k.fail = func([]byte) error { return syscall.EPERM } }, nil, 5},
		{"there is no room, for a moment", func(k *memoryKernel) {
			k.full = true
			time.AfterFunc(sendWithin/2, func() { k.emptied <- struct{}{} })
		}, []int{0, 1, 2, 3, 4}, 0},
		{"there is no room", func(k *memoryKernel) { k.full = true }, nil, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newMemoryKernel(newMemoryUDP())
				c.change(k)
				s := crowded(t, k, sortOf, names...)
				time.Sleep(sendWithin)
				synctest.Wait()
				if got := ids(t, k); !slices.Equal(got, c.ids) || s.Counters(UDP).Drops(SendFailed) != c.failed {
					t.Error(got, s.Counters(UDP).Drops(SendFailed))
				}
				k.full, k.fail = false, nil
				k.in <- delivery{packet: ask(9, "k.example."), peer: client1}
				if m := read(t, (<-k.out).packet); m.Id != 9 || !k.until.IsZero() {
					t.Error("the reader does not go on, or with a deadline: ", m)
				}
			})
		})
	}
}

// Nothing of the clients is in a reader that waits.
func TestReaderForgets(t *testing.T) {
	for _, c := range []struct {
		name  string
		asked []string
	}{
		{"a hit", []string{"known.example."}},
		{"an answer that is truncated", []string{"long.example."}},
		{"one that outgrows the room", []string{"huge.example."}},
		{"a panic", []string{"panic.example."}},
		{"a miss", []string{"miss.example."}},
		{"all of them", []string{"k.example.", "long.example.", "panic.example.", "huge.example.", "miss.example.", "k.example."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, b := treated(t, c.asked)
				keepsNothing(t, k.conn)
				if !bytes.Equal(b.room, make([]byte, len(b.room))) {
					t.Error("the room is not empty")
				}
				if q := &b.visit.query; len(q.FoldedName()) > 0 || q.RawQuestion() != nil || b.tally != (tally{}) {
					t.Error("the visit is not over")
				}
				for _, a := range b.answers[:cap(b.answers)] {
					if a.octets != nil || a.peer.IsValid() {
						t.Error("an answer's way is kept")
					}
				}
			})
		})
	}
}

// treated has a reader treat questions, a message that is none, and wait again.
func treated(t *testing.T, names []string) (*memoryKernel, *batch) {
	t.Helper()
	k, b, f := newMemoryKernel(newMemoryUDP()), newBatch(), newFront(Options{})
	defer f.cancel()
	f.responder, f.admitter = sortOf, everybody{}
	control := message(unix.IPPROTO_IP, unix.IP_PKTINFO, []byte{7, 0, 0, 0, 192, 0, 2, 53, 192, 0, 2, 53})
	for _, name := range names {
		k.queue = append(k.queue, delivery{ask(1, name), control, client1})
	}
	k.queue = append(k.queue, delivery{[]byte("no query"), control, client1})
	received, err := k.conn.receive()
	if err != nil || len(received) != len(names)+1 {
		t.Fatal(err, len(received))
	}
	(&udpSocket{front: f, conn: k.conn}).treat(b, received)
	f.resolutions.Wait()
	_ = k.Close()
	if _, err := k.conn.receive(); !errors.Is(err, os.ErrDeadlineExceeded) || len(k.out) != len(names) {
		t.Fatal(err, len(k.out))
	}
	return k, b
}

func keepsNothing(t *testing.T, c *batchConn) {
	t.Helper()
	in, out := &c.in, &c.out
	for i := range batchSize {
		if in.messages[i] != [maxUDPQuery + cacheLine]byte{} || in.controls[i] != [maxControl]byte{} {
			t.Error("a message is kept: ", i)
		}
		if in.names[i] != (name{}) || out.names[i] != (name{}) || in.received[i].octets != nil || in.received[i].peer.IsValid() {
			t.Error("where a client is, is kept: ", i)
		}
		if out.vectors[i].Base != nil || out.headers[i].Hdr.Control != nil {
			t.Error("a way to an answer is kept: ", i)
		}
	}
}

// What the kernel reads and writes is what package unix says of its structures, and a link-local address keeps its interface.
func TestNames(t *testing.T) {
	for _, text := range []string{"192.0.2.1:5300", "[2001:db8::1]:53", "[fe80::1%7]:53"} {
		var n name
		peer := netip.MustParseAddrPort(text)
		size := n.set(peer)
		if got := n.peer(); got != peer {
			t.Errorf("%v, want %v", got, peer)
		}
		if peer.Addr().Is4() {
			raw := (*unix.RawSockaddrInet4)(unsafe.Pointer(&n))
			if size != unix.SizeofSockaddrInet4 || raw.Family != unix.AF_INET || raw.Addr != peer.Addr().As4() {
				t.Errorf("%+v", raw)
			}
			continue
		}
		raw := (*unix.RawSockaddrInet6)(unsafe.Pointer(&n))
		if size != unix.SizeofSockaddrInet6 || raw.Family != unix.AF_INET6 || raw.Addr != peer.Addr().As16() || (raw.Scope_id == 7) != (peer.Addr().Zone() == "7") {
			t.Errorf("%+v", raw)
		}
	}
}
