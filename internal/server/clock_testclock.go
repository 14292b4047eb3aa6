//go:build testclock

package server

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// adjustClock adds the seconds in the file that TACIT_CLOCK_OFFSET_FILE names, which is read each time, so that scripted
// scenarios can let hours pass. A file that is not there or holds no number adds nothing.
func adjustClock(now func() time.Time) func() time.Time {
	path := os.Getenv("TACIT_CLOCK_OFFSET_FILE")
	if path == "" {
		return now
	}
	return func() time.Time {
		text, err := os.ReadFile(path)
		if err != nil {
			return now()
		}
		seconds, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
		if err != nil {
			return now()
		}
		return now().Add(time.Duration(seconds * float64(time.Second)))
	}
}
