//go:build linux && !race

package cache

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// A memory is octets that the garbage collector neither sees nor counts: they come from the system and go back to it. No
// core dump has them.
type memory struct {
	octets  []byte
	cleanup runtime.Cleanup
}

// newMemory returns size octets of zeros. Whoever reads or writes them has to keep the memory itself reachable.
func newMemory(size int) *memory {
	octets, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil { // what the system refuses, the runtime may still have
		return &memory{octets: make([]byte, size)}
	}
	_ = unix.Madvise(octets, unix.MADV_DONTDUMP)
	m := &memory{octets: octets}
	m.cleanup = runtime.AddCleanup(m, unmap, octets) // of a cache that nobody has any more
	return m
}

// release wipes the memory and gives it back. Nothing may be left that points into it.
func (m *memory) release() {
	m.cleanup.Stop()
	clear(m.octets)
	unmap(m.octets)
	m.octets = nil
}

func unmap(octets []byte) { _ = unix.Munmap(octets) } // refused for what did not come from Mmap
