package resolver

import (
	"crypto/rand"
	"encoding/binary"
)

// below returns a uniform number in [0, n). Which server is asked must not be predictable from outside, so it comes
// from crypto/rand.
func below(n int) int {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return int(binary.LittleEndian.Uint64(b[:]) % uint64(n))
}
