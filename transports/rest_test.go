package transports

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// restingStream is a stream over loopback whose reader has read one question, and the client's end of it.
func restingStream(t *testing.T, f *Server) (*stream, net.Conn) {
	t.Helper()
	listener, err := openTCP(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	served := f.tcpListener(listener, TCP).admit(conn)
	t.Cleanup(func() { _ = served.Close() })
	s := newStream(f.front, f.conns, served.connection, served)
	mustWrite(t, client, framed(ask(1, "hidden.example.")))
	if err := s.fill(); err != nil {
		t.Fatal(err)
	}
	return s, client
}

// A reader that has waited for a while holds no buffer, and still gets what comes, or learns that nothing will.
func TestRest(t *testing.T) {
	for _, c := range []struct {
		name   string
		before time.Duration // what is left to wait
		then   func(t *testing.T, server *Server, client net.Conn)
		err    error
	}{
		{"the client asks", time.Minute, func(t *testing.T, _ *Server, client net.Conn) {
			mustWrite(t, client, framed(ask(2, "a.example.")))
		}, nil},
		{"the client asks in parts", time.Minute, func(t *testing.T, _ *Server, client net.Conn) {
			mustWrite(t, client, []byte{0})
		}, nil},
		{"the time is over", 0, func(*testing.T, *Server, net.Conn) {}, os.ErrDeadlineExceeded},
		{"the client goes", time.Minute, func(t *testing.T, _ *Server, client net.Conn) {
			_ = client.Close()
		}, errGone},
		{"the server stops", time.Minute, func(_ *testing.T, server *Server, _ net.Conn) { server.stopReading() }, errStopping},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := newServer(Options{})
			defer server.front.cancel()
			s, client := restingStream(t, server)
			if _, ok := s.next(); !ok {
				t.Fatal("no message")
			}
			s.makeRoom()
			r := &restWatch{stream: s, rested: make(chan struct{})}
			done := make(chan error)
			go func() {
				now := time.Now()
				n, err := server.front.wait(r, s.conn, now.Add(-restAfter), now.Add(c.before))
				if n == 0 && err == nil {
					err = errors.New("nothing was read")
				}
				done <- err
			}()
			if c.before > 0 {
				<-r.rested
			}
			c.then(t, server, client)
			err := <-done
			if server.front.isStopping() {
				err = errStopping // as fill says
			}
			as := errors.Is(err, c.err)
			if errors.Is(c.err, errGone) {
				as = err != nil
			}
			if !as {
				t.Error(err)
			}
		})
	}
}

var errGone = errors.New("any error")

// A restWatch tells that its reader rests.
type restWatch struct {
	*stream
	rested chan struct{}
}

func (r *restWatch) rest() {
	r.stream.rest()
	if r.in != nil || r.out != nil || r.visit != nil {
		panic("it holds something")
	}
	close(r.rested)
}

// What came of a message is kept while its reader rests.
func TestRestKeepsPartOfAMessage(t *testing.T) {
	server := newServer(Options{})
	defer server.front.cancel()
	s, _ := restingStream(t, server)
	whole := s.end
	s.rest()
	if s.end != whole || len(s.in) == 0 {
		t.Error("it is gone")
	}
	if _, ok := s.next(); !ok {
		t.Error("it is not the message")
	}
	s.forget()
}
