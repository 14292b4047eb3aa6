package config

import (
	"slices"

	"tacit/internal/wire"
	"tacit/zone"
)

// Groups are the tables of a file, in the order of the manual. begin is called before the keys of one are read, and end behind them.
var groups = []group{
	{name: "", about: "What stands above the first table."},
	{name: "listen", about: "Where clients are listened to."},
	{name: "tls", about: "The certificate of the encrypted transports."},
	{
		name: "certificate", repeated: true, begin: func(c *Config) { c.Certificates = append(c.Certificates, Certificate{}) }, end: endCertificate,
		about: "One more certificate, for clients that ask for one of its names, or that connect to one of its addresses without " +
			"asking for a name. Several for the same names are for clients of different ages: one with an RSA key, one with an ECDSA key.",
	},
	{name: "access", about: "Which clients are served. Others are told REFUSED, with the extended error Prohibited."},
	{name: "recursion", about: "How answers are found from the root down."},
	{name: "dnssec", about: "What is believed: DNSSEC validation and its trust anchors."},
	{name: "cache", about: "What is remembered, and for how long."},
	{
		name: "forward", repeated: true, begin: func(c *Config) { c.Forwards = append(c.Forwards, Forward{}) }, end: endForward,
		about: "A zone whose questions go to other recursive resolvers. The longest zone wins, among stubs and forwards alike.",
	},
	{
		name: "stub", repeated: true, begin: func(c *Config) { c.Stubs = append(c.Stubs, Stub{}) }, end: endStub,
		about: "A zone whose authoritative servers are named here, whatever its parent says.",
	},
	{name: "odoh", about: "Oblivious DoH (RFC 9230): a proxy knows who asks, a target what is asked, and neither both. What tacit is to others; as a client of it, see forward.proxy."},
	{
		name: "zone", repeated: true, begin: beginZone, end: endZone,
		about: "A zone served here, with authority: its names are answered from its file, and asked of nobody. One that has primaries is a " +
			"copy of theirs, and can be changed there only.",
	},
	{name: "zones", about: "All zones served here."},
	{
		name: "key", repeated: true, begin: func(c *Config) { c.Keys = append(c.Keys, Key{Algorithm: "hmac-sha256"}) }, end: endKey,
		about: "A secret that is shared with those who transfer zones or change them (TSIG, RFC 8945). A key alone lets nobody do anything.",
	},
	{
		name: "secondary", repeated: true,
		begin: func(c *Config) { c.Secondaries = append(c.Secondaries, zone.Secondary{Zones: []wire.Name{wire.Root}}) },
		end:   endSecondary,
		about: "Servers that have copies of zones served here: whoever signs with the key, and is served at all (access.allow), may transfer " +
			"them over TCP and TLS, as a whole or what has changed (AXFR, IXFR). A copy has what is answered: of a proxied record, the edge. Zones that are signed are not transferred.",
	},
	{
		name: "update", repeated: true, begin: func(c *Config) { c.Grants = append(c.Grants, zone.NewGrant()) },
		end: func(k *checker) { k.needKey(last(k.config.Grants).Key) },
		about: "Lets whoever signs with the key change records of zones served here, by dynamic update (RFC 2136). What is changed is the " +
			"zone file.",
	},
	{name: "edge", about: "Where proxied records lead."},
	{
		name: "management", about: "An HTTP API by which programs manage the zones served here, in the shape of the part of Cloudflare's API, version 4, " +
			"that is about zones and DNS records; the path is /client/v4. It shows what proxied records lead to.",
	},
	{name: "log", about: "What is written to the standard error. No level holds a query name or a client."},
	{name: "stats", about: "What is counted of all clients together."},
	{name: "admin", about: "What an operator can see and do while tacit runs."},
	{
		name: "operator", about: "What the operator declares. tacit cannot know it: it stands in the privacy statement (RFC 8932 section 6) as it stands " +
			"here, and what is empty as not declared.",
	},
}

func endCertificate(k *checker) {
	if c := last(k.config.Certificates); c.CertFile == "" || c.KeyFile == "" {
		k.fail(k.places[k.path], "names no file for its certificate, or none for its key")
	}
}

