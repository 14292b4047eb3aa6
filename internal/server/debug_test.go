package server

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"tacit/admin"
	"tacit/internal/wire"
)

// What everybody may know of sessions: when, why, and how many questions; for 30 days. A session ends with its time.
func TestDebugSessionsAreListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{env: Env{}.withDefaults(), stopping: make(chan struct{})}
		began := time.Now()
		name := wire.MustName("www.example.com.")
		err := operator{s}.Debug(context.Background(), name, 10*time.Minute, "why", func(admin.DebugEvent) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		list := s.DebugSessions()
		if len(list) != 1 || !list[0].Since.Equal(began) || list[0].Until.Sub(began) != 10*time.Minute || list[0].Reason != "why" || list[0].Matched != 0 {
			t.Errorf("%+v", list)
		}
		for field := range reflect.TypeFor[DebugSession]().Fields() {
			if field.Type == reflect.TypeFor[wire.Name]() {
				t.Error("the list holds a name")
			}
		}
		time.Sleep(31 * 24 * time.Hour)
		if list := s.DebugSessions(); len(list) != 0 {
			t.Errorf("after 31 days: %+v", list)
		}
	})
}
