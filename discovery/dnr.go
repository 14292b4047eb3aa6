package discovery

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Codes of the options that carry DNR (RFC 9463 sections 4.1, 5.1 and 6.1).
const (
	OptionDHCPv4              = 162
	OptionDHCPv6              = 144
	OptionRouterAdvertisement = 144
)

// Why there is nothing to announce.
var (
	errNoName      = errors.New("clients tell the resolver by its name: set listen.name")
	errNoEncrypted = errors.New("no listener for an encrypted transport: set listen.tls, listen.https or listen.quic")
	errNoDistant   = errors.New("the encrypted transports are on loopback addresses only, where no other machine gets to")
	errTooLong     = errors.New("what there is to announce does not fit into an option of 255 octets")
)

// An instance is a designation as DNR carries it, for one family.
type instance struct {
	priority  uint16
	name      []byte // authentication domain name in wire form (RFC 9463 section 3.1.4 has no compression)
	addresses []byte
	params    []byte
}

// announced are the designations that other machines can use. The addresses stand in the option itself, so hints are not
// allowed beside them (RFC 9463 section 3.1.5).
func (s *Service) announced() ([]designation, error) {
	if s.Name.IsRoot() {
		return nil, errNoName
	}
	far := Service{
		Name: s.Name, Path: s.Path,
		TLS: distant(s.TLS), HTTPS: distant(s.HTTPS), HTTP3: distant(s.HTTP3), QUIC: distant(s.QUIC),
	}
	list := merged(far.designations())
	switch {
	case len(list) > 0:
		return list, nil
	case len(s.designations()) > 0:
		return nil, errNoDistant
	default:
		return nil, errNoEncrypted
	}
}

// instances are those that have an address of the family: a client of the other one could do nothing with them.
func (s *Service) instances(f family) ([]instance, error) {
	list, err := s.announced()
	var instances []instance
	for i, d := range list {
		if at := ofFamily(d.addresses, f); len(at) > 0 {
			instances = append(instances, instance{uint16(i + 1), s.Name.Append(nil), octets(at), encode(d.params())})
		}
	}
	return instances, err
}

// DHCPv4 is the data of option 162, which holds all instances (RFC 9463 section 5.1). It is nil when there is no IPv4
// address to announce.
func (s *Service) DHCPv4() ([]byte, error) {
	instances, err := s.instances(ipv4)
	var b []byte
	for _, i := range instances {
		if len(i.addresses) > 255 {
			return nil, errTooLong
		}
		data := append(u16(nil, i.priority), byte(len(i.name)))
		data = append(append(data, i.name...), byte(len(i.addresses)))
		data = append(append(data, i.addresses...), i.params...)
		b = append(u16(b, uint16(len(data))), data...)
	}
	if len(b) > 255 { // RFC 3396 would split it, and too few clients put it together again
		return nil, errTooLong
	}
	return b, err
}

// DHCPv6 is the data of options 144, one for each instance (RFC 9463 section 4.1).
func (s *Service) DHCPv6() ([][]byte, error) {
	instances, err := s.instances(ipv6)
	var all [][]byte
	for _, i := range instances {
		all = append(all, append(i.head(u16(nil, i.priority)), i.params...))
	}
	return all, err
}

// RouterAdvertisement is the options 144 whole, with type, length in units of 8 octets, and padding (RFC 9463 section 6.1).
func (s *Service) RouterAdvertisement(lifetime time.Duration) ([][]byte, error) {
	instances, err := s.instances(ipv6)
	var all [][]byte
	for _, i := range instances {
		b := u16([]byte{OptionRouterAdvertisement, 0}, i.priority)
		seconds := uint32(lifetime / time.Second)
		b = i.head(append(b, byte(seconds>>24), byte(seconds>>16), byte(seconds>>8), byte(seconds)))
		b = append(u16(b, uint16(len(i.params))), i.params...)
		b = append(b, make([]byte, (8-len(b)%8)%8)...)
		if len(b)/8 > 255 {
			return nil, errTooLong
		}
		b[1] = byte(len(b) / 8)
		all = append(all, b)
	}
	return all, err
}

// head appends name and addresses, each behind its length.
func (i *instance) head(b []byte) []byte {
	b = append(u16(b, uint16(len(i.name))), i.name...)
	return append(u16(b, uint16(len(i.addresses))), i.addresses...)
}

// odhcpd are the values of its option dnr: priority, name, addresses of both families, and SvcParams.
func (s *Service) odhcpd() ([]string, error) {
	list, err := s.announced()
	var lines []string
	for i, d := range list {
		lines = append(lines, fmt.Sprintf("%d %s %s %s", i+1, s.host(), join(d.addresses), present(d.params())))
	}
	return lines, err
}

// colons writes octets as dnsmasq reads them.
func colons(b []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% x", b), " ", ":")
}

// distantPlain are the addresses of the unencrypted resolver for other machines, on the one port that DHCP can tell of.
func (s *Service) distantPlain() []netip.Addr {
	return addresses(slices.DeleteFunc(distant(s.plain()), func(e netip.AddrPort) bool { return e.Port() != portDNS }))
}
