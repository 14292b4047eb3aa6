package transports

import (
	"bytes"
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
