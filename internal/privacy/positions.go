package privacy

import (
	"runtime"
	"strconv"
	"strings"
)

// Positions says where the code was when it panicked, function:line, innermost first, to whoever has just recovered from that.
// There are no values in it: those of a panic may hold a name or an address.
func Positions() Public {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	var b strings.Builder
	recovering := true
	for {
		frame, more := frames.Next()
		switch {
		case recovering:
			recovering = frame.Function != "runtime.gopanic"
		case !strings.HasPrefix(frame.Function, "runtime."):
			b.WriteString(frame.Function)
			b.WriteByte(':')
			b.WriteString(strconv.Itoa(frame.Line))
			b.WriteByte(' ')
		}
		if !more {
			return Public(strings.TrimSpace(b.String()))
		}
	}
}
