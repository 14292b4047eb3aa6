package cache

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"tacit/internal/wire"
)

// Reasons are the lists of extended errors that finished answers have. There are few, as their texts are the program's own or
// the operator's, so each is held once, and a record has the place of its list. Place 0 is that of the empty one.
type reasons struct {
	mu    sync.Mutex // of those who add
	lists atomic.Pointer[[][]wire.ExtendedError]
}

// maxReasons is what fits into an octet.
const maxReasons = math.MaxUint8

// list returns the list at a place.
func (r *reasons) list(place byte) []wire.ExtendedError {
	if place == 0 {
		return nil
	}
	return (*r.lists.Load())[place-1]
}

// place returns the place of a list, which it adds if need be. It is not ok when there are too many.
func (r *reasons) place(list []wire.ExtendedError) (place byte, ok bool) {
	if len(list) == 0 {
		return 0, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var lists [][]wire.ExtendedError
	if known := r.lists.Load(); known != nil {
		lists = *known
	}
	same := func(known []wire.ExtendedError) bool { return slices.Equal(known, list) }
	if i := slices.IndexFunc(lists, same); i >= 0 {
		return byte(i + 1), true
	}
	if len(lists) == maxReasons {
		return 0, false
	}
	lists = append(slices.Clone(lists), slices.Clone(list)) // who reads has the old one
	r.lists.Store(&lists)
	return byte(len(lists)), true
}
