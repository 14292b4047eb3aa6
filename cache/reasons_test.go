package cache

import (
	"fmt"
	"slices"
	"testing"

	"tacit/internal/wire"
)

func TestReasonsAreHeldOnce(t *testing.T) {
	var r reasons
	list := []wire.ExtendedError{{Code: wire.EDESynthesized, Text: "a"}, {Code: wire.EDEOther}}
	first, ok := r.place(list)
	again, _ := r.place(slices.Clone(list))
	other, _ := r.place(list[:1])
	none, _ := r.place(nil)
	if !ok || first != again || other == first || none != 0 || r.list(0) != nil {
		t.Errorf("places %d, %d, %d, %d", first, again, other, none)
	}
	want := slices.Clone(list)
	list[0].Code = wire.EDEBogus
	if !slices.Equal(r.list(first), want) {
		t.Error("a list changes with that of its caller")
	}
	for i := range 2 * maxReasons {
		place, ok := r.place([]wire.ExtendedError{{Text: fmt.Sprint(i)}})
		if want := i+2 < maxReasons; ok != want || ok && r.list(place)[0].Text != fmt.Sprint(i) {
			t.Fatalf("list %d: place %d, %v", i, place, ok)
		}
	}
}
