package zone

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// grant lets the updater change zones, as far as a test says.
func grant(change ...func(*Grant)) func(*KeeperOptions) {
	return func(o *KeeperOptions) {
		g := NewGrant()
		g.Key, g.Zones, g.Types = updaterKey.Name(), []wire.Name{wire.MustName("example.com.")}, []wire.Type{wire.TypeANY}
		for _, c := range change {
			c(&g)
		}
		o.Grants = append(o.Grants, g)
	}
}

// update is a message of RFC 2136: lines that begin with "if" are prerequisites, all others are changes, in the words of nsupdate:
//
//	if used NAME, if unused NAME, if NAME TYPE, if no NAME TYPE, if NAME TTL TYPE RDATA
//	add NAME TTL TYPE RDATA, delete NAME, delete NAME TYPE, delete NAME TYPE RDATA
func update(t testing.TB, lines string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetUpdate("example.com.")
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		section := &m.Ns
		if words[0] == "if" {
			section, words = &m.Answer, words[1:]
		}
		*section = append(*section, updateRecord(t, section == &m.Answer, words))
	}
	return m
}

func updateRecord(t testing.TB, prerequisite bool, words []string) dns.RR {
	t.Helper()
	verb := words[0]
	switch verb {
	case "used", "unused", "no", "add", "delete":
		words = words[1:]
	}
	h := dns.RR_Header{Name: words[0], Rrtype: dns.TypeANY, Class: dns.ClassANY}
	if verb == "unused" || verb == "no" {
		h.Class = dns.ClassNONE
	}
	if len(words) > 1 {
		h.Rrtype = dns.StringToType[words[1]]
	}
	if len(words) <= 2 {
		return &dns.ANY{Hdr: h}
	}
	text := strings.Join(words, " ")
	if verb == "delete" {
		text = strings.Join(append([]string{words[0], "0", "IN"}, words[1:]...), " ")
	}
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case prerequisite:
		rr.Header().Ttl = 0
	case verb == "delete":
		rr.Header().Class = dns.ClassNONE
	}
	return rr
}

const updatable = soa7 + `; the web
blog 300 A 192.0.2.1 ; cf_tags=cf-proxied:true
shop 300 A 198.51.100.2 ; the shop
shop 300 A 198.51.100.3
www 300 CNAME shop
txt 300 TXT "one" "two"
deep.er 300 A 198.51.100.4
cap 300 CNAME origin.test. ; cf_tags=cf-proxied:true
hid.pro 300 A 192.0.2.4 ; cf_tags=cf-proxied:true
`

