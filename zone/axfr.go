package zone

import (
	"context"
	"slices"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// transfer gives a zone away: as a whole (RFC 5936), or what has changed in it since the version that the secondary has (RFC 1995).
func (d *dialogue) transfer(ctx context.Context, origin wire.Name) {
	k := d.keeper
	z, may := k.lookFor(origin, d.key.name)
	whole := d.request.Question[0].Qtype == dns.TypeAXFR
	has, known := d.serial()
	switch {
	case !may:
		d.refuse(dns.RcodeRefused)
	case z == nil:
		d.refuse(dns.RcodeNotAuth)
	case z.withheld:
		d.refuse(dns.RcodeServerFailure)
	case z.Signed(): // without its signatures, a copy of it would be bogus
		d.refuse(dns.RcodeRefused)
	case whole && !d.stream: // RFC 5936 section 4.2 leaves it open what that would mean
		d.refuse(dns.RcodeRefused)
	case whole:
		d.giveWhole(ctx, z)
	case !known:
		d.refuse(dns.RcodeFormatError)
	case !d.stream, !isLater(z.serial, has): // RFC 1995 section 2: one SOA record; over UDP that says to ask over TCP
		d.giveSOA(z)
	default:
		d.giveDifferences(ctx, z, has)
	}
}

// lookFor returns the zone or the catalog of a name, nil where there is none, and whether a key may have what is called so.
func (k *Keeper) lookFor(origin, key wire.Name) (z *Zone, may bool) {
	if c := k.catalog(origin, key); c != nil {
		return c, true
	}
	may = slices.ContainsFunc(k.options.Secondaries, func(s Secondary) bool { return s.Key == key && s.has(origin) })
	return k.zones().exactly(origin), may
}

// exactly returns the zone of a name, nil when there is none.
func (z *Zones) exactly(origin wire.Name) *Zone { return z.byOrigin[string(origin.Append(nil))] }

// serial returns the serial of the version that the secondary has (RFC 1995 section 3).
func (d *dialogue) serial() (serial uint32, known bool) {
	for _, rr := range d.request.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa.Serial, true
		}
	}
	return 0, false
}

func (d *dialogue) giveSOA(z *Zone) {
	p := parcel{dialogue: d}
	_ = p.add(z.soaSet())
	_ = p.ship() // whoever does not hear it asks again
}

// giveWhole gives all records, the SOA record first and last (RFC 5936 section 2.2).
func (d *dialogue) giveWhole(ctx context.Context, z *Zone) {
	p := parcel{dialogue: d, ctx: ctx}
	soa := z.soaSet()
	if p.add(soa) != nil {
		return
	}
	for set := range newOutgoing(z).all() {
		if p.add(set) != nil {
			return
		}
	}
	if p.add(soa) == nil {
		_ = p.ship()
	}
}

// giveDifferences gives what has changed, version by version (RFC 1995 section 4), or all where that is not known.
func (d *dialogue) giveDifferences(ctx context.Context, z *Zone, since uint32) {
	list := d.keeper.journal.since(z.origin, since, z.serial)
	if list == nil {
		d.giveWhole(ctx, z)
		return
	}
	p := parcel{dialogue: d, ctx: ctx}
	soa := z.soaSet()
	sets := []wire.RRset{soa}
	for _, one := range list {
		sets = slices.Concat(sets, []wire.RRset{one.before}, one.removed, []wire.RRset{one.after}, one.added)
	}
	for _, set := range append(sets, soa) {
		if p.add(set) != nil {
			return
		}
	}
	_ = p.ship()
}

// A parcel is a message of a transfer in the making.
type parcel struct {
	*dialogue
	ctx     context.Context //nolint:containedctx // it lives no longer than the call that has it
	message *dns.Msg
	size    int
	sent    bool
}

// parcelSize is how long messages get, before compression: long enough that there are few, and short enough that a secondary need not
// wait for the next. One record can be longer.
const parcelSize = 16 << 10

// add adds the records of a set, and sends what is full.
func (p *parcel) add(set wire.RRset) error {
	h := dns.RR_Header{Name: set.Name.Reveal(), Rrtype: uint16(set.Type), Class: dns.ClassINET, Ttl: set.TTL}
	const fixed = 10
	for rdata := range set.Data.All() {
		size := len(h.Name) + fixed + len(rdata)
		if p.message != nil && p.size+size > parcelSize {
			if err := p.ship(); err != nil {
				return err
			}
		}
		if p.message == nil {
			p.message = p.begin()
		}
		p.message.Answer = appendRecords(p.message.Answer, h, wire.Rdatas(nil).Add(rdata))
		p.size += size
	}
	return nil
}

// begin begins a message. Only the first repeats the question (RFC 5936 section 2.2.1).
func (p *parcel) begin() *dns.Msg {
	m := p.reply()
	m.Authoritative = true
	if p.sent {
		m.Question = nil
	}
	return m
}

// ship sends the message.
func (p *parcel) ship() error {
	if p.ctx != nil && p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	m := p.message
	p.message, p.size, p.sent = nil, 0, true
	return p.put(m)
}