func endForward(k *checker) {
	f := last(k.config.Forwards)
	k.checkProxy(f)
	if f.CAFile != "" && !slices.ContainsFunc(f.Upstreams, func(u Upstream) bool { return u.NeedsRoots() }) {
		k.fail(k.places[k.path], "has a ca_file, but no upstream whose certificate it could vouch for")
	}
	zone := f.Zone
	for _, other := range k.config.Forwards[:len(k.config.Forwards)-1] {
		k.refuseTwice(zone == other.Zone)
	}
	for _, s := range k.config.Stubs {
		k.refuseTwice(zone == s.Zone)
	}
}

// beginZone begins a zone. Whether it is a replica is known at its end.
func beginZone(c *Config) {
	c.Zones.Files = append(c.Zones.Files, zone.File{})
	c.Zones.Replicas = append(c.Zones.Replicas, Replica{})
}

func endZone(k *checker) {
	file := last(k.config.Zones.Files)
	k.endReplica(file)
	origin := file.Origin
	for _, other := range k.config.Zones.Files[:len(k.config.Zones.Files)-1] {
		if origin == other.Origin {
			k.fail(k.places[k.path], "names a zone that another [[zone]] has")
		}
		if file.Path == other.Path && (file.Replica || other.Replica) {
			k.fail(k.places[k.path], "names a file that another [[zone]] has, and one of them has primaries")
		}
	}
	for _, f := range k.config.Forwards {
		k.refuseServed(origin == f.Zone)
	}
	for _, s := range k.config.Stubs {
		k.refuseServed(origin == s.Zone)
	}
	for _, s := range k.config.Secondaries {
		if origin == s.Catalog && !origin.IsRoot() {
			k.fail(k.places[k.path], "names a zone that is the catalog of a [[secondary]]")
		}
	}
}

func endSecondary(k *checker) {
	s := last(k.config.Secondaries)
	k.needKey(s.Key)
	if s.Catalog.IsRoot() {
		return
	}
	for _, other := range k.config.Secondaries[:len(k.config.Secondaries)-1] {
		if s.Catalog == other.Catalog {
			k.fail(k.places[k.path], "names a catalog that another [[secondary]] has")
		}
	}
	if slices.ContainsFunc(k.config.Zones.Files, func(f zone.File) bool { return f.Origin == s.Catalog }) {
		k.fail(k.places[k.path], "names a catalog that is a [[zone]]")
	}
}

// endReplica finds what does not go together, of a zone with primaries and of one without.
func (k *checker) endReplica(file *zone.File) {
	zones := &k.config.Zones
	r := last(zones.Replicas)
	r.Zone, file.Replica = file.Origin, len(r.Primaries) > 0
	switch {
	case !file.Replica && r.Signed:
		k.fail(k.places[k.path], "has a key, but no primaries")
	case r.CAFile != "" && !slices.ContainsFunc(r.Primaries, func(u Upstream) bool { return u.NeedsRoots() }):
		k.fail(k.places[k.path], "has a ca_file, but no primary whose certificate it could vouch for")
	case r.Signed:
		k.needKey(r.Key)
	}
	if !file.Replica {
		zones.Replicas = zones.Replicas[:len(zones.Replicas)-1]
	}
}

func endKey(k *checker) {
	name := last(k.config.Keys).Name
	for _, other := range k.config.Keys[:len(k.config.Keys)-1] {
		if name == other.Name {
			k.fail(k.places[k.path], "names a key that another [[key]] has")
		}
	}
}

// needKey complains about a key that is not there.
func (k *checker) needKey(name wire.Name) {
	if !slices.ContainsFunc(k.config.Keys, func(key Key) bool { return key.Name == name }) {
		k.fail(k.places[k.path], "names a key that no [[key]] above it has")
	}
}

// refuseServed complains about a zone that is served here and elsewhere.
func (k *checker) refuseServed(served bool) {
	if served {
		k.fail(k.places[k.path], "names a zone that a [[forward]] or [[stub]] has")
	}
}

func endStub(k *checker) {
	zone := last(k.config.Stubs).Zone
	for _, other := range k.config.Stubs[:len(k.config.Stubs)-1] {
		k.refuseTwice(zone == other.Zone)
	}
	for _, f := range k.config.Forwards {
		k.refuseTwice(zone == f.Zone)
	}
}

// refuseTwice complains about a second stub or forward for a zone: which of them should win?
func (k *checker) refuseTwice(twice bool) {
	if twice {
		k.fail(k.places[k.path], "names a zone that another [[forward]] or [[stub]] has")
	}
}
