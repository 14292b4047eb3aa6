package server

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"tacit/transports"
)

func TestExplain(t *testing.T) {
	at := netip.MustParseAddrPort
	for _, c := range []struct {
		name   string
		addr   string
		err    error
		holder string
		want   []string
	}{
		{"systemd-resolved", "0.0.0.0:53", syscall.EADDRINUSE, "systemd-resolve", []string{"systemd-resolved has it", "DNSStubListener=no", "127.0.0.1:5335"}},
		{"another program", "127.0.0.1:53", syscall.EADDRINUSE, "named", []string{"cannot listen on 127.0.0.1:53 (udp): named has it"}},
		{"unknown holder of 53", "127.0.0.1:53", syscall.EADDRINUSE, "", []string{"sport = :53", "DNSStubListener=no"}},
		{"unknown holder", "127.0.0.1:5335", syscall.EADDRINUSE, "", []string{"another program has it", "sport = :5335"}},
		{"no privilege", "127.0.0.1:53", syscall.EACCES, "", []string{"ports below 1024", "setcap", "CAP_NET_BIND_SERVICE"}},
		{"no such address", "192.0.2.1:5335", syscall.EADDRNOTAVAIL, "", []string{"does not have the address"}},
		{"anything else", "127.0.0.1:5335", syscall.EMFILE, "", []string{"cannot listen on 127.0.0.1:5335 (udp): too many open files"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := explainListen(&transports.ListenError{Transport: transports.UDP, Addr: at(c.addr), Err: c.err}, c.holder)
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q does not say %q", text, want)
				}
			}
		})
	}
	if got := Explain(fs.ErrClosed); got != fs.ErrClosed.Error() {
		t.Errorf("another error: %q", got)
	}
	if !errors.Is(syscall.EACCES, fs.ErrPermission) {
		t.Error("EACCES is no permission error here")
	}
}

const udpTable = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
  100: 3500007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 1111 2 0000000000000000 0
  101: 0100007F:14D7 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 2222 2 0000000000000000 0
  102: 0100007F:14D8 0100007F:0035 01 00000000:00000000 00:00000000 00000000     0        0 3333 2 0000000000000000 0
`

const udp6Table = `   sl  local_address remote_address st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
  103: 00000000000000000000000000000000:15B3 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000   0  0 4444 2 0 0
`

func TestHolder(t *testing.T) {
	proc := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(proc, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("net/udp", udpTable)
	write("net/udp6", udp6Table)
	for pid, p := range map[string]struct{ name, inode string }{
		"17": {"systemd-resolve", "1111"}, "18": {"named", "2222"}, "19": {"dnsmasq", "4444"},
	} {
		write(pid+"/comm", p.name+"\n")
		write(pid+"/fd/0", "")
		if err := os.Symlink("socket:["+p.inode+"]", filepath.Join(proc, pid, "fd", "3")); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, addr, want string }{
		{"the very address", "127.0.0.53:53", "systemd-resolve"},
		{"all addresses wanted", "0.0.0.0:53", "systemd-resolve"},
		{"another address", "127.0.0.1:53", ""},
		{"another port", "127.0.0.1:5335", "named"},
		{"a connected socket is not in the way", "127.0.0.1:5336", ""},
		{"the wildcard of IPv6 has it", "127.0.0.1:5555", "dnsmasq"},
		{"nobody", "127.0.0.1:9999", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := holder(proc, transports.UDP, netip.MustParseAddrPort(c.addr)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
	if got := holder(filepath.Join(proc, "none"), transports.TCP, netip.MustParseAddrPort("127.0.0.1:53")); got != "" {
		t.Errorf("%q where there is no /proc", got)
	}
}
