package upstream

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// keepWhole sets the don't-fragment bit and ignores what is said about the path's MTU, which anybody can say: nothing
// that is sent here is near any MTU, and a fragment would be a sign of mischief.
func keepWhole(network, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		if strings.HasSuffix(network, "6") {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
			return
		}
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	})
	if err != nil {
		return err
	}
	return failed
}