// RFC 2136 section 2.4 and 3.2: all kinds of prerequisites, against what everybody sees.
func TestPrerequisites(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": updatable}, grant())
	for lines, rcode := range map[string]int{
		"if used shop.example.com.":    dns.RcodeSuccess,
		"if used SHOP.Example.COM.":    dns.RcodeSuccess,
		"if used no.example.com.":      dns.RcodeNameError,
		"if used er.example.com.":      dns.RcodeNameError, // an empty non-terminal
		"if unused no.example.com.":    dns.RcodeSuccess,
		"if unused er.example.com.":    dns.RcodeSuccess,
		"if unused shop.example.com.":  dns.RcodeYXDomain,
		"if shop.example.com. A":       dns.RcodeSuccess,
		"if shop.example.com. AAAA":    dns.RcodeNXRrset,
		"if no.example.com. A":         dns.RcodeNXRrset,
		"if no shop.example.com. AAAA": dns.RcodeSuccess,
		"if no shop.example.com. A":    dns.RcodeYXRrset,
		"if example.com. SOA":          dns.RcodeSuccess,
		"if example.com. NS":           dns.RcodeSuccess,
		"if shop.example.com. 0 A 198.51.100.2\nif shop.example.com. 0 A 198.51.100.3":                dns.RcodeSuccess,
		"if shop.example.com. 0 A 198.51.100.2":                                                       dns.RcodeNXRrset,
		"if shop.example.com. 0 A 198.51.100.2\nif shop.example.com. 0 A 198.51.100.9":                dns.RcodeNXRrset,
		"if txt.example.com. 0 TXT one two":                                                           dns.RcodeSuccess,
		"if www.example.org. A":                                                                       dns.RcodeNotZone,
		"if blog.example.com. 0 A 192.0.2.1":                                                          dns.RcodeNXRrset, // the origin
		"if blog.example.com. 0 A 203.0.113.10":                                                       dns.RcodeSuccess, // the edge
		"if blog.example.com. AAAA":                                                                   dns.RcodeSuccess,
		"if cap.example.com. CNAME":                                                                   dns.RcodeNXRrset,
		"if cap.example.com. 0 CNAME origin.test.":                                                    dns.RcodeNXRrset,
		"if shop.example.com. 0 A 198.51.100.2\nif used shop.example.com.\nif unused no.example.com.": dns.RcodeNXRrset,
	} {
		t.Run(lines, func(t *testing.T) {
			p := peer{key: updaterKey, datagram: true}
			reply := p.ask(k, update(t, lines))
			if len(reply) != 1 || reply[0].Rcode != rcode || reply[0].Opcode != dns.OpcodeUpdate {
				t.Errorf("got %v, want %s", reply, dns.RcodeToString[rcode])
			}
			if bytes.Contains(p.octets, []byte{192, 0, 2, 1}) || bytes.Contains(p.octets, []byte("\x06origin")) {
				t.Error("the origin is in the answer")
			}
		})
	}
	if got := k.read("example.com."); got != updatable {
		t.Errorf("the file has changed:\n%s", got)
	}
}

func (k *keeping) read(name string) string {
	k.Helper()
	text, err := os.ReadFile(filepath.Join(k.directory, strings.TrimSuffix(name, ".")+zoneSuffix))
	if err != nil {
		k.Fatal(err)
	}
	return string(text)
}

// RFC 2136 sections 2.5 and 3.4.2: what becomes of the file. The serial is a later one whenever something has changed.
func TestUpdatesChangeTheFile(t *testing.T) {
	later := fmt.Sprint(someDay.Unix())
	after := func(pairs ...string) string {
		text := strings.NewReplacer(pairs...).Replace(updatable)
		return strings.Replace(text, "x. 7 ", "x. "+later+" ", 1)
	}
	for _, c := range []struct{ name, lines, want string }{
		{"add a record", `add new.example.com. 120 TXT "x y"`, after() + "new.example.com.\t120\tIN\tTXT\t\"x y\"\n"},
		{"add to an RRset", "add shop.example.com. 300 A 198.51.100.7", after() + "shop.example.com.\t300\tIN\tA\t198.51.100.7\n"},
		{"add what is there", "add shop.example.com. 300 A 198.51.100.2", updatable},
		{"add what is there, with another TTL", "add txt.example.com. 600 TXT one two", after("txt 300 TXT ", "txt\t600\tIN\tTXT\t")},
		{"an A record beside a CNAME is left out", "add www.example.com. 300 A 198.51.100.9", updatable},
		{"a CNAME beside an A record is left out", "add shop.example.com. 300 CNAME x.test.", updatable},
		{"a CNAME takes the place of another", "add www.example.com. 300 CNAME blog.example.com.", after("CNAME shop", "CNAME blog.example.com.")},
		{"delete an RRset", "delete shop.example.com. A", after("shop 300 A 198.51.100.2 ; the shop\nshop 300 A 198.51.100.3\n", "")},
		{"delete a record", "delete shop.example.com. A 198.51.100.3", after("shop 300 A 198.51.100.3\n", "")},
		{"delete a record that is not there", "delete shop.example.com. A 198.51.100.99", updatable},
		{"delete a name", "delete txt.example.com.", after("txt 300 TXT \"one\" \"two\"\n", "")},
		{"delete a name that is not there", "delete no.example.com.", updatable},
		{"SOA and NS stay when the apex is deleted", "delete example.com.", updatable},
		{"NS stays when its RRset is deleted at the apex", "delete example.com. NS", updatable},
		{"the last NS record stays", "delete example.com. NS ns.example.com.", updatable},
		{"delete and add the same", "delete shop.example.com. A\nadd shop.example.com. 300 A 198.51.100.3\nadd shop.example.com. 300 A 198.51.100.2", updatable},
		{
			"what is replaced keeps its comment", "delete shop.example.com. A 198.51.100.2\nadd shop.example.com. 300 A 198.51.100.8",
			after("198.51.100.2 ;", "198.51.100.8 ;"),
		},
		{
			"what is proxied and replaced stays proxied", "delete blog.example.com. A\nadd blog.example.com. 60 A 192.0.2.77",
			after("192.0.2.1 ;", "192.0.2.77 ;"),
		},
		{
			"what is added to a proxied name is proxied", "add blog.example.com. 60 AAAA 2001:db8::7",
			after() + "blog.example.com.\t1\tIN\tAAAA\t2001:db8::7 ; cf_tags=cf-proxied:true\n",
		},
		{
			"a TTL is at least 30 seconds and at most a day", "add new.example.com. 1 A 198.51.100.1\nadd old.example.com. 999999 A 198.51.100.1",
			after() + "new.example.com.\t30\tIN\tA\t198.51.100.1\nold.example.com.\t86400\tIN\tA\t198.51.100.1\n",
		},
		{"prerequisites that are met", "if no new.example.com. A\nadd new.example.com. 60 A 198.51.100.1", after() + "new.example.com.\t60\tIN\tA\t198.51.100.1\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := keep(t, map[string]string{"example.com.": updatable}, grant())
			p := peer{key: updaterKey, datagram: true}
			if reply := p.ask(k, update(t, c.lines)); reply[0].Rcode != dns.RcodeSuccess {
				t.Errorf("RCODE %d", reply[0].Rcode)
			}
			expectText(t, k.read("example.com."), c.want)
			if serial := k.zones().exactly(wire.MustName("example.com.")).serial; (serial != 7) != (c.want != updatable) {
				t.Errorf("serial %d is served", serial)
			}
		})
	}
}

