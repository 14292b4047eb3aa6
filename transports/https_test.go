package transports

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

// What was read of a query is in one place, wherever it has moved to.
func TestBodiesLeaveNoCopyBehind(t *testing.T) {
	body := strings.Repeat("secret", 100)
	for _, room := range []int{0, 1, 7, 600} {
		first := make([]byte, 0, room)
		c := &connection{}
		got, err := readUpTo(iotest.OneByteReader(strings.NewReader(body)), first, maxMessage, c)
		if err != nil || string(got) != body || c.bodies.Load() != 0 {
			t.Fatalf("room for %d: %q, %v", room, got, err)
		}
		if left := first[:cap(first)]; room < len(body) && !bytes.Equal(left, make([]byte, room)) {
			t.Errorf("room for %d: %q is left", room, left)
		}
	}
}

// A bomb is a response that cannot be written without a panic.
type bomb struct{ *httptest.ResponseRecorder }

func (bomb) Write([]byte) (int, error) { panic("secret.example") }

// The libraries recover from what a handler does, and tell nobody.
func TestPanicsOfHTTPAreCounted(t *testing.T) {
	s := newServer(Options{})
	defer s.front.cancel()
	s.front.responder, s.front.admitter = known, everybody{}
	c := newConnection(s.front, HTTP3, client1.Addr())
	defer c.stop()
	defer func() {
		err, ok := recover().(error)
		if !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Error("the request is not aborted: ", err)
		}
		if got := s.Counters(HTTP3).Panics.Load(); got != 1 || c.pending.Load() != 0 || inUse(s) != 0 {
			t.Errorf("%d panics, %d in progress, %d slots", got, c.pending.Load(), inUse(s))
		}
	}()
	r := httptest.NewRequestWithContext(withConnection(t.Context(), c), http.MethodPost, Path, bytes.NewReader(ask(0, "a.example.")))
	r.Header.Set("Content-Type", messageType)
	(&doh{front: s.front}).ServeHTTP(bomb{httptest.NewRecorder()}, r)
}
