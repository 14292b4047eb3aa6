package discovery

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/template"
)

// A Client is a program or device, and how it is told about a service.
type Client struct {
	Name  string
	About string

	// Protocols are those that there is a choice of; the first that is served is the default.
	Protocols []Protocol

	needs []need
}

// A Protocol is one that a client can be set to.
type Protocol string

// Protocols of Apple's profiles.
const (
	HTTPS Protocol = "https"
	TLS   Protocol = "tls"
)

// clients are in the order of the list that people read.
var clients = []Client{
	{Name: "kdig", About: "a line for each transport, to try"},
	{Name: "curl", About: "DNS over HTTPS: one question, or all look-ups of curl", needs: []need{needHTTPS}},
	{Name: "firefox", About: "user.js with DNS over HTTPS", needs: []need{needHTTPS}},
	{Name: "chromium", About: "Chromium, Chrome, Edge: settings or a policy file with DNS over HTTPS", needs: []need{needHTTPS}},
	{Name: "systemd-resolved", About: "a drop-in with DNS over TLS", needs: []need{needTLS}},
	{Name: "stubby", About: "stubby.yml with DNS over TLS", needs: []need{needTLS, needCheck}},
	{Name: "unbound", About: "forward zone, over TLS where that is served", needs: []need{needPlainOrTLS}},
	{Name: "dnsmasq", About: "server lines", needs: []need{needPlain}},
	{Name: "router", About: "dnsmasq as DHCP server: tells the network, with DNR", needs: []need{needDNR}},
	{Name: "openwrt", About: "uci commands: tells the network, with DNR", needs: []need{needDNR}},
	{Name: "radvd", About: "router advertisements", needs: []need{needPlainIPv6}},
	{Name: "android", About: "Private DNS", needs: []need{needTLS, needName, needDistantTLS}},
	{
		Name: "apple", About: "a profile (.mobileconfig) for iOS and macOS", Protocols: []Protocol{HTTPS, TLS},
		needs: []need{needProfile},
	},
	{Name: "windows", About: "PowerShell commands with DNS over HTTPS", needs: []need{needHTTPS}},
	{Name: "stamp", About: "DNS stamps (sdns://), as dnscrypt-proxy reads them"},
	{Name: "ddr", About: "the records that tacit answers about itself"},
}

// Clients are all that can be told.
func Clients() []Client { return slices.Clone(clients) }

// FindClient finds a client by name.
func FindClient(name string) (Client, bool) {
	i := slices.IndexFunc(clients, func(c Client) bool { return c.Name == name })
	if i < 0 {
		return Client{}, false
	}
	return clients[i], true
}

//go:embed clients/*.txt
var files embed.FS

var templates = template.Must(template.New("clients").Funcs(template.FuncMap{
	"join": join, "bracketed": bracketed, "colons": colons, "xml": escapeXML,
	"spaced": func(b []byte) string { return fmt.Sprintf("% x", b) },
}).ParseFS(files, "clients/*.txt"))

// Write writes what the client is to be told. The error says what the service lacks, and then nothing is written. Protocol
// is empty for the client's default.
func (c *Client) Write(w io.Writer, s *Service, p Protocol) error {
	p, err := c.choose(s, p)
	if err != nil {
		return err
	}
	page := page{service: s, protocol: p}
	for _, n := range c.needs {
		if err := n(&page); err != nil {
			return err
		}
	}
	var b strings.Builder
	if err := templates.ExecuteTemplate(&b, c.Name+".txt", &page); err != nil {
		return innermost(err) // the service's: a template that does not fit page fails its test
	}
	_, err = io.WriteString(w, strings.TrimRight(b.String(), " \n")+"\n")
	return err
}

// innermost is the error without what the template engine says around it.
func innermost(err error) error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err
}

func (c *Client) choose(s *Service, p Protocol) (Protocol, error) {
	switch {
	case p != "" && len(c.Protocols) == 0:
		return p, fmt.Errorf("%s has no choice of protocols", c.Name)
	case p != "" && !slices.Contains(c.Protocols, p):
		return p, fmt.Errorf("%s can be set to %s, not to %s", c.Name, joinProtocols(c.Protocols), p)
	case p == "" && len(c.Protocols) > 0 && len(s.HTTPS) == 0:
		return TLS, nil
	case p == "" && len(c.Protocols) > 0:
		return HTTPS, nil
	}
	return p, nil
}

func joinProtocols(list []Protocol) string {
	var texts []string
	for _, p := range list {
		texts = append(texts, string(p))
	}
	return strings.Join(texts, " or ")
}

// A need is what a client cannot do without; its error says what the service lacks.
type need func(p *page) error

// What a service may lack.
var (
	errNoPlain      = errors.New("no listener for DNS without encryption: set listen.udp and listen.tcp")
	errNoPlainOrTLS = errors.New("no listener for DNS without encryption or over TLS: set listen.udp and listen.tcp, or listen.tls")
	errNoTLS        = errors.New("no listener for DNS over TLS: set listen.tls")
	errNoHTTPS      = errors.New("no listener for DNS over HTTPS: set listen.https")
	errNeither      = errors.New("no listener for DNS over HTTPS or TLS: set listen.https or listen.tls")
	errNoAnnouncing = errors.New("no listener for DNS without encryption on port 53 of an IPv6 address that other machines reach: set listen.udp")
	errNoDistantTLS = errors.New("no listener for DNS over TLS on port 853 of an address that other machines reach, and there is no way to tell of another: set listen.tls")
	errNoPin        = errors.New("neither a name nor a pin of the certificate is known, so it could not be checked: set listen.name")
)

func lacks(list []netip.AddrPort, err error) error {
	if len(list) == 0 {
		return err
	}
	return nil
}

func needPlain(p *page) error { return lacks(p.service.plain(), errNoPlain) }
func needTLS(p *page) error   { return lacks(p.service.TLS, errNoTLS) }
func needHTTPS(p *page) error { return lacks(p.service.HTTPS, errNoHTTPS) }
func needPlainOrTLS(p *page) error {
	return lacks(slices.Concat(p.service.plain(), p.service.TLS), errNoPlainOrTLS)
}

func needName(p *page) error {
	if !p.Named() {
		return errNoName
	}
	return nil
}

// needCheck is for clients that insist on knowing whom they talk to.
func needCheck(p *page) error {
	if p.SelfSigned() && len(p.Pins()) == 0 || !p.SelfSigned() && !p.Named() {
		return errNoPin
	}
	return nil
}

func needDNR(p *page) error {
	_, err := p.service.announced()
	return err
}

func needPlainIPv6(p *page) error {
	if len(p.PlainIPv6()) == 0 {
		return errNoAnnouncing
	}
	return nil
}

// needDistantTLS is for devices that take no port.
func needDistantTLS(p *page) error {
	return lacks(slices.DeleteFunc(distant(p.service.TLS), func(e netip.AddrPort) bool { return e.Port() != portTLS }), errNoDistantTLS)
}

func needProfile(p *page) error {
	switch {
	case len(p.service.HTTPS)+len(p.service.TLS) == 0:
		return errNeither
	case p.protocol == HTTPS:
		return needHTTPS(p)
	}
	return errors.Join(needTLS(p), needName(p), needDistantTLS(p))
}