// A name that hides several addresses goes on hiding those that are left.
func TestUpdatesShowNoOriginThatWasHidden(t *testing.T) {
	for name, lines := range map[string]string{
		"the marked record goes":         "delete mixed.example.com. A 192.0.2.2",
		"both go, and another comes":     "delete mixed.example.com. A\nadd mixed.example.com. 300 A 192.0.2.3",
		"one goes, and another comes":    "delete mixed.example.com. A 192.0.2.2\nadd mixed.example.com. 300 A 192.0.2.3",
		"all go, and the other family":   "delete mixed.example.com.\nadd mixed.example.com. 300 AAAA 2001:db8:bad::1",
		"one more comes":                 "add mixed.example.com. 300 A 192.0.2.3",
		"the other one comes with a TTL": "add mixed.example.com. 600 A 192.0.2.1",
	} {
		t.Run(name, func(t *testing.T) {
			k := keep(t, map[string]string{"example.com.": soa7 + "mixed 300 A 192.0.2.1\nmixed 300 A 192.0.2.2 ; cf_tags=cf-proxied:true\nshop A 198.51.100.2\n"}, grant())
			p := peer{key: updaterKey, datagram: true}
			if reply := p.ask(k, update(t, lines)); reply[0].Rcode != dns.RcodeSuccess {
				t.Errorf("RCODE %d", reply[0].Rcode)
			}
			p = peer{key: secondaryKey}
			p.ask(k, axfr("example.com."))
			p.ask(k, ixfr("example.com.", 7))
			if bytes.Contains(p.octets, []byte{192, 0, 2}) || bytes.Contains(p.octets, []byte{0x0b, 0xad}) || !bytes.Contains(p.octets, []byte{198, 51, 100, 2}) {
				t.Error("an origin is shown, or the search is blind")
			}
		})
	}
}

func proxiedGrant(g *Grant) { g.Proxied = true }

