package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnchors(t *testing.T) {
	directory := t.TempDir()
	damaged := filepath.Join(directory, "damaged")
	if err := os.WriteFile(damaged, []byte("tacit trust anchors, version 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const root = ".     20326  8          valid  -      -           configured\n.     38696  8          valid  -      -           configured\n"
	for _, c := range []struct{ name, text, state, want string }{
		{"in memory", "", "", root + "\nNo file keeps what a running tacit learns: dnssec.anchor_file is empty.\n"},
		{"a service", "", directory, root + "\nNothing has been learnt yet: " + filepath.Join(directory, "trust-anchors") + " does not exist.\n"},
		{"damaged", "anchor_file = '" + damaged + "'", "", root + "\n" + damaged + " is not used: trust anchor state: damaged or edited, the checksum does not fit\n"},
		{"static", "anchor_updates = 'static'", directory, root + "\nThey do not follow their zones: dnssec.anchor_updates is static.\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("STATE_DIRECTORY", c.state)
			stdout, _ := call(t, exitGood, "anchors", "--config", file(t, "[dnssec]\n"+c.text+"\n"))
			if got := stdout[strings.Index(stdout, "\n")+1:]; got != c.want || !strings.HasPrefix(stdout, "zone  tag ") {
				t.Errorf("%q\n%q", got, c.want)
			}
		})
	}
	call(t, exitUsage, "anchors", "example.")
}
