package main

import (
	"strings"
	"testing"

	"tacit/admin"
	"tacit/certificate"
	"tacit/config"
	"tacit/discovery"
	"tacit/internal/server"
)

func TestClientsAreListed(t *testing.T) {
	stdout, _ := call(t, exitGood, "client")
	for _, c := range discovery.Clients() {
		expect(t, stdout, c.Name+" ", c.About+"\n")
	}
}

func TestClientIsToldWhatIsConfigured(t *testing.T) {
	path := file(t, "[listen]\nudp = ['192.0.2.53:5335']\ntcp = ['192.0.2.53:5335']\nname = 'dns.example'\n")
	for _, c := range []struct{ name, want string }{
		{"kdig", "kdig @192.0.2.53 -p 5335 example.com\n"},
		{"dnsmasq", "server=192.0.2.53#5335\n"},
		{"unbound", "forward-addr: 192.0.2.53@5335\n"},
		{"stamp", "DNS\tsdns://AAcAAAAAAAAADzE5Mi4wLjIuNTM6NTMzNQ\n"},
		{"ddr", "dns.example. 3600 IN RESINFO \"qnamemin\" \"exterr=0-3,5-10,12-13,18-20,22-24,27,29\"\n"},
	} {
		stdout, stderr := call(t, exitGood, "client", c.name, "--config", path)
		expect(t, stdout, c.want)
		if stderr != "" {
			t.Errorf("%s: %s", c.name, stderr)
		}
	}
}

func TestClientIsRefusedWhatIsNotServed(t *testing.T) {
	path := file(t, "")
	for _, c := range []struct{ args, want string }{
		{"stubby", "tacit: no listener for DNS over TLS: set listen.tls\n"},
		{"firefox", "tacit: no listener for DNS over HTTPS: set listen.https\n"},
		{"router", "tacit: clients tell the resolver by its name: set listen.name\n"},
		{"kdig --protocol tls", "tacit: kdig has no choice of protocols\n"},
		{"netscape", "no client is called \"netscape\": it is one of kdig, curl, "},
	} {
		stdout, stderr := call(t, exitUsage, append([]string{"client", "--config", path}, strings.Fields(c.args)...)...)
		expect(t, stderr, c.want)
		if stdout != "" {
			t.Errorf("%s: wrote %q", c.args, stdout)
		}
	}
}

func TestClientIsToldOnlyOfCertificatesThatItCanBelieve(t *testing.T) {
	c, err := config.Load(file(t, "[listen]\ntls = ['192.0.2.53:853']\nname = 'dns.example'\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []certificate.State{certificate.Good, certificate.Early, certificate.Soon, certificate.Expired, certificate.Awaited} {
		t.Run(state.String(), func(t *testing.T) {
			shown := certificatesOf(admin.Status{Certificates: []admin.Certificate{{
				Names: []string{"dns.example"}, State: state.String(), Pin: "pin",
			}}})
			proof := server.Describe(c, shown).Proof
			believed := state == certificate.Good || state == certificate.Soon
			if told := len(proof.Pins) > 0; told != believed {
				t.Errorf("pins %v", proof.Pins)
			}
		})
	}
	if shown := certificatesOf(admin.Status{Certificates: []admin.Certificate{{State: "of another version"}}}); len(shown) != 0 {
		t.Errorf("a state that is not known: %v", shown)
	}
}