// A key whose records are to be proxied shows no address: names without addresses become proxied, all others stay what they are.
func TestUpdatesByAKeyWhoseRecordsAreProxied(t *testing.T) {
	const marked = " ; cf_tags=cf-proxied:true\n"
	record := func(name, rest string) string { return name + ".example.com.\t1\tIN\t" + rest + marked }
	for _, c := range []struct{ name, first, then, want string }{
		{"a name that is new", "", "add new.example.com. 300 A 192.0.2.8", updatable + record("new", "A\t192.0.2.8")},
		{"a wildcard", "", "add *.dyn.example.com. 300 AAAA 2001:db8:bad::8", updatable + record("*.dyn", "AAAA\t2001:db8:bad::8")},
		{"a name with text", "", "add txt.example.com. 300 A 192.0.2.8", updatable + record("txt", "A\t192.0.2.8")},
		{"a CNAME", "", "add new.example.com. 300 CNAME origin.test.", updatable + record("new", "CNAME\torigin.test.")},
		{
			"both families, and text", "", "add new.example.com. 300 A 192.0.2.8\nadd new.example.com. 300 AAAA 2001:db8:bad::8\nadd new.example.com. 300 TXT x",
			updatable + record("new", "A\t192.0.2.8") + record("new", "AAAA\t2001:db8:bad::8") + "new.example.com.\t300\tIN\tTXT\t\"x\"\n",
		},
		{
			"addresses that went with another update", "delete blog.example.com. A", "add blog.example.com. 300 A 192.0.2.8",
			strings.Replace(updatable, "blog 300 A 192.0.2.1"+marked, "", 1) + record("blog", "A\t192.0.2.8"),
		},
		{"a name that is not proxied", "", "add shop.example.com. 300 A 198.51.100.8", updatable + "shop.example.com.\t300\tIN\tA\t198.51.100.8\n"},
		{
			"a name that is not proxied, of which all goes", "", "delete shop.example.com. A\nadd shop.example.com. 300 A 198.51.100.8",
			strings.Replace(updatable, "A 198.51.100.2 ; the shop\nshop 300 A 198.51.100.3", "A 198.51.100.8 ; the shop", 1),
		},
		{
			"glue", "", "add cut.example.com. 300 NS ns.cut.example.com.\nadd ns.cut.example.com. 300 A 198.51.100.8",
			updatable + "cut.example.com.\t300\tIN\tNS\tns.cut.example.com.\nns.cut.example.com.\t300\tIN\tA\t198.51.100.8\n",
		},
		{
			"glue of a delegation that is there", "add cut.example.com. 300 NS ns.cut.example.com.", "add ns.cut.example.com. 300 A 198.51.100.8",
			updatable + "cut.example.com.\t300\tIN\tNS\tns.cut.example.com.\nns.cut.example.com.\t300\tIN\tA\t198.51.100.8\n",
		},
		{
			"below a delegation that goes", "add cut.example.com. 300 NS ns.test.", "delete cut.example.com. NS\nadd www.cut.example.com. 300 A 192.0.2.8",
			updatable + record("www.cut", "A\t192.0.2.8"),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := keep(t, map[string]string{"example.com.": updatable}, grant(proxiedGrant))
			for _, lines := range []string{c.first, c.then} {
				p := peer{key: updaterKey, datagram: true}
				if reply := p.ask(k, update(t, lines)); reply[0].Rcode != dns.RcodeSuccess {
					t.Errorf("RCODE %d", reply[0].Rcode)
				}
			}
			_, got, _ := strings.Cut(k.read("example.com."), "\n")
			_, want, _ := strings.Cut(c.want, "\n")
			expectText(t, got, want)
			p := peer{key: secondaryKey}
			p.ask(k, axfr("example.com."))
			if bytes.Contains(p.octets, []byte{192, 0, 2}) || bytes.Contains(p.octets, []byte{0x0b, 0xad}) || !bytes.Contains(p.octets, []byte{198, 51, 100}) {
				t.Error("an origin is shown, or the search is blind")
			}
		})
	}
}

