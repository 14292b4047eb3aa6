package server

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/resolver"
	"tacit/upstream"
)

// tried is a network that counts who is tried at the port for encrypted questions.
type tried struct {
	*testnet.World
	times atomic.Int32
}

func (n *tried) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if strings.HasSuffix(address, ":853") {
		n.times.Add(1)
	}
	return n.World.DialContext(ctx, network, address)
}

// RFC 9539 is obeyed unless it is turned off, and what the strict list names is not asked in clear.
func TestEncryptionOptions(t *testing.T) {
	for _, c := range []struct {
		name, option, rcode string
		tried, asked        bool // whether servers were tried, and whether the zone's were asked in clear
	}{
		{"default", "", "NOERROR", true, true},
		{"off", `encrypt = "off"`, "NOERROR", false, true},
		{"a strict zone", `encrypt_strict = ["zone.example."]`, "SERVFAIL", true, false},
		{"a strict zone and nothing else", "encrypt = \"off\"\nencrypt_strict = [\"zone.example.\"]", "SERVFAIL", true, false},
		{"a strict server", `encrypt_strict = ["ADDRESS"]`, "SERVFAIL", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newSetting(t)
				n := &tried{World: x.World}
				option := strings.ReplaceAll(c.option, "ADDRESS", x.At("zone.example.").Addresses()[0].Addr().String())
				summary, err := Trace(t.Context(), x.load(t, common+option+"\n"), Env{Network: n}, "www.zone.example", "a", func(Step) {})
				if err != nil || summary.Rcode != c.rcode {
					t.Errorf("%+v, error %v", summary, err)
				}
				if got := n.times.Load() > 0; got != c.tried {
					t.Errorf("tried %d times", n.times.Load())
				}
				if asked := len(x.SeenAt("zone.example.").Over(testnet.UDP)) > 0; asked != c.asked {
					t.Errorf("asked in clear: %t", asked)
				}
			})
		})
	}
}

// What is shown of a query that was encrypted is where it really went.
func TestTraceShowsEncryption(t *testing.T) {
	at := netip.MustParseAddrPort("192.0.2.53:53")
	e := resolver.Event{Kind: resolver.EventAsked, Server: upstream.Server{Addr: at}, Transport: upstream.QUIC}
	if s := describe(e); s.Transport != "QUIC" || s.Address != "192.0.2.53:853" {
		t.Errorf("got %+v", s)
	}
	count := tally{levels: map[wire.Name]*level{}, names: map[wire.Name]bool{}, servers: map[netip.AddrPort]bool{}}
	count.count(e)
	e.Transport = upstream.UDP
	count.count(e)
	if s := count.summary(); s.Queries != 2 || s.Encrypted != 1 || describe(e).Address != at.String() {
		t.Errorf("got %+v", s)
	}
}
