package zone

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// An inquiry asks a primary about one zone, over one connection, and believes what is signed as the question was.
type inquiry struct {
	*session
	origin wire.Name
	key    *SharedKey // nil: nothing is signed

	id       uint16
	kind     uint16
	sequence *sequence
}

const (
	errNotAuth   transferError = "server does not answer for the zone"
	errUnhelpful transferError = "server refuses, or fails"
	errMuddled   transferError = "reply is malformed, or none to the question"
)

// ask sends a question; m has its type, and what else belongs to it.
func (q *inquiry) ask(m *dns.Msg) error {
	m.Id, m.RecursionDesired = dns.Id(), false
	q.id, q.kind, q.sequence = m.Id, m.Question[0].Qtype, nil
	var s *signature
	if q.key != nil {
		keys := keyring{q.key.name: q.key}
		s = &signature{keys: keys, name: q.key.name.Reveal(), algorithm: q.key.algorithm}
		q.sequence = &sequence{keys: keys}
	}
	packed, err := s.sign(m)
	if err != nil {
		return errUnwritten
	}
	if q.sequence != nil {
		q.sequence.mac = s.mac
	}
	return q.send(packed)
}

// hear reads the next message of the reply.
func (q *inquiry) hear() (*dns.Msg, error) {
	octets, err := q.receive()
	if err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	if len(octets) < wire.HeaderLength || m.Unpack(octets) != nil {
		return nil, errMuddled
	}
	records := binary.BigEndian.Uint16(octets[6:]) // the library takes fewer than there should be
	switch {
	case m.Id != q.id, !m.Response, m.Opcode != dns.OpcodeQuery, m.Truncated, int(records) != len(m.Answer), hasStray(m):
		return nil, errMuddled
	case len(m.Question) > 1, len(m.Question) == 1 && !q.isOwn(&m.Question[0]):
		return nil, errMuddled
	}
	if q.sequence != nil {
		err := q.sequence.link(m, octets)
		switch {
		case err == errUnsigned && m.Rcode != dns.RcodeSuccess: //nolint:errorlint // nothing wraps it
			return nil, errUnhelpful // perhaps: who says so is not known
		case err != nil:
			return nil, err
		}
	}
	switch m.Rcode {
	case dns.RcodeSuccess:
		return m, nil
	case dns.RcodeNotAuth:
		return nil, errNotAuth
	default:
		return nil, errUnhelpful
	}
}

func (q *inquiry) isOwn(is *dns.Question) bool {
	name, err := wire.ParseName(is.Name)
	return err == nil && name == q.origin && is.Qtype == q.kind && is.Qclass == dns.ClassINET
}

// serial asks for the serial of the version that the server has.
func (q *inquiry) serial() (uint32, error) {
	if err := q.ask(new(dns.Msg).SetQuestion(q.origin.Reveal(), dns.TypeSOA)); err != nil {
		return 0, err
	}
	m, err := q.hear()
	if err != nil {
		return 0, err
	}
	for _, rr := range m.Answer {
		name, err := wire.ParseName(rr.Header().Name)
		if soa, ok := rr.(*dns.SOA); ok && err == nil && name == q.origin && m.Authoritative {
			return soa.Serial, nil
		}
	}
	return 0, errNotAuth
}

// whole asks for the zone as a whole.
func (q *inquiry) whole() (*incoming, error) {
	return q.transfer(new(dns.Msg).SetAxfr(q.origin.Reveal()), newIncoming(q.origin))
}

// since asks for what has changed since a version; the server may give the zone as a whole.
func (q *inquiry) since(serial uint32) (*incoming, error) {
	in := newIncoming(q.origin)
	in.since, in.known = serial, true
	return q.transfer(new(dns.Msg).SetIxfr(q.origin.Reveal(), serial, ".", "."), in)
}

// transfer takes all messages of a transfer.
func (q *inquiry) transfer(m *dns.Msg, in *incoming) (*incoming, error) {
	if err := q.ask(m); err != nil {
		return nil, err
	}
	for {
		m, err := q.hear()
		if err != nil {
			return nil, err
		}
		for _, rr := range m.Answer {
			if err := in.take(rr); err != nil {
				return nil, err
			}
		}
		switch {
		case len(m.Answer) == 0:
			return nil, errMuddled
		case in.phase != over && in.isNews():
		case q.sequence != nil && !q.sequence.ended():
			return nil, errUnsigned
		default:
			return in, nil
		}
	}
}
