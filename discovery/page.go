package discovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A page is what templates are filled in from; its methods are their words.
type page struct {
	service  *Service
	protocol Protocol
}

// An endpoint is an address and port as clients write them.
type endpoint struct {
	netip.AddrPort
	usual uint16
}

// Flag is the port for kdig and dig.
func (e endpoint) Flag() string {
	if e.AddrPort.Port() == e.usual {
		return ""
	}
	return " -p " + strconv.Itoa(int(e.AddrPort.Port()))
}

// Port is a number that templates can compare.
func (e endpoint) Port() int { return int(e.AddrPort.Port()) }

// HostPort is the address with its port, unless that is the usual one.
func (e endpoint) HostPort(usual int) string {
	if e.Port() == usual {
		return e.Addr().String()
	}
	return e.String()
}

func endpoints(list []netip.AddrPort, usual uint16) []endpoint {
	var all []endpoint
	for _, e := range offered(list) {
		all = append(all, endpoint{e, usual})
	}
	return all
}

// first is nil where there is none, which ends a with.
func first(list []endpoint) *endpoint {
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

func (p *page) AllPlain() []endpoint { return endpoints(p.service.plain(), portDNS) }
func (p *page) AllTLS() []endpoint   { return endpoints(p.service.TLS, portTLS) }
func (p *page) AllHTTPS() []endpoint { return endpoints(p.service.HTTPS, portHTTPS) }

func (p *page) Plain() *endpoint { return first(p.AllPlain()) }
func (p *page) TLS() *endpoint   { return first(p.AllTLS()) }
func (p *page) HTTPS() *endpoint { return first(p.AllHTTPS()) }
func (p *page) QUIC() *endpoint  { return first(endpoints(p.service.QUIC, portTLS)) }

func (p *page) Named() bool      { return !p.service.Name.IsRoot() }
func (p *page) Host() string     { return p.service.host() }
func (p *page) Path() string     { return p.service.path() }
func (p *page) Pins() []string   { return p.service.Proof.Pins }
func (p *page) CA() string       { return p.service.Proof.CAFile }
func (p *page) SelfSigned() bool { return p.service.Proof.Trust == SelfSigned }

// Near reports whether the service is on loopback, which some clients do not ask by themselves.
func (p *page) Near() bool {
	return slices.ContainsFunc(slices.Concat(p.AllPlain(), p.AllTLS()), func(e endpoint) bool { return e.Addr().IsLoopback() })
}

// URL is that of DNS over HTTPS. Without {?dns} clients may post their questions, and those do not end up in the logs of
// URLs that something on the way keeps (RFC 8484 section 9).
func (p *page) URL() string {
	e := p.HTTPS()
	return "https://" + hostPort(p.service.authority(e.Addr()), e.AddrPort.Port(), portHTTPS) + p.service.path()
}

// Authority is how people know the service.
func (p *page) Authority() string {
	if p.Named() {
		return p.Host()
	}
	return addresses(offered(slices.Concat(p.service.HTTPS, p.service.TLS)))[0].String()
}

// KdigCheck are the flags that have kdig check the certificate.
func (p *page) KdigCheck() string {
	if p.SelfSigned() {
		return strings.Join(append([]string{"+tls"}, p.Pins()...), " +tls-pin=")
	}
	flags := "+tls-ca"
	if p.CA() != "" {
		flags += "=" + p.CA()
	}
	if p.Named() {
		flags += " +tls-hostname=" + p.Host()
	}
	return flags
}

// CurlCheck are the flags that have curl check the certificate. A pin alone is enough for what signs itself.
func (p *page) CurlCheck() string {
	switch {
	case p.SelfSigned() && len(p.Pins()) > 0:
		return "--insecure --pinnedpubkey 'sha256//" + strings.Join(p.Pins(), ";sha256//") + "' "
	case p.CA() != "":
		return "--cacert " + p.CA() + " "
	default:
		return ""
	}
}

// CurlAddress spares curl the look-up of the name.
func (p *page) CurlAddress() string {
	if !p.Named() {
		return ""
	}
	e := p.HTTPS()
	return fmt.Sprintf("--resolve %s:%d:%s ", p.Host(), e.Port(), bracket(e.Addr()))
}

// Doubt is a remark for clients that will not like the certificate.
func (p *page) Doubt(comment, who string) string {
	text := who + " does not take a certificate that signs itself: give tacit one of an authority, or of your own (tacit dev-cert)."
	switch {
	case !p.SelfSigned() || who == "" && len(p.Pins()) > 0:
		return ""
	case who == "":
		text = "The certificate signs itself, and a start of tacit prints its pin: without it nothing is checked."
	}
	return strings.TrimSpace(comment + " " + text)
}

// PlainIPv4 and PlainIPv6 are what a network is told without DNR.
func (p *page) PlainIPv4() []netip.Addr { return ofFamily(p.service.distantPlain(), ipv4) }
func (p *page) PlainIPv6() []netip.Addr { return ofFamily(p.service.distantPlain(), ipv6) }

func (p *page) DHCPv4() ([]byte, error)   { return p.service.DHCPv4() }
func (p *page) DHCPv6() ([][]byte, error) { return p.service.DHCPv6() }

func (p *page) Odhcpd() ([]string, error) { return p.service.odhcpd() }

// RouterAdvertisement is empty where there is nothing to announce: radvd has use for the rest.
func (p *page) RouterAdvertisement() [][]byte {
	options, err := p.service.RouterAdvertisement(time.Hour)
	if err != nil {
		return nil
	}
	return options
}

func (p *page) Stamps() []Stamp { return p.service.Stamps() }

func (p *page) Records() (string, error) {
	var b strings.Builder
	err := p.service.WriteRecords(&b)
	return b.String(), err
}

// NotDesignated says why there are no SVCB records at _dns.resolver.arpa.
func (p *page) NotDesignated() string {
	s := p.service
	switch {
	case len(s.designations()) == 0:
		return errNoEncrypted.Error()
	case !p.Named():
		return errNoName.Error()
	case s.Proof.Trust == Unknown:
		return "no certificate is known"
	case s.Proof.Trust == SelfSigned:
		return "the certificate signs itself, so no client could tell whose it is"
	case !s.provesName():
		return "the certificate is not for the name in listen.name"
	case !s.provesAddress():
		return "the certificate holds no address of a listener for DNS without encryption (RFC 9462 section 4.2)"
	default:
		return ""
	}
}

// Protocol is Apple's word for it.
func (p *page) Protocol() string { return strings.ToUpper(string(p.protocol)) }

// ProtocolAddresses are where a profile's protocol is served.
func (p *page) ProtocolAddresses() []netip.Addr {
	if p.protocol == TLS {
		return addresses(offered(p.service.TLS))
	}
	return addresses(offered(p.service.HTTPS))
}

// Identifier is the same for the same service, so that a new profile takes the place of the old one.
func (p *page) Identifier() string { return "tacit." + strings.ToLower(p.UUID("identifier")) }

// UUID is one of version 8 (RFC 9562 section 5.8): the same for the same use of the same service.
func (p *page) UUID(use string) string {
	b := sha256.Sum256([]byte(p.Authority() + "\x00" + string(p.protocol) + "\x00" + use))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16]))
}

func escapeXML(text string) (string, error) {
	var b bytes.Buffer
	err := xml.EscapeText(&b, []byte(text))
	return b.String(), err
}

func bracketed(list []netip.Addr) string {
	var texts []string
	for _, a := range list {
		texts = append(texts, bracket(a))
	}
	return strings.Join(texts, ",")
}
