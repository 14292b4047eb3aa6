package discovery

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tacit/internal/wire"
)

const pin = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

// local is a service as a first trial has it: on loopback, without a name, with a certificate made in memory.
func local() *Service {
	return &Service{
		UDP: at("127.0.0.1:5335"), TCP: at("127.0.0.1:5335"), TLS: at("127.0.0.1:8853"),
		HTTPS: at("127.0.0.1:8443"), HTTP3: at("127.0.0.1:8443"), QUIC: at("127.0.0.1:8853"),
		Proof: Proof{Trust: SelfSigned, Pins: []string{pin}},
	}
}

// withCA is a service with a certificate of the operator's own authority.
func withCA() *Service {
	s := home()
	s.Proof.CAFile = "/etc/tacit/ca.pem"
	return s
}

func text(t *testing.T, name string, s *Service, p Protocol) string {
	t.Helper()
	c, ok := FindClient(name)
	if !ok {
		t.Fatalf("no client %s", name)
	}
	var b bytes.Buffer
	if err := c.Write(&b, s, p); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b.String()
}

func TestEachClientHasItsText(t *testing.T) {
	names := map[string]bool{}
	for _, c := range Clients() {
		if names[c.Name] || c.About == "" || templates.Lookup(c.Name+".txt") == nil {
			t.Errorf("%s: twice, or without words or a file", c.Name)
		}
		names[c.Name] = true
		got := text(t, c.Name, home(), "")
		if !strings.HasSuffix(got, "\n") || strings.Contains(got, "\n\n\n") || strings.Contains(got, " \n") || strings.Contains(got, "%!") {
			t.Errorf("%s:\n%s", c.Name, got)
		}
	}
	if entries, err := files.ReadDir("clients"); err != nil || len(entries) != len(names) {
		t.Errorf("%d files for %d clients: %v", len(entries), len(names), err)
	}
}

// A client is told what is missing, in words that name the option.
func TestRefusals(t *testing.T) {
	plain := &Service{Name: wire.MustName("dns.home.example."), UDP: at("192.0.2.53:53")}
	encrypted := &Service{Name: plain.Name, TLS: at("192.0.2.53:853")}
	high := &Service{Name: plain.Name, TLS: at("192.0.2.53:8853")}
	unknown := &Service{TLS: at("192.0.2.53:853")}
	for _, c := range []struct {
		client string
		s      *Service
		p      Protocol
		want   error
	}{
		{"curl", plain, "", errNoHTTPS},
		{"firefox", plain, "", errNoHTTPS},
		{"chromium", plain, "", errNoHTTPS},
		{"windows", plain, "", errNoHTTPS},
		{"systemd-resolved", plain, "", errNoTLS},
		{"stubby", plain, "", errNoTLS},
		{"stubby", unknown, "", errNoPin},
		{"unbound", &Service{}, "", errNoPlainOrTLS},
		{"dnsmasq", encrypted, "", errNoPlain},
		{"router", plain, "", errNoEncrypted},
		{"openwrt", plain, "", errNoEncrypted},
		{"router", unknown, "", errNoName},
		{"radvd", plain, "", errNoAnnouncing},
		{"android", plain, "", errNoTLS},
		{"android", unknown, "", errNoName},
		{"android", high, "", errNoDistantTLS},
		{"apple", plain, "", errNeither},
		{"apple", encrypted, HTTPS, errNoHTTPS},
		{"apple", unknown, "", errNoName},
		{"apple", high, TLS, errNoDistantTLS},
	} {
		t.Run(c.client+" "+string(c.p), func(t *testing.T) {
			client, _ := FindClient(c.client)
			var b bytes.Buffer
			if err := client.Write(&b, c.s, c.p); !errors.Is(err, c.want) || b.Len() > 0 {
				t.Errorf("got %v, want %v; wrote %q", err, c.want, &b)
			}
		})
	}
}

func TestProtocolsAreChosenFrom(t *testing.T) {
	for _, c := range []struct {
		client string
		p      Protocol
		want   string
	}{
		{"stamp", HTTPS, "stamp has no choice of protocols"},
		{"apple", "quic", "apple can be set to https or tls, not to quic"},
	} {
		client, _ := FindClient(c.client)
		if err := client.Write(io.Discard, home(), c.p); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v", c.client, err)
		}
	}
}

