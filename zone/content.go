package zone

import (
	"fmt"
	"log/slog"
	"unique"
)

// A Content is the RDATA of a record in presentation form: what it leads to, and for a record that is proxied, its origin. It prints
// as [origin] whatever the verb or the nesting; only RevealOrigin gives its text. Which files may call that, a test in
// internal/arch lists.
type Content struct{ handle unique.Handle[string] }

// NewContent makes a Content of text.
func NewContent(text string) Content {
	if text == "" {
		return Content{}
	}
	return Content{unique.Make(text)}
}

// RevealOrigin returns the text. It may go into the zone file and to the operator's own terminal, never into a message, a log, an
// error or a metric.
func (c Content) RevealOrigin() string {
	if c == (Content{}) {
		return ""
	}
	return c.handle.Value()
}

const hidden = "[origin]"

// String returns [origin].
func (c Content) String() string { return hidden }

// GoString returns [origin].
func (c Content) GoString() string { return hidden }

// Format writes [origin] for every verb.
func (c Content) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(hidden)) }

// LogValue is [origin].
func (c Content) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText returns [origin].
func (c Content) MarshalText() ([]byte, error) { return []byte(hidden), nil }
