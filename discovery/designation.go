package discovery

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A designation is one way to reach the service, as DDR and DNR announce it: protocols on a port (RFC 9461 section 4).
type designation struct {
	alpn      []string
	port      uint16 // 0: that of the protocol
	path      string // with DNS over HTTPS
	addresses []netip.Addr
}

// A protocol is one that has a designation of its own.
type protocol struct {
	port      uint16
	path      string
	endpoints []netip.AddrPort
	alpn      func(netip.AddrPort) []string
}

// protocols come in the order in which clients should prefer them. HTTP is last: its headers can say more about a client
// than a stream of messages does (RFC 8484 section 8.2).
func (s *Service) protocols() []protocol {
	always := func(id string) func(netip.AddrPort) []string {
		return func(netip.AddrPort) []string { return []string{id} }
	}
	web := slices.Clone(s.HTTPS)
	for _, e := range s.HTTP3 {
		if !slices.Contains(web, e) {
			web = append(web, e)
		}
	}
	return []protocol{
		{portTLS, "", offered(s.QUIC), always("doq")},
		{portTLS, "", offered(s.TLS), always("dot")},
		{portHTTPS, s.path() + "{?dns}", offered(web), s.versions},
	}
}

// versions are the ALPN identifiers of HTTP at an endpoint.
func (s *Service) versions(e netip.AddrPort) []string {
	var ids []string
	if slices.Contains(s.HTTPS, e) {
		ids = append(ids, "h2")
	}
	if slices.Contains(s.HTTP3, e) {
		ids = append(ids, "h3")
	}
	return ids
}

// designations are all ways to reach the service, the preferred one first.
func (s *Service) designations() []designation {
	var list []designation
	for _, p := range s.protocols() {
		first := len(list)
		for _, e := range p.endpoints {
			d := designation{alpn: p.alpn(e), path: p.path}
			if e.Port() != p.port {
				d.port = e.Port()
			}
			i := slices.IndexFunc(list[first:], d.goesWith)
			if i < 0 {
				i = len(list) - first
				list = append(list, d)
			}
			list[first+i].addresses = append(list[first+i].addresses, e.Addr())
		}
	}
	return list
}

// goesWith reports whether two endpoints can share a designation.
func (d designation) goesWith(other designation) bool {
	return d.port == other.port && slices.Equal(d.alpn, other.alpn)
}

// merged joins designations on default ports and the same addresses. Each protocol has a default port of its own, so that
// nothing is lost but the order among them, and room in a DHCP message is scarce.
func merged(list []designation) []designation {
	var short []designation
	for _, d := range list {
		i := slices.IndexFunc(short, func(s designation) bool {
			return d.port == 0 && s.port == 0 && slices.Equal(s.addresses, d.addresses)
		})
		if i < 0 {
			d.alpn = slices.Clone(d.alpn)
			short = append(short, d)
			continue
		}
		short[i].alpn = append(short[i].alpn, d.alpn...)
		short[i].path = cmp.Or(short[i].path, d.path)
	}
	return short
}

// A key is a SvcParamKey (RFC 9460 section 14.3.2).
type key uint16

const (
	keyALPN     key = 1
	keyPort     key = 3
	keyIPv4Hint key = 4
	keyIPv6Hint key = 6
	keyDoHPath  key = 7 // RFC 9461 section 5
)

// A param is one SvcParam.
type param struct {
	key   key
	value []byte
	text  string // in presentation form
}

// params are those that DNR and DDR have in common, by ascending key.
func (d designation) params() []param {
	var ids []byte
	for _, id := range d.alpn {
		ids = append(append(ids, byte(len(id))), id...)
	}
	list := []param{{keyALPN, ids, "alpn=" + strings.Join(d.alpn, ",")}}
	if d.port != 0 {
		list = append(list, param{keyPort, u16(nil, d.port), "port=" + strconv.Itoa(int(d.port))})
	}
	if d.path != "" {
		list = append(list, param{keyDoHPath, []byte(d.path), "dohpath=" + d.path})
	}
	return list
}

// hints say where the target is, for clients that do not know yet (RFC 9460 section 7.3).
func (d designation) hints() []param {
	var list []param
	if v4 := ofFamily(d.addresses, ipv4); len(v4) > 0 {
		list = append(list, param{keyIPv4Hint, octets(v4), "ipv4hint=" + join(v4)})
	}
	if v6 := ofFamily(d.addresses, ipv6); len(v6) > 0 {
		list = append(list, param{keyIPv6Hint, octets(v6), "ipv6hint=" + join(v6)})
	}
	return list
}

func join(list []netip.Addr) string {
	var texts []string
	for _, a := range list {
		texts = append(texts, a.String())
	}
	return strings.Join(texts, ",")
}

// sorted puts SvcParams into the order that is a must (RFC 9460 section 2.2).
func sorted(lists ...[]param) []param {
	return slices.SortedFunc(slices.Values(slices.Concat(lists...)), func(a, b param) int { return cmp.Compare(a.key, b.key) })
}

// encode is the wire form of SvcParams (RFC 9460 section 2.2).
func encode(list []param) []byte {
	var b bytes.Buffer
	for _, p := range list {
		b.Write(u16(u16(nil, uint16(p.key)), uint16(len(p.value))))
		b.Write(p.value)
	}
	return b.Bytes()
}

// present is the presentation form of SvcParams.
func present(list []param) string {
	var texts []string
	for _, p := range list {
		texts = append(texts, p.text)
	}
	return strings.Join(texts, " ")
}

func u16(b []byte, v uint16) []byte { return append(b, byte(v>>8), byte(v)) }
