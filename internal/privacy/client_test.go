package privacy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestClientStandsForANetwork(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"one IPv4 address", "192.0.2.1", "192.0.2.1", true},
		{"one /24", "192.0.2.1", "192.0.2.255", true},
		{"another /24", "192.0.2.1", "198.51.100.1", false},
		{"IPv4 in IPv6", "192.0.2.1", "::ffff:192.0.2.77", true},
		{"one /56", "2001:db8:0:100::1", "2001:db8:0:1ff:ffff::9", true},
		{"another /56", "2001:db8:0:100::1", "2001:db8:0:200::1", false},
		{"another zone of a link", "fe80::1%a", "fe80::2%b", true},
		{"families are apart", "0.0.0.0", "::", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var clients Clients
			a, b := clients.Of(netip.MustParseAddr(c.a), noon), clients.Of(netip.MustParseAddr(c.b), noon)
			if (a == b) != c.same {
				t.Errorf("equal: %v, want %v", a == b, c.same)
			}
		})
	}
}

// The key rotates every hour: what was kept under it says nothing any more.
func TestClientDiesWithTheHour(t *testing.T) {
	var clients Clients
	addr := netip.MustParseAddr("192.0.2.1")
	first, key := clients.Of(addr, noon), clients.key
	if key == [32]byte{} {
		t.Error("the first use makes no key")
	}
	if last := clients.Of(addr, noon.Add(time.Hour-time.Nanosecond)); last != first {
		t.Error("a new key before the hour was over")
	}
	if next := clients.Of(addr, noon.Add(time.Hour)); next == first {
		t.Error("the same client after the hour")
	}
	if clients.key == key {
		t.Error("the old key is kept")
	}
	if other := new(Clients).Of(addr, noon); other == first {
		t.Error("two processes have the same key")
	}
}

func TestClientPrintsNothing(t *testing.T) {
	client := new(Clients).Of(netip.MustParseAddr("192.0.2.1"), noon)
	number := fmt.Sprint(client.handle.Value())
	hex := fmt.Sprintf("%x", client.handle.Value())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%p", "%6.2f"} {
		if got := fmt.Sprintf(verb, client); got != "[client]" && verb != "%p" { // fmt asks no method about %p
			t.Errorf("%s prints %s", verb, got)
		}
		for _, nested := range []any{
			client, &client,
			[]Client{client},
			map[Client]int{client: 1},
			struct{ C Client }{client},
			struct{ c Client }{client},
			struct{ deep []struct{ c *Client } }{[]struct{ c *Client }{{&client}}},
		} {
			got := fmt.Sprintf(verb, nested)
			if strings.Contains(got, number) || strings.Contains(strings.ToLower(got), hex) {
				t.Errorf("%s of %T prints the hash", verb, nested)
			}
		}
	}
	if got := client.String() + client.GoString(); got != "[client][client]" {
		t.Error("String or GoString:", got)
	}
	if got, err := json.Marshal(map[string]any{"c": client}); err != nil || string(got) != `{"c":"[client]"}` {
		t.Errorf("JSON: %s, %v", got, err)
	}
	var text, asJSON bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "c", client)
	slog.New(slog.NewJSONHandler(&asJSON, nil)).Info("m", "c", client)
	if !strings.Contains(text.String(), "c=[client]") || !strings.Contains(asJSON.String(), `"c":"[client]"`) {
		t.Error("slog:", text.String(), asJSON.String())
	}
}

func BenchmarkClient(b *testing.B) {
	var clients Clients
	addr := netip.MustParseAddr("2001:db8::1")
	b.ReportAllocs()
	for b.Loop() {
		clients.Of(addr, noon)
	}
}
