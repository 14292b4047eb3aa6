package config

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"

	"tacit/internal/wire"
	"tacit/upstream"
	"tacit/zone"
)

const (
	oneZone     = "[[zone]]\nname = 'test'\nfile = 'z'\n"
	somePrimary = "primaries = ['192.0.2.1']\n"
)

func TestReplicas(t *testing.T) {
	f, err := Read("/etc/tacit/tacit.toml", []byte(oneKey+oneZone+`primaries = ["192.0.2.1", "[2001:db8::1]:5353", "tls://192.0.2.2#ns.example"]
key = "K.test"
ca_file = "ca.pem"
[[zone]]
name = "own.test"
file = "/own"
primaries = []
`))
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Check()
	if err != nil {
		t.Fatal(err)
	}
	files := []zone.File{{Origin: wire.MustName("test"), Path: "/etc/tacit/z", Replica: true}, {Origin: wire.MustName("own.test"), Path: "/own"}}
	if !reflect.DeepEqual(c.Zones.Files, files) {
		t.Errorf("files %+v", c.Zones.Files)
	}
	want := []Replica{{
		Zone: wire.MustName("test"), Key: wire.MustName("k.test"), Signed: true, CAFile: "/etc/tacit/ca.pem",
		Primaries: []Upstream{
			{Addr: netip.MustParseAddrPort("192.0.2.1:53")},
			{Addr: netip.MustParseAddrPort("[2001:db8::1]:5353")},
			{Transport: upstream.TLS, Addr: netip.MustParseAddrPort("192.0.2.2:853"), Name: "ns.example"},
		},
	}}
	if !reflect.DeepEqual(c.Zones.Replicas, want) {
		t.Errorf("replicas %+v", c.Zones.Replicas)
	}
}

func TestMistakesWithReplicas(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a key and no primaries":   {oneKey + oneZone + "key = 'k.test'", ":4:3: zone: has a key, but no primaries"},
		"no such key":              {oneKey + oneZone + somePrimary + "key = 'other.test'", ":4:3: zone: names a key that no [[key]] above it has"},
		"a key that stands behind": {oneZone + somePrimary + "key = 'k.test'\n" + oneKey, ":1:3: zone: names a key that no [[key]] above it has"},
		"authorities in clear":     {oneZone + somePrimary + "ca_file = 'ca.pem'", ":1:3: zone: has a ca_file, but no primary whose certificate it could vouch for"},
		"authorities, own zone":    {oneZone + "ca_file = 'ca.pem'", ":1:3: zone: has a ca_file, but no primary whose certificate it could vouch for"},
		"over HTTPS":               {oneZone + "primaries = ['https://192.0.2.1/dns-query']", ":4:14: zone.primaries: " + errPrimary.Error()},
		"over QUIC":                {oneZone + "primaries = ['quic://192.0.2.1']", ":4:14: zone.primaries: " + errPrimary.Error()},
		"by name":                  {oneZone + "primaries = ['ns.test']", ":4:14: zone.primaries: " + errServer.Error()},
		"a file of two zones":      {oneZone + somePrimary + "[[zone]]\nname = 'other.test'\nfile = 'z'", ":5:3: zone: names a file that another [[zone]] has, and one of them has primaries"},
		"no file":                  {"[[zone]]\nname = 'test'\n" + somePrimary, ":1:3: zone: has no file"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Read("f", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.Check()
			problems, ok := errors.AsType[Problems](err)
			if !ok || len(problems) != 1 || problems.Error() != "f"+c.want {
				t.Errorf("got %v, want f%s", err, c.want)
			}
		})
	}
}
