//go:build !race

// The race detector makes frames larger.

package server

import (
	"sync"
	"testing"
	"unsafe"
)

// A room fits in the stack that it is made for, and in no smaller one: one that is little larger moves the goroutine to another stack.
func TestRoomsFitStacks(t *testing.T) {
	for _, c := range []struct {
		name          string
		fits, tooMuch func()
	}{
		{"8 KiB", overwriteStack[[8<<10 - margin]byte], overwriteStack[[8<<10 - margin + 500]byte]},
		{"16 KiB", overwriteStack[[16<<10 - margin]byte], overwriteStack[[16<<10 - margin + 500]byte]},
	} {
		t.Run(c.name, func(t *testing.T) {
			var test sync.WaitGroup
			test.Go(func() {
				var here byte
				c.fits()
				before := uintptr(unsafe.Pointer(&here))
				c.fits()
				if uintptr(unsafe.Pointer(&here)) != before {
					t.Error("a room that was there before moves the stack")
				}
				c.tooMuch()
				if uintptr(unsafe.Pointer(&here)) == before {
					t.Error("the stack is larger than it should be, or the room smaller")
				}
			})
			test.Wait()
		})
	}
}