// Of the rights of a key, those count that are for the record: what one of them hides is hidden.
func TestProxiedIsOfTheRightThatLetsARecordBeAdded(t *testing.T) {
	of := func(pattern string, proxied bool) func(*KeeperOptions) {
		return grant(func(g *Grant) { g.Names, g.Proxied = []Pattern{{pattern}}, proxied })
	}
	for _, c := range []struct {
		name   string
		grants []func(*KeeperOptions)
		want   bool
	}{
		{"none", []func(*KeeperOptions){of("*", false)}, false},
		{"one for another name", []func(*KeeperOptions){of("*", false), of("other", true)}, false},
		{"one of two", []func(*KeeperOptions){of("*", false), of("new", true)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := keep(t, map[string]string{"example.com.": updatable}, c.grants...)
			p := peer{key: updaterKey, datagram: true}
			p.ask(k, update(t, "add new.example.com. 300 A 198.51.100.8"))
			if got := strings.Contains(k.read("example.com."), "A\t198.51.100.8 ; cf_tags=cf-proxied:true"); got != c.want {
				t.Errorf("proxied: %v\n%s", got, k.read("example.com."))
			}
		})
	}
}

// Whoever deletes all that a proxied name shows deletes what is behind it, which it cannot name; with less than all, nothing.
func TestUpdatesDeleteWhatTheyAreShown(t *testing.T) {
	const shown = "delete blog.example.com. A 203.0.113.10\ndelete BLOG.example.com. A 203.0.113.11\n"
	gone := strings.Replace(updatable, "blog 300 A 192.0.2.1 ; cf_tags=cf-proxied:true\n", "", 1)
	for _, c := range []struct{ name, lines, want string }{
		{"all", shown, gone},
		{"one of two", "delete blog.example.com. A 203.0.113.10", updatable},
		{"all of the other family", "delete blog.example.com. AAAA 2001:db8::10", updatable},
		{"the edge, where nothing is proxied", strings.ReplaceAll(strings.ToLower(shown), "blog", "shop"), updatable},
		{"and it is replaced", shown + "add blog.example.com. 300 A 192.0.2.9", strings.Replace(updatable, "192.0.2.1 ", "192.0.2.9 ", 1)},
		{"and the same is added again", shown + "add blog.example.com. 300 A 192.0.2.1", updatable},
		{"and something was added before", "add blog.example.com. 300 A 192.0.2.9\n" + shown, gone},
		{
			"each record of a name that is not proxied", "delete shop.example.com. A 198.51.100.2\ndelete shop.example.com. A 198.51.100.3",
			strings.Replace(updatable, "shop 300 A 198.51.100.2 ; the shop\nshop 300 A 198.51.100.3\n", "", 1),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := keep(t, map[string]string{"example.com.": "; tacit: edge=203.0.113.10,203.0.113.11,2001:db8::10\n" + updatable}, grant())
			p := peer{key: updaterKey, datagram: true}
			if reply := p.ask(k, update(t, c.lines)); reply[0].Rcode != dns.RcodeSuccess {
				t.Errorf("RCODE %d", reply[0].Rcode)
			}
			_, got, _ := strings.Cut(k.read("example.com."), "; the web\n")
			_, want, _ := strings.Cut(c.want, "; the web\n")
			expectText(t, got, want)
		})
	}
}

