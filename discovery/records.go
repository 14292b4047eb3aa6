package discovery

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"tacit/internal/wire"
)

// An Answer is a record set that the resolver gives about itself, and what goes with it into the additional section.
type Answer struct {
	Set        wire.RRset
	Additional []wire.RRset
}

var (
	designated = wire.MustName("_dns.resolver.arpa.") // RFC 9462 section 4
	reserved   = wire.MustName("resolver.arpa.")
)

// recordTTL is short enough for a listener to move within a day, and long enough that nobody asks at every turn.
const recordTTL = 3600

// Answers are all that the resolver says of itself. Where the certificate would not convince the client that asks, nothing
// is said (RFC 9462 section 4.2): a client that knows only an address wants to see that address in it, one that knows the
// name wants the name.
func (s *Service) Answers() []Answer {
	answers := []Answer{{Set: s.info(reserved)}}
	if s.Name.IsRoot() {
		return answers
	}
	answers = append(answers, Answer{Set: s.info(s.Name)})
	targets := s.targets()
	for _, set := range targets {
		answers = append(answers, Answer{Set: set})
	}
	for _, owner := range s.owners() {
		answers = append(answers, Answer{Set: s.designatedAt(owner), Additional: targets})
	}
	return answers
}

// owners are the names at which SVCB records stand.
func (s *Service) owners() []wire.Name {
	var owners []wire.Name
	if !s.provesName() || len(s.designations()) == 0 {
		return nil
	}
	if s.provesAddress() {
		owners = append(owners, designated)
	}
	if own, err := s.Name.Prepend("_dns"); err == nil { // RFC 9461 section 2; no room: a name of 250 octets has none
		owners = append(owners, own)
	}
	return owners
}

// designatedAt is the SVCB record set. Its TargetName is the name and never ".", which at resolver.arpa would be a name that
// belongs to nobody (RFC 9462 section 4).
func (s *Service) designatedAt(owner wire.Name) wire.RRset {
	set := wire.RRset{Name: owner, Type: wire.TypeSVCB, TTL: recordTTL}
	for i, d := range s.designations() {
		rdata := s.Name.Append(u16(nil, uint16(i+1)))
		set.Data = set.Data.Add(append(rdata, encode(sorted(d.params(), d.hints()))...))
	}
	return set
}

// targets are the addresses at the name.
func (s *Service) targets() []wire.RRset {
	var sets []wire.RRset
	all := addresses(offered(slices.Concat(s.QUIC, s.TLS, s.HTTPS, s.HTTP3)))
	if len(all) == 0 {
		all = addresses(offered(s.plain()))
	}
	for f, kind := range [...]wire.Type{ipv4: wire.TypeA, ipv6: wire.TypeAAAA} {
		set := wire.RRset{Name: s.Name, Type: kind, TTL: recordTTL}
		for _, a := range ofFamily(all, family(f)) {
			set.Data = set.Data.Add(a.AsSlice())
		}
		if len(set.Data) > 0 {
			sets = append(sets, set)
		}
	}
	return sets
}

// info is the RESINFO record set, of one record (RFC 9606 section 4).
func (s *Service) info(owner wire.Name) wire.RRset {
	set := wire.RRset{Name: owner, Type: wire.TypeRESINFO, TTL: recordTTL}
	var rdata []byte
	for _, text := range s.Info.texts() {
		rdata = append(append(rdata, byte(len(text))), text...)
	}
	set.Data = set.Data.Add(rdata)
	return set
}

// texts are the keys of RFC 9606 section 5, each a character-string.
func (i *Info) texts() []string {
	var list []string
	if i.Minimises {
		list = append(list, "qnamemin")
	}
	if len(i.Errors) > 0 {
		list = append(list, "exterr="+ranges(i.Errors))
	}
	if i.URL != "" {
		list = append(list, "infourl="+i.URL)
	}
	if len(list) == 0 {
		list = append(list, "") // TXT has one string at least (RFC 1035 section 3.3.14)
	}
	return list
}

// ranges writes codes as 0-3,5: ascending, neighbours as a range.
func ranges(codes []wire.EDE) string {
	codes = slices.Compact(slices.Sorted(slices.Values(codes)))
	var parts []string
	for start := 0; start < len(codes); {
		end := start
		for end+1 < len(codes) && codes[end+1] == codes[end]+1 {
			end++
		}
		part := strconv.Itoa(int(codes[start]))
		if end > start {
			part += "-" + strconv.Itoa(int(codes[end]))
		}
		parts, start = append(parts, part), end+1
	}
	return strings.Join(parts, ",")
}

// WriteRecords writes what Answers holds as lines of a zone file.
func (s *Service) WriteRecords(w io.Writer) error {
	var b strings.Builder
	for _, owner := range s.owners() {
		for i, d := range s.designations() {
			fmt.Fprintf(&b, "%s %d IN SVCB %d %s %s\n", owner.Reveal(), recordTTL, i+1, s.Name.Reveal(), present(sorted(d.params(), d.hints())))
		}
	}
	owners := []wire.Name{reserved}
	if !s.Name.IsRoot() {
		owners = append(owners, s.Name)
		for _, set := range s.targets() {
			writeAddresses(&b, set)
		}
	}
	for _, owner := range owners {
		fmt.Fprintf(&b, "%s %d IN RESINFO", owner.Reveal(), recordTTL)
		for _, text := range s.Info.texts() {
			b.WriteString(" " + quote(text))
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeAddresses(b *strings.Builder, set wire.RRset) {
	kind := "A"
	if set.Type == wire.TypeAAAA {
		kind = "AAAA"
	}
	for rdata := range set.Data.All() {
		a, _ := netip.AddrFromSlice(rdata) // made from one
		fmt.Fprintf(b, "%s %d IN %s %s\n", set.Name.Reveal(), recordTTL, kind, a)
	}
}

// quote writes a character-string (RFC 1035 section 5.1).
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