// A template that fails says why in the words of the service, without those of the template.
func TestErrorsOfTemplatesAreBare(t *testing.T) {
	s := home()
	s.Name = wire.MustName(strings.Repeat("a.", 120) + "example.")
	client, _ := FindClient("router")
	if err := client.Write(io.Discard, s, ""); err == nil || err.Error() != errTooLong.Error() {
		t.Errorf("got %v, want %v", err, errTooLong)
	}
}

func TestKdig(t *testing.T) {
	for _, c := range []struct {
		name string
		s    *Service
		want []string
	}{
		{"authority", withCA(), []string{
			"kdig @192.0.2.53 example.com",
			"kdig @192.0.2.53 +tls-ca=/etc/tacit/ca.pem +tls-hostname=dns.home.example example.com",
			"kdig @192.0.2.53 -p 8443 +tls-ca=/etc/tacit/ca.pem +tls-hostname=dns.home.example +https=/dns-query example.com",
			"kdig @192.0.2.53 +tls-ca=/etc/tacit/ca.pem +tls-hostname=dns.home.example +quic example.com",
		}},
		{"pin", local(), []string{
			"kdig @127.0.0.1 -p 5335 example.com",
			"kdig @127.0.0.1 -p 8853 +tls +tls-pin=" + pin + " example.com",
			"kdig @127.0.0.1 -p 8443 +tls +tls-pin=" + pin + " +https=/dns-query example.com",
			"kdig @127.0.0.1 -p 8853 +tls +tls-pin=" + pin + " +quic example.com",
		}},
		{"plain", &Service{UDP: at("127.0.0.1:53")}, []string{"kdig @127.0.0.1 example.com"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := settings(text(t, "kdig", c.s, ""), "#"); !slices.Equal(got, c.want) {
				t.Errorf("got:\n%s", strings.Join(got, "\n"))
			}
		})
	}
}

// settings are the lines that are neither empty nor a remark, trimmed.
func settings(text, remark string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, remark) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestCurl(t *testing.T) {
	const question = `-H 'accept: application/dns-message' 'https://dns.home.example:8443/dns-query?dns=AAABAAABAAAAAAAAB2V4YW1wbGUDY29tAAABAAE' | hexdump -C`
	got := settings(text(t, "curl", withCA(), ""), "#")
	want := []string{
		"curl --cacert /etc/tacit/ca.pem --resolve dns.home.example:8443:192.0.2.53 " + question,
		"curl --cacert /etc/tacit/ca.pem --resolve dns.home.example:8443:192.0.2.53 --doh-url https://dns.home.example:8443/dns-query https://example.com/",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s", strings.Join(got, "\n"))
	}
	if got := settings(text(t, "curl", local(), ""), "#"); len(got) != 1 || !strings.Contains(got[0], "--pinnedpubkey 'sha256//"+pin+"'") {
		t.Errorf("with a pin: %q", got)
	}
}

func TestFirefox(t *testing.T) {
	form := regexp.MustCompile(`^user_pref\("([a-zA-Z.]+)", (.*?)\);`)
	prefs := map[string]any{}
	for _, line := range settings(text(t, "firefox", home(), ""), "//") {
		m := form.FindStringSubmatch(line)
		var v any
		if m == nil || json.Unmarshal([]byte(m[2]), &v) != nil {
			t.Fatalf("no preference: %s", line)
		}
		prefs[m[1]] = v
	}
	if prefs["network.trr.mode"] != 3.0 || prefs["network.trr.uri"] != "https://dns.home.example:8443/dns-query" ||
		prefs["network.trr.bootstrapAddr"] != "192.0.2.53" || len(prefs) != 3 {
		t.Errorf("got %v", prefs)
	}
}