// What is not allowed changes nothing, not even the part of it that is.
func TestUpdatesThatAreRefused(t *testing.T) {
	acme := grant(func(g *Grant) {
		pattern, err := ParsePattern("_acme-challenge.*")
		if err != nil {
			t.Fatal(err)
		}
		g.Names, g.Types = []Pattern{pattern}, []wire.Type{wire.TypeTXT}
	})
	other := func(m *dns.Msg, zone string) *dns.Msg { m.Question[0].Name = zone; return m }
	for _, c := range []struct {
		name  string
		key   *SharedKey
		allow func(*KeeperOptions)
		ask   *dns.Msg
		rcode int
	}{
		{"no key", nil, grant(), update(t, "add a.example.com. 60 TXT x"), dns.RcodeRefused},
		{"a key that may not", secondaryKey, grant(), update(t, "add a.example.com. 60 TXT x"), dns.RcodeRefused},
		{"a prerequisite of a key that may not", secondaryKey, grant(), update(t, "if used no.example.com."), dns.RcodeRefused},
		{"a forged signature", mustKey("updater.test.", "hmac-sha512", "0123456789abcdef"), grant(), update(t, "add a.example.com. 60 TXT x"), dns.RcodeNotAuth},
		{"a zone that is not there", updaterKey, grant(), other(update(t, "add a.example.com. 60 TXT x"), "sub.example.com."), dns.RcodeNotAuth},
		{"a zone that may not be changed", updaterKey, grant(), other(update(t, "add a.example.com. 60 TXT x"), "other.test."), dns.RcodeRefused},
		{"a name outside", updaterKey, grant(), update(t, "add a.example.com. 60 TXT x\nadd a.example.org. 60 TXT x"), dns.RcodeNotZone},
		{"another name than allowed", updaterKey, acme, update(t, "add www.example.com. 60 TXT x"), dns.RcodeRefused},
		{"another type than allowed", updaterKey, acme, update(t, "add _acme-challenge.www.example.com. 60 A 198.51.100.1"), dns.RcodeRefused},
		{"all types where some are allowed", updaterKey, acme, update(t, "delete _acme-challenge.www.example.com."), dns.RcodeRefused},
		{"one of two", updaterKey, acme, update(t, "add _acme-challenge.example.com. 60 TXT x\nadd www.example.com. 60 TXT x"), dns.RcodeRefused},
		{"the SOA record", updaterKey, grant(), update(t, "add example.com. 60 SOA a. b. 99 1 1 1 1"), dns.RcodeRefused},
		{"signatures", updaterKey, grant(), update(t, "delete example.com. RRSIG"), dns.RcodeRefused},
		{"a loopback origin", updaterKey, grant(), update(t, "add blog.example.com. 60 A 127.0.0.1"), dns.RcodeRefused},
		{"a loopback origin of a key whose records are proxied", updaterKey, grant(proxiedGrant), update(t, "add new.example.com. 60 A 127.0.0.1"), dns.RcodeRefused},
		{"a delegation beside text", updaterKey, grant(), update(t, "add txt.example.com. 60 NS ns.test."), dns.RcodeRefused},
		{"a delegation at what is proxied", updaterKey, grant(), update(t, "add hid.pro.example.com. 60 NS ns.test."), dns.RcodeRefused},
		{"a delegation above what is proxied", updaterKey, grant(), update(t, "add pro.example.com. 60 NS hid.pro.example.com."), dns.RcodeRefused},
		{"the question is not for the SOA record", updaterKey, grant(), func() *dns.Msg {
			m := update(t, "add a.example.com. 60 TXT x")
			m.Question[0].Qtype = dns.TypeTXT
			return m
		}(), dns.RcodeFormatError},
		{"a prerequisite with a TTL", updaterKey, grant(), func() *dns.Msg {
			m := update(t, "if used shop.example.com.")
			m.Answer[0].Header().Ttl = 1
			return m
		}(), dns.RcodeFormatError},
		{"a deletion with a TTL", updaterKey, grant(), func() *dns.Msg {
			m := update(t, "delete shop.example.com. A")
			m.Ns[0].Header().Ttl = 1
			return m
		}(), dns.RcodeFormatError},
		{"a deletion of one record with a TTL", updaterKey, grant(), func() *dns.Msg {
			m := update(t, "delete shop.example.com. A 198.51.100.2")
			m.Ns[0].Header().Ttl = 1
			return m
		}(), dns.RcodeFormatError},
		{"an addition without RDATA", updaterKey, grant(), func() *dns.Msg {
			m := update(t, "delete shop.example.com. A")
			m.Ns[0].Header().Class = dns.ClassINET
			return m
		}(), dns.RcodeFormatError},
		{"a change of class CH", updaterKey, grant(), func() *dns.Msg {
			m := update(t, "add a.example.com. 60 TXT x")
			m.Ns[0].Header().Class = dns.ClassCHAOS
			return m
		}(), dns.RcodeFormatError},
		{"a meta type", updaterKey, grant(), update(t, "delete shop.example.com. AXFR"), dns.RcodeFormatError},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := keep(t, map[string]string{"example.com.": updatable, "other.test.": soa7}, c.allow)
			p := peer{key: c.key, datagram: true}
			if reply := p.ask(k, c.ask); len(reply) != 1 || reply[0].Rcode != c.rcode {
				t.Errorf("got %v, want %s", reply, dns.RcodeToString[c.rcode])
			}
			expectText(t, k.read("example.com."), updatable)
		})
	}
}

