package wire

import (
	"bytes"
	"testing"
)

// RFC 4343 section 3: the 26 letters of ASCII and nothing else, wherever they stand.
func TestFold(t *testing.T) {
	for size := range 20 {
		for at := range size {
			for c := range 256 {
				src, got := bytes.Repeat([]byte{byte(c)}, size), make([]byte, size)
				src[at] = byte(255 - c)
				fold(got, src)
				for i := range src {
					if got[i] != lower(src[i]) {
						t.Fatalf("octet %#x at %d of %x becomes %#x", src[i], i, src, got[i])
					}
				}
			}
		}
	}
}
