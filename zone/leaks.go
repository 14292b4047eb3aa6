package zone

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// Leaks finds the records of zones that tell what their proxied records hide. Of the records of other zones, only PTR records are
// looked at. Files are taken as they were read. The texts hold no address and no name; details do. All are warnings.
func Leaks(files ...*MasterFile) Problems {
	secrets := make([]*secrets, len(files))
	for i, m := range files {
		secrets[i] = m.secrets()
	}
	var problems Problems
	for i, m := range files {
		l := leaks{secrets: secrets[i], file: m, all: secrets}
		for _, r := range m.Records() {
			l.look(&r)
		}
		problems = append(problems, l.problems...)
	}
	return problems
}

// A secrets is what the proxied records of a zone hide, each with the line of one of them.
type secrets struct {
	origin    wire.Name
	addresses map[netip.Addr]int
	targets   map[wire.Name]int // of CNAME records
	proxied   map[wire.Name]bool
	cuts      map[wire.Name]bool
	at        map[wire.Name][]netip.Addr // what each name that is not proxied is answered with
	aliases   map[wire.Name]wire.Name    // of the zone, not proxied
}

func (m *MasterFile) secrets() *secrets {
	s := &secrets{
		origin: m.Origin(), addresses: map[netip.Addr]int{}, targets: map[wire.Name]int{}, proxied: map[wire.Name]bool{},
		cuts: map[wire.Name]bool{}, at: map[wire.Name][]netip.Addr{}, aliases: map[wire.Name]wire.Name{},
	}
	records := m.Records()
	for i := range records {
		r := &records[i]
		s.proxied[r.Name] = s.proxied[r.Name] || r.Proxied
		s.cuts[r.Name] = s.cuts[r.Name] || r.Type == wire.TypeNS && r.Name != s.origin
	}
	for i := range records { // one proxied record makes all of its name so
		s.learn(&records[i])
	}
	s.follow()
	return s
}

// learn takes up where a record leads, as a secret or not.
func (s *secrets) learn(r *Record) {
	address, target, ok := leadsTo(r.at.rr)
	switch {
	case !ok:
	case s.hides(r) && address.IsValid():
		s.addresses[address] = r.Line
	case s.hides(r):
		s.targets[target] = r.Line
	case address.IsValid():
		s.at[r.Name] = append(s.at[r.Name], address)
	default:
		s.aliases[r.Name] = target
	}
}

// hides reports whether a record is answered with the edge in its place.
func (s *secrets) hides(r *Record) bool {
	return s.proxied[r.Name] && proxiable(r.Type) && !s.isBelowCut(r.Name)
}

func (s *secrets) isBelowCut(name wire.Name) bool {
	for ; name != s.origin && name.Within(s.origin); name = name.Parent() {
		if s.cuts[name] {
			return true
		}
	}
	return false
}

// maxChain bounds how far aliases are followed.
const maxChain = 8

// follow makes secrets of the addresses in the zone to which proxied CNAME records lead.
func (s *secrets) follow() {
	for target, line := range s.targets {
		for range maxChain {
			for _, a := range s.at[target] {
				s.addresses[a] = line
			}
			next, ok := s.aliases[target]
			if !ok {
				break
			}
			target = next
		}
	}
}

// leadsTo returns the address or the target of a record that can be proxied.
func leadsTo(rr dns.RR) (address netip.Addr, target wire.Name, ok bool) {
	switch rr := rr.(type) {
	case *dns.A:
		address, ok = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		address, ok = netip.AddrFromSlice(rr.AAAA)
	case *dns.CNAME:
		name, err := wire.ParseName(rr.Target)
		return address, name, err == nil
	}
	return address.Unmap(), wire.Root, ok
}

// A leaks is a search through the records of one zone.
type leaks struct {
	*secrets
	file     *MasterFile
	all      []*secrets
	problems Problems
}

func (l *leaks) report(r *Record, hiding int, text, detail string) {
	if hiding != 0 {
		text = fmt.Sprintf(text, hiding)
	}
	if len(l.problems) < maxProblems {
		l.problems = append(l.problems, Problem{File: l.file.sheet.file, Line: r.Line, Text: text, Detail: NewContent(detail), Warning: true})
	}
}

// What a record tells.
const (
	leakBelowCut  = "is proxied, but belongs to a delegated zone: as glue, its address is given"
	leakAddress   = "gives the address that line %d hides"
	leakWildcard  = "is a wildcard, and gives the address that line %d hides"
	leakTarget    = "is what the proxied CNAME record on line %d leads to, and is not proxied"
	leakAlias     = "leads where line %d leads, and is not proxied"
	leakMail      = "names a mail host that has the address that line %d hides"
	leakHost      = "names a host that has the address that line %d hides"
	leakSPF       = "lists the address that line %d hides as one that sends mail"
	leakText      = "has the address that line %d hides in its text"
	leakHint      = "has the address that line %d hides as a hint"
	leakPTR       = "is the reverse record of an address that line %d of its zone hides"
	smallSPFBits4 = 16 // what is wider tells little
	smallSPFBits6 = 32
)

