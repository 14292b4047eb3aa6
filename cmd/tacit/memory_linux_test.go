package main

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMemoryIsHidden(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		t.Skip("a sandbox refuses prctl")
	}
	r := launch(t, "serve", "--config", file(t, "[listen]\nudp = ['"+freePort(t).String()+"']\ntcp = []\n"))
	r.wait(t, "Ctrl-C")
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		t.Errorf("dumpable: %d, %v", dumpable, err)
	}
	var core syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &core); err != nil || core != (syscall.Rlimit{}) {
		t.Errorf("limit of cores: %v, %v", core, err)
	}
	raise(t, syscall.SIGTERM)
	<-r.code
	close(r.code)
}
