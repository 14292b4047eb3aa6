//go:build unix

package main

import (
	"os"
	"syscall"
	"testing"
)

// SIGHUP with a mistake in the file keeps what was running, SIGHUP without one reloads, SIGTERM ends with 0.
func TestSignals(t *testing.T) {
	at := freePort(t).String()
	good := "[listen]\nudp = ['" + at + "']\ntcp = []\n"
	path := file(t, good)
	r := launch(t, "serve", "--config", path)
	r.wait(t, "Ctrl-C")

	overwrite(t, path, good+"[log]\nlevle = 'debug'\n")
	raise(t, syscall.SIGHUP)
	expect(t, r.wait(t, "not reloaded"), path+":5:1: log.levle: unknown key; the nearest is log.level")

	overwrite(t, path, good+"[log]\nlevel = 'debug'\n")
	raise(t, syscall.SIGHUP)
	r.wait(t, "configuration reloaded")

	raise(t, syscall.SIGTERM)
	if code := <-r.code; code != exitGood {
		t.Errorf("ended with %d", code)
	}
	close(r.code)
}

// Go's own way with these signals is to print all stacks.
func TestTellingSignalsEndQuietly(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGABRT} {
		t.Run(signal.String(), func(t *testing.T) {
			r := launch(t, "serve", "--config", file(t, "[listen]\nudp = ['"+freePort(t).String()+"']\ntcp = []\n"))
			r.wait(t, "Ctrl-C")
			raise(t, signal)
			if code := <-r.code; code != exitGood {
				t.Errorf("ended with %d", code)
			}
			close(r.code)
		})
	}
}

func overwrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func raise(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}
