package config

import (
	"errors"
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"

	"tacit/internal/wire"
	"tacit/zone"
)

const oneKey = "[[key]]\nname = 'k.test'\nsecret_file = 'k'\n"

const oneCatalog = "[[secondary]]\nkey = 'k.test'\ncatalog = 'c.test'\n"

func TestKeysAndTheirRights(t *testing.T) {
	c := mustCheck(t, oneKey+`
[[key]]
name = 'Acme.Test'
algorithm = 'hmac-sha512'
secret_file = '/a'
[[secondary]]
key = 'k.test.'
notify = ['192.0.2.53', '[2001:db8::53]:5353']
[[secondary]]
key = 'acme.test'
zones = ['example.com', 'test']
catalog = 'Catalog.Test'
[[update]]
key = 'acme.test'
zones = ['example.com']
[[update]]
key = 'acme.test'
zones = ['example.com']
names = ['_acme-challenge.*', '@']
types = ['TXT', 'a', 'TYPE65280']
proxied = true
`)
	name := wire.MustName
	want := []Key{
		{name("k.test"), "hmac-sha256", filepath.Join(filepath.Dir(c.File), "k")}, {name("acme.test"), "hmac-sha512", "/a"},
	}
	if !reflect.DeepEqual(c.Keys, want) {
		t.Errorf("keys %+v", c.Keys)
	}
	secondaries := []zone.Secondary{
		{Key: name("k.test"), Zones: []wire.Name{wire.Root}, Notify: []netip.AddrPort{
			netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("[2001:db8::53]:5353"),
		}},
		{Key: name("acme.test"), Zones: []wire.Name{name("example.com"), name("test")}, Catalog: name("catalog.test")},
	}
	if !reflect.DeepEqual(c.Secondaries, secondaries) {
		t.Errorf("secondaries %+v", c.Secondaries)
	}
	grants := []zone.Grant{
		{Key: name("acme.test"), Zones: []wire.Name{name("example.com")}, Names: []zone.Pattern{{"*"}}, Types: []wire.Type{wire.TypeTXT}},
		{
			Key: name("acme.test"), Zones: []wire.Name{name("example.com")},
			Names: []zone.Pattern{{"_acme-challenge", "*"}, {}}, Types: []wire.Type{wire.TypeTXT, wire.TypeA, 65280},
			Proxied: true,
		},
	}
	if !reflect.DeepEqual(c.Grants, grants) {
		t.Errorf("grants %+v", c.Grants)
	}
}

func TestMistakesWithKeys(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no secret":                {"[[key]]\nname = 'k.test'", ":1:3: key: has no secret_file"},
		"a broken algorithm":       {"[[key]]\nname = 'k.test'\nsecret_file = 'k'\nalgorithm = 'hmac-md5'", `:4:13: key.algorithm: takes "hmac-sha256", "hmac-sha384" or "hmac-sha512"`},
		"two of one name":          {oneKey + "[[key]]\nname = 'K.test.'\nsecret_file = 'k'", ":4:3: key: names a key that another [[key]] has"},
		"no such key":              {oneKey + "[[secondary]]\nkey = 'other.test'", ":4:3: secondary: names a key that no [[key]] above it has"},
		"a key that stands behind": {"[[update]]\nkey = 'k.test'\nzones = ['test']\n" + oneKey, ":1:3: update: names a key that no [[key]] above it has"},
		"an update of no zones":    {oneKey + "[[update]]\nkey = 'k.test'", ":4:3: update: has no zones"},
		"no zones at all":          {oneKey + "[[secondary]]\nkey = 'k.test'\nzones = []", ":6:9: secondary.zones: is empty"},
		"a pattern that is none":   {oneKey + "[[update]]\nkey = 'k.test'\nzones = ['test']\nnames = ['a*']", ":7:10: update.names: is not a name in a zone, such as www, _acme-challenge.* or @"},
		"a type that is kept":      {oneKey + "[[update]]\nkey = 'k.test'\nzones = ['test']\ntypes = ['SOA']", ":7:10: update.types: is not an RR type that can be changed, such as TXT, or ANY for all"},
		"a secondary by name":      {oneKey + "[[secondary]]\nkey = 'k.test'\nnotify = ['ns.test']", ":6:11: secondary.notify: " + errServer.Error()},
		"a catalog of all":         {oneKey + "[[secondary]]\nkey = 'k.test'\ncatalog = '.'", ":6:11: secondary.catalog: cannot be the name of a catalog: it is none, the root, or too long"},
		"two catalogs of one name": {oneKey + oneCatalog + oneCatalog, ":7:3: secondary: names a catalog that another [[secondary]] has"},
		"a catalog that is a zone": {"[[zone]]\nname = 'C.test'\nfile = 'c'\n" + oneKey + oneCatalog, ":7:3: secondary: names a catalog that is a [[zone]]"},
		"a zone that is a catalog": {oneKey + oneCatalog + "[[zone]]\nname = 'c.test'\nfile = 'c'", ":7:3: zone: names a zone that is the catalog of a [[secondary]]"},
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
