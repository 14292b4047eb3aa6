package siphash

import "testing"

// The vectors of the paper's reference implementation: key 00 01 ... 0f, and so many octets 00 01 02 ... .
func TestVectors(t *testing.T) {
	var key Key
	var data [64]byte
	for i := range data {
		data[i] = byte(i)
		key[i%len(key)] = byte(i % len(key))
	}
	for size, want := range map[int]uint64{
		0: 0x726fdb47dd0e0e31, 1: 0x74f839c593dc67fd, 2: 0x0d6c8009d9a94f5a, 7: 0xab0200f58b01d137, 8: 0x93f5f5799a932462,
		15: 0xa129ca6149be45e5, 63: 0x958a324ceb064572,
	} {
		if got := key.Sum(data[:size]); got != want {
			t.Errorf("%d octets: %016x, want %016x", size, got, want)
		}
	}
}

func TestKeysAreDrawn(t *testing.T) {
	if a, b := NewKey(), NewKey(); a == b || a == (Key{}) {
		t.Error("the same key twice, or none")
	}
}

func TestSumDoesNotAllocate(t *testing.T) {
	key := NewKey()
	if n := testing.AllocsPerRun(100, func() {
		var data [20]byte
		key.Sum(data[:])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSum20(b *testing.B) {
	key := NewKey()
	var data [20]byte
	for b.Loop() {
		key.Sum(data[:])
	}
}
