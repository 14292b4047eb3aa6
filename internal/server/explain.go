package server

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"tacit/transports"
)

// Explain says in full sentences why tacit could not start and what to do about it, for the operator's terminal.
func Explain(err error) string {
	le, ok := errors.AsType[*transports.ListenError](err)
	if !ok {
		return err.Error()
	}
	return explainListen(le, holder("/proc", le.Transport, le.Addr))
}

const (
	domainPort   = 53
	resolvedName = "systemd-resolve" // as the kernel cuts it
)

func explainListen(le *transports.ListenError, holder string) string {
	where := fmt.Sprintf("%v (%v)", le.Addr, le.Transport)
	switch {
	case le.InUse() && holder == resolvedName:
		return fmt.Sprintf("cannot listen on %s: systemd-resolved has it.\n%s", where, resolvedAdvice)
	case le.InUse() && holder != "":
		return fmt.Sprintf("cannot listen on %s: %s has it. Stop that program, or choose another port in [listen].", where, holder)
	case le.InUse() && le.Addr.Port() == domainPort:
		return fmt.Sprintf("cannot listen on %s: another program has it; to see which: ss -lnptu 'sport = :53'\n"+
			"If it is systemd-resolved:\n%s", where, resolvedAdvice)
	case le.InUse():
		return fmt.Sprintf("cannot listen on %s: another program has it. Choose another port in [listen], or find it: ss -lnptu 'sport = :%d'",
			where, le.Addr.Port())
	case errors.Is(le.Err, fs.ErrPermission):
		return fmt.Sprintf("cannot listen on %s: ports below 1024 need a privilege.\n%s", where, privilegeAdvice)
	case isNoFamily(le.Err):
		return fmt.Sprintf("cannot listen on %s: this machine does not have the address.", where)
	}
	return fmt.Sprintf("cannot listen on %s: %v", where, le.Err)
}

const resolvedAdvice = `Either let it give up the port, by a file /etc/systemd/resolved.conf.d/tacit.conf with
    [Resolve]
    DNS=127.0.0.1
    DNSStubListener=no
and then
    ln -sf /run/systemd/resolve/resolv.conf /etc/resolv.conf
    systemctl restart systemd-resolved
or choose another address or port in [listen], such as 127.0.0.1:5335.`

const privilegeAdvice = `Either run tacit from systemd with AmbientCapabilities=CAP_NET_BIND_SERVICE,
or give the program the privilege: setcap cap_net_bind_service=+ep /path/to/tacit
or choose a port from 1024 up in [listen], such as 127.0.0.1:5335.`

// holder finds the program that has an address on Linux: the sockets of the kernel's tables name inodes, and
// the descriptors of the processes that we may look at name the same. It returns nothing when it cannot tell.
func holder(proc string, t transports.Transport, a netip.AddrPort) string {
	for _, table := range []string{t.Network(), t.Network() + "6"} {
		text, err := os.ReadFile(filepath.Join(proc, "net", table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			inode, ok := parseSocket(line, t, a)
			if !ok {
				continue
			}
			if name := inodeHolder(proc, inode); name != "" {
				return name
			}
		}
	}
	return ""
}

// Columns and states of /proc/net/udp and tcp (proc_net_udp(5)).
const (
	columnLocal, columnState, columnInode = 1, 3, 9
	stateListening, stateUnconnected      = "0A", "07"
)

// parseSocket returns the inode of a line whose socket stands in the way of a.
func parseSocket(line string, t transports.Transport, a netip.AddrPort) (inode string, ok bool) {
	f := strings.Fields(line)
	if len(f) <= columnInode {
		return "", false
	}
	if t.Network() == "tcp" && f[columnState] != stateListening || t.Network() == "udp" && f[columnState] != stateUnconnected {
		return "", false
	}
	host, port, ok := strings.Cut(f[columnLocal], ":")
	if n, err := strconv.ParseUint(port, 16, 16); !ok || err != nil || uint16(n) != a.Port() {
		return "", false
	}
	local, ok := parseKernelAddr(host)
	return f[columnInode], ok && (local == a.Addr() || local.IsUnspecified() || a.Addr().IsUnspecified())
}

// parseKernelAddr reads an address as the kernel prints it: 32-bit words in the order of the machine, which is little
// endian wherever tacit is built for.
func parseKernelAddr(text string) (netip.Addr, bool) {
	if len(text) != 8 && len(text) != 32 {
		return netip.Addr{}, false
	}
	var b []byte
	for i := 0; i < len(text); i += 8 {
		word, err := strconv.ParseUint(text[i:i+8], 16, 32)
		if err != nil {
			return netip.Addr{}, false
		}
		b = append(b, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	a, ok := netip.AddrFromSlice(b)
	return a.Unmap(), ok
}

func inodeHolder(proc, inode string) string {
	descriptors, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return ""
	}
	for _, d := range descriptors {
		if target, err := os.Readlink(d); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		name, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(d)), "comm"))
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(name))
	}
	return ""
}
