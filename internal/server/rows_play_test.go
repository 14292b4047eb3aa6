package server

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
)

const rowSettings = common + listenAnywhere + `
[zones]
directory = "zones"
keys = "keys"
nameservers = ["ns1.dns.test.", "ns2.dns.test."]
[cache]
ttl_blur = false
[edge]
addresses = ["203.0.113.10", "2001:db8::10"]
alpn = ["h3", "h2"]
partial_suffix = "cdn.tacit.test."
`

// newRows is the world in which rows are played: what aliases lead to, and what delegations do.
func newRows(t *testing.T) *setting {
	t.Helper()
	x := newSetting(t)
	x.Zone("shop.example.", "www 120 A 198.51.100.80\nwww 60 AAAA 2001:db8:80::1\nbare 60 TXT here\nhome 60 CNAME open.home.test.")
	x.Zone("dead.example.", "www A 198.51.100.81")
	x.At("dead.example.").Behave(testnet.Failing(dns.RcodeRefused))
	x.Zone("sub.home.example.", "www 60 A 198.51.100.90")
	x.Sign(testnet.Signing{}, "example.")
	return x
}

func playRows(t *testing.T, rows []row) {
	t.Helper()
	for i := range rows {
		r := &rows[i]
		t.Run(r.name, func(t *testing.T) {
			x := newRows(t)
			at := x.server("sub.home.example.")
			if err := os.Mkdir(x.file("zones"), 0o700); err != nil {
				t.Fatal(err)
			}
			name := "home.test"
			for part := range strings.SplitSeq("\n"+strings.ReplaceAll(r.zone, "SERVER", at), "\n== ") {
				if part[0] != '\n' {
					name, part, _ = strings.Cut(part, "\n")
				}
				write(t, x.file("zones/"+name+".zone"), strings.TrimPrefix(part, "\n")+"\n")
			}
			s, log := x.start(t, strings.Replace(rowSettings, r.settings[0], r.settings[1], 1))
			udp, _ := s.Addrs()
			for question, want := range r.want {
				for range 3 { // found, from RRsets, and finished answers
					if got := askRow(t, udp[0].String(), question); got != want {
						t.Errorf("%s:\n got %s\nwant %s\n%s", question, got, want, log)
					}
				}
			}
		})
	}
}

func (x *setting) server(zone string) string { return x.At(zone).Addresses()[0].Addr().String() }

// askRow asks a question as "NAME TYPE" with flags -rd, +do, +co, +cd, NAME being relative to home.test unless it ends in a dot, and
// puts the answer into a line.
func askRow(t *testing.T, at, question string) string {
	t.Helper()
	words := strings.Fields(question)
	name := words[0]
	switch {
	case name == "@":
		name = "home.test."
	case !strings.HasSuffix(name, "."):
		name += ".home.test."
	}
	m := new(dns.Msg).SetQuestion(name, dns.StringToType[words[1]])
	m.RecursionDesired = !slices.Contains(words, "-rd")
	m.CheckingDisabled = slices.Contains(words, "+cd")
	m.SetEdns0(4096, slices.Contains(words, "+do")).IsEdns0().SetCo(slices.Contains(words, "+co"))
	if slices.Contains(words, "+subnet") {
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{192, 0, 2, 0}})
	}
	client := dns.Client{Timeout: 8 * time.Second, UDPSize: 4096}
	r, _, err := client.ExchangeContext(t.Context(), m, at)
	if err != nil {
		t.Fatal(err)
	}
	if !r.RecursionAvailable || r.RecursionDesired != m.RecursionDesired {
		t.Errorf("flags of %v", r)
	}
	return rowOf(r)
}

// rowOf is an answer in a line: RCODE, flags and options, then the records of each section as owner, TTL, type and RDATA; of a
// signature the type that it covers, of the SOA record of a denial its TTL.
func rowOf(r *dns.Msg) string {
	parts := []string{dns.RcodeToString[r.Rcode]}
	if r.Authoritative {
		parts[0] += " aa"
	}
	if r.AuthenticatedData {
		parts[0] += " ad"
	}
	for i, section := range [][]dns.RR{r.Answer, r.Ns, r.Extra} {
		var list []string
		for _, rr := range inOrder(section) {
			switch rr := rr.(type) {
			case *dns.OPT:
				parts[0] += optionsOf(rr)
			case *dns.RRSIG:
				list = append(list, "+"+dns.TypeToString[rr.TypeCovered])
			default:
				rr.Header().Ttl = (rr.Header().Ttl + 9) / 10 * 10 // seconds that have passed do not matter
				fields := strings.Fields(rr.String())
				fields[0] = relative(fields[0])
				if rr.Header().Rrtype == dns.TypeSOA && i == 1 {
					fields = fields[:4]
				}
				list = append(list, strings.Join(slices.Delete(fields, 2, 3), " "))
			}
		}
		parts = append(parts, strings.Join(list, ", "))
	}
	return strings.TrimRight(strings.Join(parts, "; "), "; ")
}

// inOrder sorts the addresses of an RRset, which come in another order each time.
func inOrder(section []dns.RR) []dns.RR {
	return slices.SortedStableFunc(slices.Values(section), func(a, b dns.RR) int {
		x, y := a.Header(), b.Header()
		if x.Name != y.Name || x.Rrtype != y.Rrtype || x.Rrtype != dns.TypeA && x.Rrtype != dns.TypeAAAA {
			return 0
		}
		return strings.Compare(a.String(), b.String())
	})
}

// optionsOf are the extended errors, but for the one that says that it is an old one, and whatever else should not be there.
func optionsOf(opt *dns.OPT) (text string) {
	for _, o := range opt.Option {
		switch e, ok := o.(*dns.EDNS0_EDE); {
		case !ok:
			text += fmt.Sprintf(" option %d", o.Option())
		case e.InfoCode != dns.ExtendedErrorCodeCachedError:
			text += fmt.Sprintf(" EDE %d", e.InfoCode)
		}
	}
	return text
}

func relative(name string) string {
	if name == "home.test." {
		return "@"
	}
	return strings.TrimSuffix(name, ".home.test.")
}
