package server

import (
	"reflect"
	"testing"
	"time"

	"tacit/admin"
	"tacit/internal/wire"
	"tacit/statement"
)

// What everybody may know of sessions: when, why, and how many questions. A session ends with its time.
func TestDebugSessionsAreListed(t *testing.T) {
	s, _ := newSetting(t).start(t, common+listenAnywhere)
	stated := func() statement.Practice { return s.stater.current.Load().Practice }
	if p := stated(); len(p.DebugSessions) > 0 || p.Places[statement.DebugSessions].On {
		t.Errorf("before: %+v", p.DebugSessions)
	}
	ended := make(chan error, 1)
	udp, _ := s.Addrs()
	go func() {
		ended <- operator{s}.Debug(t.Context(), wire.MustName("www.zone.example."), time.Second, "why", func(admin.DebugEvent) error { return nil })
	}()
	for !stated().Places[statement.DebugSessions].On {
		time.Sleep(time.Millisecond)
	}
	ask(t, "udp", udp[0], "www.zone.example.")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	p := stated()
	if p.Places[statement.DebugSessions].On || len(p.DebugSessions) != 1 {
		t.Fatalf("afterwards: %+v", p.DebugSessions)
	}
	if d := p.DebugSessions[0]; d.Reason != "why" || d.Matched != 1 || d.Until.Before(d.Since) || d.Until.Sub(d.Since) > 10*time.Second {
		t.Errorf("%+v", d)
	}
	for field := range reflect.TypeFor[statement.DebugSession]().Fields() {
		if field.Type == reflect.TypeFor[wire.Name]() {
			t.Error("the list holds a name")
		}
	}
}

func TestDebugSessionsAreListedFor30Days(t *testing.T) {
	var d debugSessions
	begun := time.Unix(1000, 0)
	d.begin(begun, begun.Add(time.Minute), "why")
	for _, c := range []struct {
		days, shown int
	}{{0, 1}, {29, 1}, {31, 0}} {
		if list := d.shown(begun.AddDate(0, 0, c.days)); len(list) != c.shown {
			t.Errorf("after %d days: %+v", c.days, list)
		}
	}
}