func TestChromium(t *testing.T) {
	whole := text(t, "chromium", home(), "")
	var policy map[string]string
	if err := json.Unmarshal([]byte(whole[strings.Index(whole, "{"):strings.LastIndex(whole, "}")+1]), &policy); err != nil {
		t.Fatal(err)
	}
	if policy["DnsOverHttpsMode"] != "secure" || policy["DnsOverHttpsTemplates"] != "https://dns.home.example:8443/dns-query" {
		t.Errorf("got %v", policy)
	}
	if strings.Contains(whole, "signs itself") || !strings.Contains(text(t, "chromium", local(), ""), "signs itself") {
		t.Error("the remark about certificates")
	}
}

func TestResolved(t *testing.T) {
	s := home()
	s.TLS = at("192.0.2.53:8853", "[2001:db8::53]:8853", "[2001:db8::53]:853")
	got := settings(text(t, "systemd-resolved", s, ""), "#")
	want := []string{
		"[Resolve]",
		"DNS=192.0.2.53:8853#dns.home.example [2001:db8::53]:8853#dns.home.example 2001:db8::53#dns.home.example",
		"DNSOverTLS=yes", "Domains=~.", "FallbackDNS=",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s", strings.Join(got, "\n"))
	}
}

// What the network is told is what the functions of DNR say.
func TestRouter(t *testing.T) {
	got := settings(text(t, "router", home(), ""), "#")
	v4, err4 := home().DHCPv4()
	v6, err6 := home().DHCPv6()
	if err := errors.Join(err4, err6); err != nil {
		t.Fatal(err)
	}
	want := []string{"dhcp-option=option:dns-server,192.0.2.53", "dhcp-option=option6:dns-server,[2001:db8::53]", "162", "option6:144"}
	for i, octets := range [][]byte{2: v4, 3: v6[0]} {
		if octets == nil {
			continue
		}
		text, ok := strings.CutPrefix(got[i], "dhcp-option="+want[i]+",")
		b, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
		if !ok || err != nil || !bytes.Equal(b, octets) {
			t.Errorf("%s: %v", got[i], err)
		}
	}
	if len(got) != 4 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got:\n%s", strings.Join(got, "\n"))
	}
}

func TestOpenWrt(t *testing.T) {
	got := text(t, "openwrt", home(), "")
	for _, want := range []string{
		"uci add_list dhcp.lan.dhcp_option='6,192.0.2.53'\n",
		"uci add_list dhcp.lan.dns='2001:db8::53'\n",
		"uci add_list dhcp.lan.dnr='2 dns.home.example 192.0.2.53,2001:db8::53 alpn=h2,h3 port=8443 dohpath=/dns-query{?dns}'\n",
		"uci commit dhcp\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

func TestStampList(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(text(t, "stamp", home(), "")), "\n")
	if len(lines) != 8 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if _, stamp, ok := strings.Cut(line, "\tsdns://"); !ok || stamp == "" {
			t.Errorf("no stamp: %q", line)
		}
	}
}

// The page of DDR says why nothing is designated.
func TestNotDesignated(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *Service)
		want   string
	}{
		{"designated", func(*Service) {}, ""},
		{"nothing encrypted", func(s *Service) { s.TLS, s.HTTPS, s.HTTP3, s.QUIC = nil, nil, nil, nil }, "set listen.tls"},
		{"no name", func(s *Service) { s.Name = wire.Root }, "set listen.name"},
		{"no certificate", func(s *Service) { s.Proof = Proof{} }, "no certificate is known"},
		{"self-signed", func(s *Service) { s.Proof.Trust = SelfSigned }, "signs itself"},
		{"another name", func(s *Service) { s.Proof.Names = nil }, "not for the name"},
		{"another address", func(s *Service) { s.Proof.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.1")} }, "no address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := home()
			c.change(s)
			got := text(t, "ddr", s, "")
			if has := strings.Contains(got, "\n_dns.resolver.arpa. "); has != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got:\n%s", got)
			}
		})
	}
}

