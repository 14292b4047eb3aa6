package upstream

import (
	"context"
	"net"
	"testing"
	"time"

	"tacit/internal/work"
)

// A doomed session comes upon something that nobody has thought of.
type doomed struct{ session }

func (doomed) run() { panic("secret.example") }

func TestPanicOfASessionEndsNothingElse(t *testing.T) {
	panics := 0
	client := New(Options{Panicked: func() { panics++ }})
	defer client.Close()
	client.pool.run(doomed{})
	if panics != 1 {
		t.Errorf("%d panics were told of", panics)
	}
}

// A bomb is a network that panics the first time.
type bomb struct {
	System
	dialed int
}

func (b *bomb) DialContext(context.Context, string, string) (net.Conn, error) {
	if b.dialed++; b.dialed == 1 {
		panic("secret.example")
	}
	return nil, errHandshake
}

// The next who connects to the server neither waits for what will not come nor lacks a place.
func TestPanicOfASetUpLeavesNothingBehind(t *testing.T) {
	network := &bomb{}
	client := New(Options{Network: network, Connections: 1})
	defer client.Close()
	connect := func() (err error, panicked bool) {
		defer func() { panicked = recover() != nil }()
		_, err = client.pool.connect(t.Context(), server, work.New(work.DefaultLimits))
		return err, false
	}
	if _, panicked := connect(); !panicked {
		t.Error("the first set-up did not panic")
	}
	if err, _ := connect(); err == nil || network.dialed != 2 {
		t.Errorf("%v, %d dialed", err, network.dialed)
	}
	if held := len(client.pool.places); held != 0 {
		t.Errorf("%d places are taken", held)
	}
}

// An explosive connection panics when it is read.
type explosive struct {
	net.Conn
	closed chan struct{}
}

func (e explosive) SetReadDeadline(time.Time) error { return nil }
func (e explosive) Read([]byte) (int, error)        { panic("secret.example") }
func (e explosive) Close() error                    { close(e.closed); return nil }

// Who listens for a reply that nobody waits for any more reads what a server sends, too.
func TestPanicOfABackgroundListener(t *testing.T) {
	panics := 0
	client := New(Options{Panicked: func() { panics++ }})
	defer client.Close()
	x := &exchange{Client: client, server: server, timeout: time.Second}
	conn, q := explosive{closed: make(chan struct{})}, newQuery(question, form{})
	if !x.stay(conn, &q, client.now()) {
		t.Fatal("there is no room")
	}
	<-conn.closed
	if panics != 1 {
		t.Errorf("%d panics were told of", panics)
	}
}