func (l *leaks) look(r *Record) {
	switch rr := r.at.rr.(type) {
	case *dns.A, *dns.AAAA, *dns.CNAME:
		l.lookAtLead(r)
	case *dns.MX:
		l.lookAtHost(r, rr.Mx, leakMail)
	case *dns.NS:
		l.lookAtHost(r, rr.Ns, leakHost)
	case *dns.SRV:
		l.lookAtHost(r, rr.Target, leakHost)
	case *dns.TXT:
		l.lookAtText(r, strings.Join(rr.Txt, ""))
	case *dns.SPF:
		l.lookAtText(r, strings.Join(rr.Txt, ""))
	case *dns.HTTPS:
		l.lookAtService(r, &rr.SVCB)
	case *dns.SVCB:
		l.lookAtService(r, rr)
	case *dns.PTR:
		l.lookAtReverse(r, rr.Ptr)
	}
}

// lookAtLead looks at a record that could be proxied itself.
func (l *leaks) lookAtLead(r *Record) {
	address, target, _ := leadsTo(r.at.rr)
	switch {
	case r.Proxied && l.isBelowCut(r.Name):
		l.report(r, 0, leakBelowCut, address.String())
	case l.hides(r):
	case l.targets[r.Name] != 0:
		l.report(r, l.targets[r.Name], leakTarget, r.Name.Reveal())
	case r.Type == wire.TypeCNAME:
		if line, known := l.targets[target]; known {
			l.report(r, line, leakAlias, target.Reveal())
			return
		}
		l.lookAtHost(r, target.Reveal(), leakHost)
	case l.addresses[address] != 0 && strings.HasPrefix(r.Name.Reveal(), "*."):
		l.report(r, l.addresses[address], leakWildcard, address.String())
	case l.addresses[address] != 0:
		l.report(r, l.addresses[address], leakAddress, address.String())
	}
}

// lookAtHost looks at a record that names a host of the zone.
func (l *leaks) lookAtHost(r *Record, text, leak string) {
	name, err := wire.ParseName(text)
	for range maxChain {
		if err != nil || l.proxied[name] && !l.isBelowCut(name) {
			return
		}
		for _, a := range l.at[name] {
			if line := l.addresses[a]; line != 0 {
				l.report(r, line, leak, a.String())
				return
			}
		}
		name = l.aliases[name]
	}
}

// lookAtText looks for addresses in text, above all those of SPF (RFC 7208 section 5.6).
func (l *leaks) lookAtText(r *Record, text string) {
	spf := strings.HasPrefix(strings.ToLower(text), "v=spf1")
	words := strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(" \t,;=\"'()[]<>", c) })
	for _, word := range words {
		word = strings.ToLower(strings.TrimLeft(word, "+?~-"))
		word = strings.TrimPrefix(strings.TrimPrefix(word, "ip4:"), "ip6:")
		prefix, err := netip.ParsePrefix(word)
		if a, is := netip.ParseAddr(word); is == nil {
			prefix, err = a.WithZone("").Unmap().Prefix(a.Unmap().BitLen())
		}
		if err != nil || prefix.Bits() < smallSPFBits4 || prefix.Addr().Is6() && prefix.Bits() < smallSPFBits6 {
			continue
		}
		if line := l.inside(prefix); line != 0 {
			leak := leakText
			if spf {
				leak = leakSPF
			}
			l.report(r, line, leak, word)
			return
		}
	}
}

// inside returns the line of a hidden address within a prefix.
func (l *leaks) inside(p netip.Prefix) (line int) {
	for a, at := range l.addresses {
		if p.Contains(a) && (line == 0 || at < line) {
			line = at
		}
	}
	return line
}

// lookAtService looks at the hints of a record, which stand in the answer for a proxied name, too (RFC 9460 section 7.3), and at its
// target.
func (l *leaks) lookAtService(r *Record, rr *dns.SVCB) {
	for _, value := range rr.Value {
		var hints []string
		switch v := value.(type) {
		case *dns.SVCBIPv4Hint:
			hints = strings.Split(v.String(), ",")
		case *dns.SVCBIPv6Hint:
			hints = strings.Split(v.String(), ",")
		}
		for _, text := range hints {
			a, err := netip.ParseAddr(text)
			if line := l.addresses[a.Unmap()]; err == nil && line != 0 {
				l.report(r, line, leakHint, text)
				return
			}
		}
	}
	l.lookAtHost(r, rr.Target, leakHost)
}

// lookAtReverse looks at a PTR record of any zone that leads from a hidden address to the zone that hides it.
func (l *leaks) lookAtReverse(r *Record, text string) {
	address, ok := reversed(r.Name)
	target, err := wire.ParseName(text)
	if !ok || err != nil {
		return
	}
	for _, s := range l.all {
		if line := s.addresses[address]; line != 0 && target.Within(s.origin) {
			l.report(r, line, leakPTR, address.String())
			return
		}
	}
}

// reversed returns the address of a name below in-addr.arpa (RFC 1035 section 3.5) or ip6.arpa (RFC 3596 section 2.5).
func reversed(name wire.Name) (netip.Addr, bool) {
	labels := strings.Split(strings.TrimSuffix(name.Reveal(), "."), ".")
	count := len(labels) - 2
	if count != 4 && count != 32 {
		return netip.Addr{}, false
	}
	for i, j := 0, count-1; i < j; i, j = i+1, j-1 {
		labels[i], labels[j] = labels[j], labels[i]
	}
	text := strings.Join(labels[:4], ".")
	if count == 32 {
		var groups []string
		for i := 0; i < count; i += 4 {
			groups = append(groups, strings.Join(labels[i:i+4], ""))
		}
		text = strings.Join(groups, ":")
	}
	a, err := netip.ParseAddr(text)
	suffix := strings.Join(labels[count:], ".")
	return a, err == nil && (suffix == "in-addr.arpa" && a.Is4() || suffix == "ip6.arpa" && a.Is6())
}