// A change is served when the answer is sent, and a secondary can have it by IXFR.
func TestUpdatesAreServedAtOnce(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": updatable}, grant())
	p := peer{key: updaterKey}
	for i := range 20 {
		p.ask(k, update(t, fmt.Sprintf("add n%d.example.com. 60 A 198.51.100.%d", i, i)))
		f, _ := k.zones().Find(wire.MustName(fmt.Sprintf("n%d.example.com.", i)), wire.TypeA)
		if f.Outcome != Answered {
			t.Fatalf("update %d is answered and not served", i)
		}
	}
	p = peer{key: secondaryKey}
	if got := brief(p.ask(k, ixfr("example.com.", 7))); strings.Count(got, " A 60 ") != 20 || strings.Count(got, "SOA") != 42 {
		t.Errorf("the differences:\n%s", got)
	}
}

// A signed zone can be changed, and stays signed.
func TestUpdatesOfASignedZone(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": "; tacit: signed\n" + updatable}, grant())
	p := peer{key: updaterKey}
	reply := p.ask(k, update(t, "if example.com. DNSKEY\nadd new.example.com. 60 A 198.51.100.1"))
	z := k.zones().exactly(wire.MustName("example.com."))
	if f := z.Find(wire.MustName("new.example.com."), wire.TypeA); reply[0].Rcode != dns.RcodeSuccess || f.Outcome != Answered || !z.Signed() {
		t.Errorf("RCODE %d, outcome %d, signed %v", reply[0].Rcode, f.Outcome, z.Signed())
	}
}

