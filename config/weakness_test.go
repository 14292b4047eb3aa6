package config

import (
	"slices"
	"strings"
	"testing"
)

// Row R9: a configuration cannot silently weaken privacy.
func TestPrivacyIsNotLostSilently(t *testing.T) {
	const tail = "; who wants that all the same writes above the first table: accept_privacy_loss = "
	for _, c := range []struct{ name, text, want string }{
		{"old TLS", "[tls]\nmin_version = '1.2'", "test.toml:2:1: tls.min_version: gives up privacy: in TLS 1.2, whoever watches a handshake reads which certificate is shown" + tail + `["tls.min_version"]`},
		{"open metrics", "[admin]\nlisten = '192.0.2.1:9153'", "test.toml:2:1: admin.listen: gives up privacy: counts of what clients do can be read from other machines, and on the way to them" + tail + `["admin.listen"]`},
		{"all addresses", "[admin]\nlisten = ':9153'", "test.toml:2:1: admin.listen: gives up privacy: counts of what clients do can be read from other machines, and on the way to them" + tail + `["admin.listen"]`},
		{"DoH in clear", "[listen]\nhttp = ['192.0.2.1:80']", "test.toml:2:1: listen.http: gives up privacy: questions and clients' addresses cross a network in clear, from the reverse proxy to tacit" + tail + `["listen.http"]`},
		{"popular domains", "[stats]\ntop = true", "test.toml:2:1: stats.top: gives up privacy: domains that many client networks ask for are counted, and shown to the operator" + tail + `["stats.top"]`},
		{"another is accepted", "accept_privacy_loss = ['cache.ttl_blur']\n[admin]\nlisten = '[2001:db8::1]:9153'", "test.toml:3:1: admin.listen: gives up privacy: counts of what clients do can be read from other machines, and on the way to them" + tail + `["cache.ttl_blur", "admin.listen"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			expectProblems(t, c.text, c.want)
			_, line, _ := strings.Cut(c.want, "table: ")
			text := c.text
			if strings.HasPrefix(text, acceptKey) {
				_, text, _ = strings.Cut(text, "\n")
			}
			mustCheck(t, line+"\n"+text) // the line that is asked for is enough
		})
	}
	for text, given := range map[string]bool{"": false, "[recursion]\nlocal_root = true": false, "[recursion]\nlocal_root = false": true} {
		if got := slices.ContainsFunc(mustCheck(t, text).Weaknesses, func(w Weakness) bool { return w.Given }); got != given {
			t.Errorf("%q: given %v", text, got)
		}
	}
	expectProblems(t, "accept_privacy_loss = ['cache.size']", "test.toml:1:24: accept_privacy_loss: "+errNotWeak.Error())
}

func TestWeaknessesAreListed(t *testing.T) {
	for _, c := range []struct {
		name, text string
		key        string
		want       Weakness
	}{
		{"minimisation", "[recursion]\nqname_minimisation = 'relaxed'", "recursion.qname_minimisation", Weakness{Value: `"relaxed"`}},
		{"accepted", "accept_privacy_loss = ['recursion.local_root']\n[recursion]\nlocal_root = false", "recursion.local_root", Weakness{Value: "false", Accepted: true}},
		{"letter case", "[recursion]\ncase_randomisation = false", "recursion.case_randomisation", Weakness{Value: "false"}},
		{"encryption", "[recursion]\nencrypt = 'off'", "recursion.encrypt", Weakness{Value: `"off"`}},
		{"validation", "[dnssec]\nvalidate = false", "dnssec.validate", Weakness{Value: "false"}},
		{"denials", "[dnssec]\naggressive_nsec = false", "dnssec.aggressive_nsec", Weakness{Value: "false"}},
		{"blur", "[cache]\nttl_blur = false", "cache.ttl_blur", Weakness{Value: "false"}},
		{"plain forwarder", "[[forward]]\nzone = '.'\nupstreams = ['192.0.2.53']", "forward.upstreams", Weakness{Value: `["192.0.2.53"]`}},
		{"clear when it fails", "[[forward]]\nzone = '.'\nupstreams = ['tls://192.0.2.53']\nfirst = true", "forward.first", Weakness{Value: "true"}},
		{"public metrics", "accept_privacy_loss = ['admin.listen']\n[admin]\nlisten = ':9153'", "admin.listen", Weakness{Value: `":9153"`, Accepted: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := mustCheck(t, c.text).Weaknesses
			i := slices.IndexFunc(list, func(w Weakness) bool { return w.Key == c.key })
			if i < 0 {
				t.Fatalf("%s is not in %+v", c.key, list)
			}
			got := list[i]
			if got.About == "" {
				t.Error("says not what is given up")
			}
			if got.Key, got.About, got.Given = "", "", false; got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	for _, text := range []string{
		"[admin]\nlisten = '127.0.0.1:9153'", "[listen]\nhttp = ['/run/s', '[::1]:80']", "[log]\nlevel = 'debug'",
		"[[forward]]\nzone = '.'\nupstreams = ['tls://192.0.2.53', 'quic://192.0.2.54']",
	} {
		for _, w := range mustCheck(t, text).Weaknesses {
			if w.Given {
				t.Errorf("%s: %+v", text, w)
			}
		}
	}
	for _, w := range weakenings {
		if findOption(w.key) == nil || w.about == "" {
			t.Errorf("%s: no such option, or no sentence", w.key)
		}
	}
}

// What instruments outside configure is not refused: it is shown.
func TestInstrumentsNeedAcceptNothing(t *testing.T) {
	mustCheck(t, "[recursion]\nqname_minimisation = 'off'\nlocal_root = false\nencrypt = 'off'\n[cache]\nttl_blur = false\n"+
		"[dnssec]\nvalidate = false\naggressive_nsec = false\n[[forward]]\nzone = '.'\nupstreams = ['192.0.2.53']")
}

func TestDigestIsOfWhatIsInEffect(t *testing.T) {
	digest := func(text string) string { return mustCheck(t, text).Digest }
	plain := digest("")
	for name, text := range map[string]string{
		"a comment": "# nothing", "a default": "[cache]\nserve_stale = true",
	} {
		if digest(text) != plain {
			t.Errorf("%s: another digest", name)
		}
	}
	for name, text := range map[string]string{
		"a value": "[cache]\nserve_stale = false", "a table": "[[stub]]\nzone = 'test'\nservers = ['192.0.2.1']", "the operator": "[operator]\nname = 'x'",
	} {
		if digest(text) == plain {
			t.Errorf("%s: the same digest", name)
		}
	}
	if digest("[cache]\nprefetch = false\nserve_stale = false") != digest("[cache]\nserve_stale = false\nprefetch = false") {
		t.Error("the order counts")
	}
}

func TestOperatorDeclares(t *testing.T) {
	got := mustCheck(t, "[operator]\nname = 'Example Org'\njurisdiction = 'EU'\ncontact = 'mail@example.com'\npartners = ['none']\npacket_capture = 'none'\nfronted_by = 'none'").Operator
	if got.Name != "Example Org" || got.Jurisdiction != "EU" || got.Contact != "mail@example.com" || !slices.Equal(got.Partners, []string{"none"}) ||
		got.PacketCapture != "none" || got.FrontedBy != "none" {
		t.Errorf("got %+v", got)
	}
	expectProblems(t, `operator.name = "a\u001b[2J"`, "test.toml:1:17: operator.name: "+errDeclared.Error())
}

// No value of these gives up privacy, each line for its reason. Whoever adds an option puts it here, or into weakenings.
const harmless = `
	accept_privacy_loss operator.name operator.jurisdiction operator.contact operator.partners operator.packet_capture operator.fronted_by
	listen.udp listen.tcp listen.tls listen.https listen.quic listen.http_proxies listen.proxies listen.name listen.info_url listen.cookies
	tls.cert_file tls.key_file tls.acme_names tls.acme_directory tls.acme_mail tls.acme_cache tls.acme_http certificate.cert_file certificate.key_file
	access.allow access.refuse
	recursion.encrypt_strict recursion.root_hints recursion.ipv4 recursion.ipv6 recursion.port recursion.allow_special_addresses
	dnssec.trust_anchors dnssec.anchor_updates dnssec.anchor_file dnssec.negative_trust_anchors dnssec.sha1 dnssec.validation_time
	cache.shared_after cache.size cache.min_ttl cache.max_ttl cache.serve_stale cache.prefetch cache.packets
	forward.zone forward.ca_file stub.zone stub.servers
	zone.name zone.file zone.primaries zone.key zone.ca_file zones.directory zones.keys zones.nameservers zones.min_ttl
	key.name key.algorithm key.secret_file secondary.key secondary.zones secondary.notify secondary.catalog
	update.key update.zones update.names update.types update.proxied
	edge.addresses edge.alpn edge.origin_allow edge.partial_suffix
	odoh.target odoh.proxy odoh.proxy_targets odoh.proxy_ca_file forward.proxy
	management.listen management.token_file management.max_requests management.max_exchanges management.max_batch
	log.level
	admin.control`

// Row R9, for options that are to come.
func TestEveryOptionIsJudged(t *testing.T) {
	judged := strings.Fields(harmless)
	for _, o := range options {
		weak := slices.ContainsFunc(weakenings, func(w weakening) bool { return w.key == o.path() })
		if weak == slices.Contains(judged, o.path()) {
			t.Errorf("%s: does it give up privacy? It stands in weakenings or in harmless, and not in both", o.path())
		}
	}
	for _, key := range judged {
		if findOption(key) == nil {
			t.Errorf("%s: is judged, and does not exist", key)
		}
	}
}
