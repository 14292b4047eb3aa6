//go:build linux && !race

package cache

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// flagsOf returns what proc(5) says of the mapping that has an address, "" when there is none.
func flagsOf(t *testing.T, address uintptr) string {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uintptr
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &from, &to); n == 2 {
			inside = from <= address && address < to
		}
		if flags, ok := strings.CutPrefix(lines.Text(), "VmFlags:"); ok && inside {
			return flags
		}
	}
	return ""
}

// A core dump holds nothing of what people asked, and a cache that nobody has any more gives its memory back.
func TestMemoryIsTheSystems(t *testing.T) {
	s := newStore(4<<20, testFixed)
	insert(s, 1, 100, false)
	sh, _ := s.locate(keyOf(1))
	var places []uintptr
	for _, m := range []*memory{sh.arena.memories[0], sh.index.memory} {
		places = append(places, uintptr(unsafe.Pointer(&m.octets[0])))
	}
	for _, p := range places {
		if flags := flagsOf(t, p); !strings.Contains(flags, " dd") {
			t.Errorf("the mapping has the flags %q, and not dd", flags)
		}
	}
	runtime.KeepAlive(s)
	s, sh = nil, nil
	for range 1000 {
		runtime.GC()
		if flagsOf(t, places[0])+flagsOf(t, places[1]) == "" {
			return
		}
		runtime.Gosched()
	}
	t.Error("the memory of a cache that is gone is still mapped")
}

// What was given back is not mapped any more.
func TestFlushGivesMemoryBack(t *testing.T) {
	m := newMemory(1 << 20)
	place := uintptr(unsafe.Pointer(&m.octets[0]))
	m.release()
	if flags := flagsOf(t, place); strings.Contains(flags, " dd") {
		t.Error("still mapped")
	}
}
