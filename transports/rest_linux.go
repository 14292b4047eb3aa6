package transports

import "golang.org/x/sys/unix"

// hasOctets reports whether a read would not wait.
func hasOctets(fd uintptr) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n != 0 || err != nil
}
