package privacy

import (
	"context"
	"errors"
	"log/slog"
)

// A Handler passes on to another handler what may be logged: messages (constants, by lint rule), numbers, durations,
// booleans, Public text, and errors whose text is constant. Everything else becomes [redacted], so that a forgotten
// log line shows that there was something and not what.
type Handler struct{ next slog.Handler }

// NewHandler returns a Handler in front of next.
func NewHandler(next slog.Handler) *Handler { return &Handler{next} }

// Public is text that the operator's configuration or the program itself holds, and that may be logged: a configured
// zone, a listen address, the position of a statement. Converting anything that a client or a server sent is a bug.
type Public string

// A ConstantError is an error whose text is a constant.
type ConstantError interface {
	error
	// ConstantText marks the type.
	ConstantText()
}

// Redacted stands where a value was that may not be logged.
const Redacted = "[redacted]"

// Enabled asks the next handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle passes the record on with its attributes redacted.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(redact(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

// WithAttrs redacts attrs.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{h.next.WithAttrs(redactAll(attrs))}
}

// WithGroup passes the name of the group on: it is a constant.
func (h *Handler) WithGroup(name string) slog.Handler { return &Handler{h.next.WithGroup(name)} }

func redactAll(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = redact(a)
	}
	return clean
}

func redact(a slog.Attr) slog.Attr { return slog.Attr{Key: a.Key, Value: redactValue(a.Value)} }

func redactValue(v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindBool, slog.KindDuration, slog.KindInt64, slog.KindUint64, slog.KindFloat64:
		return v
	case slog.KindGroup:
		return slog.GroupValue(redactAll(v.Group())...)
	case slog.KindAny, slog.KindLogValuer:
		return redactAny(v)
	default:
		return slog.StringValue(Redacted)
	}
}

func redactAny(v slog.Value) slog.Value {
	switch x := v.Any().(type) {
	case Public:
		return slog.StringValue(string(x))
	case Client:
		return x.LogValue()
	case error:
		if constant, ok := errors.AsType[ConstantError](x); ok {
			return slog.StringValue(constant.Error())
		}
	case slog.LogValuer:
		return redactValue(v.Resolve())
	}
	return slog.StringValue(Redacted)
}
