package upstream

import (
	"context"
	"time"
)

// An Overdue is told once at most that a reply has not come in two to three round trips, which is sooner than the exchange gives up,
// and how much later than that it is by now. It returns before the exchange does, so it must not wait. The exchange goes on
// in ctx, and ends with cancel, which is the caller's to call from then on.
type Overdue func(ctx context.Context, cancel context.CancelCauseFunc, late time.Duration)

// A leash is the context of an exchange that may become overdue. Only then, or when it is armed, can it be ended apart from its
// parent: most replies come in time, and to prepare for the others would cost half of what it costs to read one.
type leash struct {
	context.Context
	overdue Overdue // nil: was called
	due     time.Time

	timer  *time.Timer // nil: the reader looks at the time itself
	said   chan struct{}
	cancel context.CancelCauseFunc
}

func newLeash(ctx context.Context, o Overdue, after time.Duration) *leash {
	return &leash{Context: ctx, overdue: o, due: time.Now().Add(after)} //nolint:forbidigo // the system's clock, by which readers wake
}

// waits reports whether whoever reads the reply has to say that it is overdue.
func (l *leash) waits() bool { return l != nil && l.overdue != nil && l.timer == nil }

// say is called by the goroutine of the exchange when the reply is overdue.
func (l *leash) say() {
	overdue := l.overdue
	l.Context, l.cancel = context.WithCancelCause(l.Context)
	l.overdue = nil
	overdue(l.Context, l.cancel, l.late())
}

// arm has a timer say that the reply is overdue: for steps that do not read with a deadline. After it, the context is no other any
// more, whoever has it.
func (l *leash) arm() {
	if !l.waits() {
		return
	}
	overdue := l.overdue
	ctx, cancel := context.WithCancelCause(l.Context)
	l.Context, l.cancel, l.said = ctx, cancel, make(chan struct{})
	l.timer = time.AfterFunc(-l.late(), func() {
		defer close(l.said)
		overdue(ctx, cancel, l.late())
	})
}

func (l *leash) late() time.Duration { return time.Since(l.due) } //nolint:forbidigo // as above

// end is called when the exchange has ended.
func (l *leash) end() {
	switch {
	case l == nil || l.timer == nil:
	case l.timer.Stop():
		l.cancel(nil)
	default:
		<-l.said
	}
}
