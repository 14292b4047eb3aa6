package transports

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A reader of a connection that is idle rests: it waits for the client at the bottom of its stack, and without the buffers that
// it needs for messages. Most connections are idle nearly all the time, and what each of them holds then is what many of them cost.
type reader interface {
	// read reads into the reader's buffer; it takes one if it has none.
	read() (n int, err error)
	// rest gives back what is not needed until something is read.
	rest()
}

// restAfter is how long a reader waits before it rests: who asks again at once pays nothing for it.
const restAfter = 500 * time.Millisecond

// wait has r read from conn before limit, rested or not.
func (f *front) wait(r reader, conn net.Conn, now, limit time.Time) (n int, err error) {
	soon := now.Add(restAfter)
	if !soon.Before(limit) {
		return f.readBefore(r, conn, limit)
	}
	if n, err = f.readBefore(r, conn, soon); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	r.rest()
	wipeStack() // the collector takes a part of it away
	_ = conn.SetReadDeadline(limit)
	if f.isStopping() {
		return 0, errStopping
	}
	if err := awaitOctets(conn); err != nil {
		return 0, err
	}
	growStack()
	return f.readBefore(r, conn, limit)
}

func (f *front) readBefore(r reader, conn net.Conn, limit time.Time) (n int, err error) {
	_ = conn.SetReadDeadline(limit)
	if f.isStopping() { // looked at after the deadline is set: stopReading sets its own after closing
		return 0, errStopping
	}
	return r.read()
}

// awaitOctets waits until the system has something to read for a connection, which need not be enough for a record of TLS. Where it
// cannot wait it does not; then the read that follows does.
func awaitOctets(conn net.Conn) error {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	s, ok := conn.(*socket)
	if !ok {
		return nil
	}
	c, ok := s.Conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	looked := false
	return raw.Read(func(fd uintptr) (done bool) {
		if looked { // and then waited
			return true
		}
		looked = true
		return hasOctets(fd)
	})
}

// readBuffers are for readers that do not rest.
var readBuffers = sync.Pool{New: func() any { return new([streamBuffer]byte) }}

func takeReadBuffer() []byte { return readBuffers.Get().(*[streamBuffer]byte)[:] }

// releaseReadBuffer clears a buffer and keeps it for others, if it is of the usual size.
func releaseReadBuffer(b []byte) {
	clear(b)
	if len(b) == streamBuffer {
		readBuffers.Put((*[streamBuffer]byte)(b))
	}
}