// A file that was changed by hand a moment ago is what an update changes, and prerequisites judge.
func TestUpdatesSeeTheFileAsItIs(t *testing.T) {
	k := keep(t, map[string]string{"example.com.": updatable}, grant())
	path := filepath.Join(k.directory, "example.com.zone")
	if err := os.WriteFile(path, []byte(updatable+"hand 300 A 198.51.100.5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := peer{key: updaterKey}
	if reply := p.ask(k, update(t, "if no hand.example.com. A\nadd hand.example.com. 60 TXT x")); reply[0].Rcode != dns.RcodeYXRrset {
		t.Errorf("RCODE %d", reply[0].Rcode)
	}
	if err := os.WriteFile(path, []byte(updatable+"bad A x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if reply := p.ask(k, update(t, "add hand.example.com. 60 TXT x")); reply[0].Rcode != dns.RcodeServerFailure {
		t.Errorf("RCODE %d", reply[0].Rcode)
	}
	if got := k.read("example.com."); got != updatable+"bad A x\n" {
		t.Errorf("the file:\n%s", got)
	}
}

func TestPatterns(t *testing.T) {
	origin := wire.MustName("example.com.")
	for _, c := range []struct {
		pattern string
		yes, no string
	}{
		{"*", "@ www a.b", ""},
		{"@", "@", "www"},
		{"www", "www WWW", "@ www.a a.www"},
		{"_acme-challenge.*", "_acme-challenge _acme-challenge.www _acme-challenge.a.b", "@ www a._acme-challenge"},
		{"*.dyn", "dyn a.dyn a.b.dyn", "@ dyn.a"},
		{"a.*.b.*.c", "a.b.c a.x.b.c a.b.b.y.z.c", "a.c a.b b.c a.b.c.d"},
		{"WWW", "www", "@"},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for want, list := range map[bool]string{true: c.yes, false: c.no} {
			for name := range strings.FieldsSeq(list) {
				full := wire.MustName(strings.TrimPrefix(name+".example.com.", "@."))
				if got := p.matches(labelsBelow(origin, full)); got != want {
					t.Errorf("%s and %s: %v", c.pattern, name, got)
				}
			}
		}
	}
	for _, none := range []string{"", ".", "a..b", "www.", "a*", `a\.b`, "a.@", strings.Repeat("x", 64), strings.Repeat("a.", 127) + "a"} {
		if _, err := ParsePattern(none); err == nil {
			t.Errorf("%q is a pattern", none)
		}
	}
}

func TestTypesThatCanBeChanged(t *testing.T) {
	for text, want := range map[string]wire.Type{
		"TXT": 16, "a": 1, "ANY": 255, "TYPE65280": 65280, "CAA": 257,
		"SOA": 0, "RRSIG": 0, "NSEC": 0, "AXFR": 0, "OPT": 0, "TYPE": 0, "TYPE70000": 0, "TYPE1x": 0, "": 0, "no": 0, "TYPE99999999999": 0,
	} {
		if got, err := ParseChangeable(text); got != want || (err == nil) != (want != 0) {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
}

// A message of anybody changes nothing and does not panic, and what is answered is an answer.
func FuzzHear(f *testing.F) {
	k := keep(f, map[string]string{"example.com.": updatable}, grant())
	for _, m := range []*dns.Msg{axfr("example.com."), ixfr("example.com.", 7), update(f, "if used shop.example.com.\nadd a.example.com. 60 TXT x"), new(dns.Msg).SetNotify("example.com.")} {
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
		p := peer{key: strangerKey}
		signed, _ := p.pack(k, m)
		f.Add(signed)
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		for _, stream := range []bool{true, false} {
			k.Hear(t.Context(), Request{Octets: bytes.Clone(octets), Stream: stream}, func(reply []byte) error {
				if len(reply) < wire.HeaderLength || reply[2]&0x80 == 0 || !bytes.Equal(reply[:2], octets[:2]) || reply[3]&0xf == dns.RcodeSuccess {
					t.Errorf("%x answered by %x", octets, reply)
				}
				return nil
			})
		}
		if text, err := os.ReadFile(filepath.Join(k.directory, "example.com.zone")); err != nil || string(text) != updatable {
			t.Error("the file has changed")
		}
	})
}

// The same behind the signature: what a holder of a key sends does not panic, and leaves a zone that can be served.
func FuzzUpdate(f *testing.F) {
	for _, lines := range []string{"if used shop.example.com.", "add a.example.com. 60 TXT x", "delete shop.example.com. A", "delete blog.example.com.\nadd blog.example.com. 60 A 192.0.2.9"} {
		packed, err := update(f, lines).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	grants := KeeperOptions{}
	grant()(&grants)
	origin := wire.MustName("example.com.")
	f.Fuzz(func(t *testing.T, octets []byte) {
		m := new(dns.Msg)
		if m.Unpack(octets) != nil || len(m.Ns) > 50 {
			return
		}
		z := built(t, "example.com.", updatable, edgedOnly)
		_ = newPresent(z).meets(m.Answer)
		if scanChanges(m.Ns, origin, grants.Grants) != nil {
			return
		}
		file, problems := ReadMasterFile("z", []byte(updatable), origin)
		if file == nil {
			t.Fatal(problems)
		}
		if revise(file, newPresent(z).unveil(m.Ns), grants.Grants) != nil {
			return
		}
		text, err := file.Text(someDay)
		if err != nil {
			return
		}
		if again, problems := ReadMasterFile("z", text, origin); again == nil {
			t.Errorf("the file is not one any more: %v\n%s", problems, text)
		}
	})
}
