//go:build !linux || race

package cache

// A memory is octets of the runtime's, where there is no way around the garbage collector, and for the race detector, which
// watches no other memory.
type memory struct{ octets []byte }

func newMemory(size int) *memory { return &memory{octets: make([]byte, size)} }

// release wipes the memory and lets go of it. Nothing may be left that points into it.
func (m *memory) release() {
	clear(m.octets)
	m.octets = nil
}
