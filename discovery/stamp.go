package discovery

import (
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
)

// A stamp is all that a client needs to reach a resolver over one protocol, as one text (draft-denis-dns-stamps-02).
type stamp struct {
	protocol   stampProtocol
	properties uint64
	address    string
	hashes     [][]byte // SHA-256 of the signed part of a certificate in the chain
	host       string
	path       string
}

// A stampProtocol is the first octet of a stamp.
type stampProtocol uint8

const (
	stampPlain stampProtocol = 0
	stampHTTPS stampProtocol = 2
	stampTLS   stampProtocol = 3
	stampQUIC  stampProtocol = 4
)

// Properties that a resolver claims.
const (
	propertyDNSSEC   = 1 << 0
	propertyNoLog    = 1 << 1
	propertyNoFilter = 1 << 2
)

func (s *stamp) String() string {
	b := []byte{byte(s.protocol)}
	for shift := 0; shift < 64; shift += 8 {
		b = append(b, byte(s.properties>>shift))
	}
	b = counted(b, s.address)
	if s.protocol != stampPlain {
		b = counted(s.appendHashes(b), s.host)
	}
	if s.protocol == stampHTTPS {
		b = counted(b, s.path)
	}
	return "sdns://" + base64.RawURLEncoding.EncodeToString(b)
}

// appendHashes writes a set: the top bit of a length says that another element follows.
func (s *stamp) appendHashes(b []byte) []byte {
	if len(s.hashes) == 0 {
		return append(b, 0)
	}
	for i, h := range s.hashes {
		length := byte(len(h))
		if i < len(s.hashes)-1 {
			length |= 0x80
		}
		b = append(append(b, length), h...)
	}
	return b
}

const maxCounted = 255

func counted(b []byte, text string) []byte { return append(append(b, byte(len(text))), text...) }

// A Stamp is a stamp, and the transport that it is of.
type Stamp struct{ Transport, Text string }

// Stamps are one for each endpoint. tacit keeps no log, whatever its configuration says.
func (s *Service) Stamps() []Stamp {
	var all []Stamp
	for _, t := range []struct {
		name      string
		protocol  stampProtocol
		port      uint16
		endpoints []netip.AddrPort
	}{
		{"DNS", stampPlain, portDNS, s.UDP},
		{"DNS over TLS", stampTLS, portTLS, s.TLS},
		{"DNS over HTTPS", stampHTTPS, portHTTPS, s.HTTPS},
		{"DNS over QUIC", stampQUIC, portTLS, s.QUIC},
	} {
		for _, e := range offered(t.endpoints) {
			one := stamp{
				protocol: t.protocol, properties: s.properties(), address: hostPort(bracket(e.Addr()), e.Port(), t.port),
				host: hostPort(s.authority(e.Addr()), e.Port(), t.port), path: s.path(),
			}
			if len(one.host) <= maxCounted { // a name that is as long as names can be leaves no room for a port
				all = append(all, Stamp{t.name, one.String()})
			}
		}
	}
	return all
}

func (s *Service) properties() uint64 {
	p := uint64(propertyNoLog | propertyNoFilter)
	if s.Info.Validates {
		p |= propertyDNSSEC
	}
	return p
}

// authority is what a client checks the certificate for: the name, or else the address.
func (s *Service) authority(a netip.Addr) string {
	if host := s.host(); host != "" {
		return host
	}
	return bracket(a)
}

// bracket writes an IPv6 address as in a URL (RFC 3986 section 3.2.2).
func bracket(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// hostPort leaves the usual port out.
func hostPort(host string, port, usual uint16) string {
	if port == usual {
		return host
	}
	return strings.Join([]string{host, strconv.Itoa(int(port))}, ":")
}
