package testnet

import (
	"bytes"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// signedData is what a signature covers (RFC 4034 section 3.1.8.1): the RRSIG RDATA without the signature, then the
// RRset in canonical form and order. Labels, TTL and the rest are taken from the RRSIG record, right or wrong.
func signedData(sig *dns.RRSIG, set []dns.RR) []byte {
	head := *sig
	head.Signature = ""
	head.SignerName = dns.CanonicalName(head.SignerName)
	data := rdata(&head)
	owner := signedOwner(dns.CanonicalName(set[0].Header().Name), int(sig.Labels))
	var records [][]byte
	for _, rr := range set {
		rr = lower(rr)
		h := rr.Header()
		h.Name, h.Ttl = owner, sig.OrigTtl
		records = append(records, pack(rr))
	}
	// All have the same owner, and headers that differ in RDLENGTH only, which the order does not look at.
	skip := len(records[0]) - len(rdata(set[0]))
	slices.SortFunc(records, func(a, b []byte) int { return bytes.Compare(a[skip:], b[skip:]) })
	return append(data, bytes.Join(slices.CompactFunc(records, bytes.Equal), nil)...)
}

// signedOwner is RFC 4034 section 3.1.8.1: with fewer labels in the RRSIG than in the owner, it is a wildcard.
func signedOwner(owner string, labels int) string {
	split := dns.SplitDomainName(owner)
	if len(split) <= labels {
		return owner
	}
	return "*." + dns.Fqdn(strings.Join(split[len(split)-labels:], "."))
}

// lower copies a record with the names in its RDATA in lower case, as far as RFC 4034 section 6.2 lists its type and
// RFC 6840 section 5.1 did not take it back.
func lower(rr dns.RR) dns.RR {
	rr = dns.Copy(rr)
	for _, name := range namesIn(rr) {
		*name = dns.CanonicalName(*name)
	}
	return rr
}

func namesIn(rr dns.RR) []*string {
	switch x := rr.(type) {
	case *dns.NS:
		return []*string{&x.Ns}
	case *dns.CNAME:
		return []*string{&x.Target}
	case *dns.SOA:
		return []*string{&x.Ns, &x.Mbox}
	case *dns.PTR:
		return []*string{&x.Ptr}
	case *dns.MX:
		return []*string{&x.Mx}
	case *dns.MINFO:
		return []*string{&x.Rmail, &x.Email}
	case *dns.RP:
		return []*string{&x.Mbox, &x.Txt}
	case *dns.AFSDB:
		return []*string{&x.Hostname}
	case *dns.RT:
		return []*string{&x.Host}
	case *dns.PX:
		return []*string{&x.Map822, &x.Mapx400}
	case *dns.NAPTR:
		return []*string{&x.Replacement}
	case *dns.KX:
		return []*string{&x.Exchanger}
	case *dns.SRV:
		return []*string{&x.Target}
	case *dns.DNAME:
		return []*string{&x.Target}
	}
	return nil
}

// pack is a record on the wire, without compression.
func pack(rr dns.RR) []byte {
	b := make([]byte, dns.Len(rr)+dns.MinMsgSize)
	n, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		panic(err) // came from master-file text, or was made here
	}
	return b[:n]
}

func rdata(rr dns.RR) []byte {
	const fixed = 10 // type, class, TTL, RDLENGTH
	return pack(rr)[len(packName(rr.Header().Name))+fixed:]
}

func packName(name string) []byte {
	b := make([]byte, 256)
	n, err := dns.PackDomainName(name, b, 0, nil, false)
	if err != nil {
		panic(err)
	}
	return b[:n]
}

// canonicalLabels is a name's labels from the root down, unescaped and in lower case: compared one by one, as
// sequences of octets, they are in canonical order (RFC 4034 section 6.1).
func canonicalLabels(name string) []string {
	wire := packName(dns.CanonicalName(name))
	var labels []string
	for wire[0] != 0 {
		labels = append(labels, string(wire[1:1+wire[0]]))
		wire = wire[1+wire[0]:]
	}
	slices.Reverse(labels)
	return labels
}
