package server

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/config"
	"tacit/discovery"
	"tacit/internal/wire"
	"tacit/policy"
	"tacit/transports"
)

func addrPorts(texts ...string) []netip.AddrPort {
	var list []netip.AddrPort
	for _, t := range texts {
		list = append(list, netip.MustParseAddrPort(t))
	}
	return list
}

// machine has an address of each kind.
func machine() []netip.Addr {
	var list []netip.Addr
	for _, t := range []string{"127.0.0.1", "::1", "192.0.2.53", "2001:db8::53", "fe80::53", "169.254.1.1"} {
		list = append(list, netip.MustParseAddr(t))
	}
	return list
}

func TestServiceFollowsListeners(t *testing.T) {
	for _, c := range []struct {
		name   string
		listen config.Listen
		want   discovery.Service
	}{
		{
			"as given",
			config.Listen{UDP: addrPorts("192.0.2.1:53"), TLS: addrPorts("192.0.2.1:8853")},
			discovery.Service{UDP: addrPorts("192.0.2.1:53"), TLS: addrPorts("192.0.2.1:8853")},
		},
		{"a name", config.Listen{Name: wire.MustName("dns.example.")}, discovery.Service{Name: wire.MustName("dns.example.")}},
		{
			"DNS over HTTPS is three versions of HTTP",
			config.Listen{HTTPS: addrPorts("192.0.2.1:443")},
			discovery.Service{HTTPS: addrPorts("192.0.2.1:443"), HTTP3: addrPorts("192.0.2.1:443")},
		},
		{
			"all addresses of a family",
			config.Listen{QUIC: addrPorts("0.0.0.0:853")},
			discovery.Service{QUIC: addrPorts("127.0.0.1:853", "192.0.2.53:853")},
		},
		{
			"all addresses",
			config.Listen{TCP: addrPorts("0.0.0.0:53", "[::]:53", "192.0.2.53:53")},
			discovery.Service{TCP: addrPorts("127.0.0.1:53", "192.0.2.53:53", "[::1]:53", "[2001:db8::53]:53")},
		},
		{"a port that is chosen at the start", config.Listen{UDP: addrPorts("127.0.0.1:0")}, discovery.Service{}},
		{"a link-local address", config.Listen{UDP: addrPorts("[fe80::1%eth0]:53")}, discovery.Service{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := describeService(&config.Config{Listen: c.listen}, discovery.Proof{}, machine)
			got.Info, c.want.Path = discovery.Info{}, transports.Path
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// RFC 9606 section 5: qnamemin is for resolvers that minimise.
func TestInfoFollowsConfiguration(t *testing.T) {
	all := []config.Forward{{Zone: wire.Root}}
	for _, c := range []struct {
		name   string
		change func(c *config.Config)
		want   bool
	}{
		{"strict", func(*config.Config) {}, true},
		{"relaxed", func(c *config.Config) { c.Recursion.Minimisation = config.Relaxed }, true},
		{"off", func(c *config.Config) { c.Recursion.Minimisation = config.Off }, false},
		{"everything forwarded", func(c *config.Config) { c.Forwards = all }, false},
		{"a zone forwarded", func(c *config.Config) { c.Forwards = []config.Forward{{Zone: wire.MustName("test.")}} }, true},
	} {
		cfg := config.Default()
		c.change(cfg)
		if got := Describe(cfg, nil).Info.Minimises; got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
	cfg := config.Default()
	cfg.DNSSEC.Validate, cfg.Cache.ServeStale = false, false
	for _, code := range explained(cfg) {
		if slices.Contains([]wire.EDE{wire.EDEBogus, wire.EDEStaleAnswer, wire.EDESynthesized}, code) {
			t.Errorf("code %d without its cause", code)
		}
	}
}

// RFC 9606 section 5: exterr lists the codes that can be returned. Those are the ones that the code knows.
func TestExplainedAreTheCodesInUse(t *testing.T) {
	used := map[string]bool{}
	for _, room := range []string{"transports", "resolver", "dnssec", "policy", "zone", "cache", "upstream"} {
		err := filepath.WalkDir(filepath.Join("..", "..", room), func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				return collectCodes(path, used)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	listed := map[string]bool{}
	if err := collectCodes("discovery.go", listed); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(used, listed) || len(used) == 0 {
		t.Errorf("in use: %v\nlisted: %v", slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(listed)))
	}
}

// collectCodes finds wire.EDE... in a file.
func collectCodes(path string, into map[string]bool) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && strings.HasPrefix(s.Sel.Name, "EDE") && s.Sel.Name != "EDE" {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "wire" {
				into[s.Sel.Name] = true
			}
		}
		return true
	})
	return nil
}

// With a certificate that holds name and address, the rules designate the encrypted transports (RFC 9462 section 4).
func TestOwnAnswersReachTheRules(t *testing.T) {
	c := config.Default()
	c.Listen = config.Listen{Name: wire.MustName("dns.example."), UDP: addrPorts("192.0.2.53:53"), TLS: addrPorts("192.0.2.53:853")}
	for _, x := range []struct {
		name  string
		proof discovery.Proof
		want  int
	}{
		{"authority", prove(discovery.Authority, []string{"dns.example", "192.0.2.53"}), 1},
		{"another address", prove(discovery.Authority, []string{"dns.example", "192.0.2.54"}), 0},
		{"self-signed", prove(discovery.SelfSigned, []string{"dns.example", "192.0.2.53"}, "pin"), 0},
		{"no certificate", discovery.Proof{}, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			rules := policy.NewSpecialUse([]wire.Name{wire.Root}, ownAnswers(describeService(c, x.proof, machine))...)
			q := wire.Question{Name: wire.MustName("_dns.resolver.arpa."), Type: wire.TypeSVCB, Class: wire.ClassIN}
			a, ok := rules.Answer(q, time.Time{})
			var m dns.Msg
			if err := m.Unpack(a.Packet); err != nil || !ok || len(m.Answer) != x.want || len(m.Extra) != x.want {
				t.Errorf("%v %v\n%v", ok, err, &m)
			}
		})
	}
}

// RFC 9462 section 4 and RFC 9606 section 3: nobody else is asked, even where everything is forwarded.
func TestResolverAnswersForItself(t *testing.T) {
	x := newSetting(t)
	s, _ := x.start(t, common+"[listen]\nudp = ['127.0.0.1:0']\ntcp = []\nname = 'dns.zone.example'\n"+
		"[[forward]]\nzone = '.'\nupstreams = ['192.0.2.250']\n")
	udp, _ := s.Addrs()
	for _, c := range []struct {
		name string
		kind uint16
		want int
	}{
		{"_dns.resolver.arpa.", dns.TypeSVCB, 0},
		{"_dns.resolver.arpa.", dns.TypeA, 0},
		{"resolver.arpa.", dns.TypeRESINFO, 1},
		{"dns.zone.example.", dns.TypeRESINFO, 1},
	} {
		for _, flags := range []struct{ cd, do bool }{{}, {cd: true}, {do: true}, {true, true}} {
			q := new(dns.Msg).SetQuestion(c.name, c.kind)
			q.CheckingDisabled = flags.cd
			q.SetEdns0(1232, flags.do)
			r, _, err := new(dns.Client).ExchangeContext(t.Context(), q, udp[0].String())
			if err != nil || r.Rcode != dns.RcodeSuccess || len(r.Answer) != c.want {
				t.Errorf("%s %s: %v\n%v", c.name, dns.TypeToString[c.kind], err, r)
			}
		}
	}
	if n := x.Count("."); n != 0 {
		t.Errorf("%d packets to the root", n)
	}
}