// plist reads a value of a property list: a dictionary, an array or a text.
func plist(t *testing.T, d *xml.Decoder, start xml.StartElement) any {
	t.Helper()
	dict, array, key, chars := map[string]any{}, []any{}, "", ""
	for {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.CharData:
			chars += string(e)
		case xml.StartElement:
			v := plist(t, d, e)
			if e.Name.Local == "key" {
				key, _ = v.(string)
				continue
			}
			dict[key], array = v, append(array, v)
		case xml.EndElement:
			switch start.Name.Local {
			case "dict":
				return dict
			case "array", "plist":
				return array
			case "true", "false":
				return start.Name.Local
			default:
				return chars
			}
		}
	}
}

func profile(t *testing.T, s *Service, p Protocol) (whole, settings map[string]any) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text(t, "apple", s, p)))
	for {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			whole, _ = plist(t, d, start).([]any)[0].(map[string]any)
			payload, _ := whole["PayloadContent"].([]any)[0].(map[string]any)
			settings, _ = payload["DNSSettings"].(map[string]any)
			for _, m := range []map[string]any{whole, payload} {
				checkPayload(t, m)
			}
			return whole, settings
		}
	}
}

// checkPayload looks for the keys that each payload has to have.
func checkPayload(t *testing.T, m map[string]any) {
	t.Helper()
	for key, form := range map[string]string{
		"PayloadType": `^(Configuration|com\.apple\.dnsSettings\.managed)$`, "PayloadVersion": `^1$`, "PayloadIdentifier": `^tacit\.[0-9a-f-]{36}`,
		"PayloadUUID": `^[0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`, "PayloadDisplayName": `.`,
	} {
		if v, _ := m[key].(string); !regexp.MustCompile(form).MatchString(v) {
			t.Errorf("%s: %q", key, v)
		}
	}
}

func TestApple(t *testing.T) {
	both := []any{"192.0.2.53", "2001:db8::53"}
	for _, c := range []struct {
		p    Protocol
		want map[string]any
	}{
		{"", map[string]any{"DNSProtocol": "HTTPS", "ServerURL": "https://dns.home.example:8443/dns-query", "ServerAddresses": both}},
		{HTTPS, map[string]any{"DNSProtocol": "HTTPS", "ServerURL": "https://dns.home.example:8443/dns-query", "ServerAddresses": both}},
		{TLS, map[string]any{"DNSProtocol": "TLS", "ServerName": "dns.home.example", "ServerAddresses": both}},
	} {
		_, got := profile(t, home(), c.p)
		if a, b := mustJSON(t, got), mustJSON(t, c.want); a != b {
			t.Errorf("%q: got %s, want %s", c.p, a, b)
		}
	}
	first, _ := profile(t, home(), HTTPS)
	again, _ := profile(t, home(), HTTPS)
	other, _ := profile(t, home(), TLS)
	if first["PayloadUUID"] != again["PayloadUUID"] || first["PayloadUUID"] == other["PayloadUUID"] {
		t.Error("a profile is replaced by its next version and by no other")
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The programs themselves read what is meant for them, where they are installed.
func TestCheckersOfClients(t *testing.T) {
	for _, c := range []struct {
		client  string
		checker []string
	}{
		{"unbound", []string{"unbound-checkconf", "FILE"}},
		{"dnsmasq", []string{"dnsmasq", "--test", "-C", "FILE"}},
		{"router", []string{"dnsmasq", "--test", "-C", "FILE"}},
		{"stubby", []string{"stubby", "-i", "-C", "FILE"}},
		{"radvd", []string{"radvd", "--configtest", "-C", "FILE"}},
	} {
		for name, s := range map[string]*Service{"home": home(), "own authority": withCA(), "local": local()} {
			t.Run(c.client+" "+name, func(t *testing.T) {
				client, _ := FindClient(c.client)
				var b bytes.Buffer
				if err := client.Write(&b, s, ""); err != nil {
					return // refused, which TestRefusals is about
				}
				check(t, c.checker, b.Bytes())
			})
		}
	}
}

func check(t *testing.T, command []string, text []byte) {
	t.Helper()
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Skipf("%s is not installed: its own opinion is not heard", command[0])
	}
	path := filepath.Join(t.TempDir(), "client.yml") // stubby goes by the ending
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	args := slices.Clone(command[1:])
	args[slices.Index(args, "FILE")] = path
	if out, err := exec.CommandContext(t.Context(), command[0], args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, text)
	}
}
