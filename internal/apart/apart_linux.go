// Package apart runs a test program apart from the machine that it is on: in network, process and mount namespaces of its own, where any
// port is free, nothing reaches a real network, and all that it has started ends with it. It also hears every packet there.
//
// Limitations: Linux, as root; nothing in tacit itself needs it.
package apart

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Check finds out whether this machine has what a run needs: root, and programs, each with the Debian package that has it. It says what
// is missing; a run that cannot be must not look like success.
func Check(programs map[string]string) (missing []string, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("root is needed to make a network namespace")
	}
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return nil, err
	}
	for program, debian := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, fmt.Sprintf("%s (Debian package %s)", program, debian))
		}
	}
	return missing, nil
}

// Missing is the error that programs are missing; nil when none is.
func Missing(programs []string) error {
	if len(programs) == 0 {
		return nil
	}
	return fmt.Errorf("missing programs: %s", strings.Join(programs, ", "))
}

// Build builds a tacit, with a build tag or "".
func Build(binary, tag string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-tags", tag, "-o", binary, "tacit/cmd/tacit") //nolint:gosec // its own program
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build tacit: %w: %s", err, output)
	}
	return nil
}

// Repeat runs this program once more in namespaces, with additions to its environment by which it knows that, and returns its exit code.
// What it prints goes to output and complaints.
func Repeat(output, complaints io.Writer, environment ...string) (code int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, os.Args[1:]...) //nolint:gosec // the program that runs
	cmd.Stdout, cmd.Stderr = output, complaints
	cmd.Env = append(os.Environ(), environment...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWNET | syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS, // unshared rather than cloned, so that the runtime makes all mounts private
		Pdeathsig:    syscall.SIGKILL,
	}
	runtime.LockOSThread() // the death signal follows the thread that started the process
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// MountProc makes the process file system that of this namespace.
func MountProc() error {
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount proc: %w", err)
	}
	return nil
}

const (
	bufferSize = 64 << 20 // octets, so that no packet is lost
	readTime   = 100_000  // microseconds that a read lasts at most
)

// PacketSocket opens a socket that hears every packet of the loopback interface, each twice: as it leaves and as it comes.
func PacketSocket() (fd int, err error) {
	var all [2]byte
	binary.BigEndian.PutUint16(all[:], unix.ETH_P_ALL)
	protocol := binary.NativeEndian.Uint16(all[:]) // the kernel wants network byte order
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(protocol))
	if err != nil {
		return 0, err
	}
	lo, err := net.InterfaceByName("lo")
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: lo.Index})
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize)
	}
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: readTime})
	}
	if err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}
