package server

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
)

// freePort is an address on which nobody listens, over TCP and over UDP.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		_ = tcp.Close()
		if err == nil {
			_ = udp.Close()
			return tcp.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// What shares a UDP port with HTTP/3 cannot change while the port is open: the reload says that it takes a restart, and all stays.
func TestReloadRefusesToShareAPort(t *testing.T) {
	both := freePort(t)
	https, quic := "https = ['"+both+"']\n", "quic = ['"+both+"']\n"
	for _, c := range []struct{ name, before, after string }{
		{"DoQ comes to HTTP/3", https, https + quic},
		{"DoQ leaves HTTP/3", https + quic, https},
		{"HTTP/3 comes to DoQ", quic, https + quic},
		{"DoQ instead of HTTP/3", https, quic},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newSetting(t)
			s, log := x.start(t, common+listenAnywhere+c.before)
			before, shown := s.Endpoints(), s.Certificates()
			udp, _ := s.Addrs()
			x.write(t, common+listenAnywhere+c.after+"[access]\nrefuse = ['127.0.0.0/8']\n")
			log.Reset()
			if err := s.ReloadFile(t.Context(), x.path); !errors.Is(err, errRestart) {
				t.Fatal(err)
			}
			if want := "what shares a UDP port with listen.https change with a restart only"; !strings.Contains(log.String(), want) {
				t.Errorf("%s; want %s", log, want)
			}
			if after := s.Endpoints(); !slices.Equal(after, before) {
				t.Errorf("listens on %v, was %v", after, before)
			}
			if after := s.Certificates(); len(after) != 1 || after[0].Pin != shown[0].Pin {
				t.Error("another certificate is shown")
			}
			expectAddress(t, ask(t, "udp", udp[0], "www.zone.example."), "203.0.113.1")
		})
	}
}
