package zone

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A Keeper speaks with those who transfer zones and change them: it gives zones away, whole and by what has changed (RFC 5936,
// RFC 1995), says when there is something new (RFC 1996), and lets zones be changed by message (RFC 2136). Who may do what is said by
// the key of a TSIG record (RFC 8945) alone, and without one nobody may do anything. It is safe for concurrent use.
type Keeper struct {
	options KeeperOptions
	keys    keyring
	journal *journal
	notices []*notices
	copies  map[wire.Name]*replica
	slots   chan struct{} // for transfers from primaries
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu       sync.Mutex
	known    map[wire.Name]*Zone
	catalogs catalogs
}

// KeeperOptions say who may do what. The zero value lets nobody do anything; Zones is needed.
type KeeperOptions struct {
	// Zones are kept in files, which updates change.
	Zones *Store
	// Keys are known by name. Those that are given rights are among them.
	Keys []*SharedKey
	// Secondaries may transfer zones, and are told of changes.
	Secondaries []Secondary
	// Grants say who may change zones.
	Grants []Grant
	// Replicas are those of the Zones that are had from others.
	Replicas []Replica
	// Refreshed is told what has become of them. Nil: nobody is.
	Refreshed func(Refresh)
	// Network carries notices. Nil: there are none.
	Network Dialer
	// Log hears of secondaries that cannot be told. Nil: nothing is logged.
	Log *slog.Logger
	// Panicked is told of each panic while a secondary was told something. Nil: nobody is.
	Panicked func()
}

// A Secondary is a server that has copies of zones, or several that share a key.
type Secondary struct {
	Key    wire.Name
	Zones  []wire.Name // at and below these names
	Notify []netip.AddrPort
	// Catalog is the name of a catalog of the zones that it may transfer (RFC 9432), as ParseCatalog gives it; no two have the same
	// one. The root: there is none.
	Catalog wire.Name
}

// A Request is a message that a Keeper hears.
type Request struct {
	Octets []byte // changed by who hears it
	Stream bool   // the reply may have many messages, of any size
	// From reports whether an address is the sender's. Nil: it is nobody's.
	From func(netip.Addr) bool
}

// NewKeeper makes a Keeper of what is served now, and of what before knows of it, which may be nil. Close it when it is no longer
// needed.
func NewKeeper(o *KeeperOptions, before *Keeper) *Keeper {
	k := &Keeper{
		options: *o, keys: keyring{}, journal: &journal{}, known: map[wire.Name]*Zone{}, copies: map[wire.Name]*replica{},
		slots: make(chan struct{}, maxRefreshes), stop: func() {},
	}
	if k.options.Log == nil {
		k.options.Log = slog.New(slog.DiscardHandler)
	}
	if k.options.Panicked == nil {
		k.options.Panicked = func() {}
	}
	for _, key := range o.Keys {
		k.keys[key.name] = key
	}
	if before != nil {
		before.mu.Lock()
		k.journal, k.known, k.catalogs = before.journal, before.known, before.catalogs
		before.mu.Unlock()
	}
	if k.options.Refreshed == nil {
		k.options.Refreshed = func(Refresh) {}
	}
	for i := range o.Replicas {
		r := &o.Replicas[i]
		k.copies[r.Origin] = newReplica(k, r)
	}
	for i := range o.Secondaries {
		for _, to := range o.Secondaries[i].Notify {
			k.notices = append(k.notices, newNotices(k, &o.Secondaries[i], to))
		}
	}
	return k
}

// Start begins to tell secondaries of changes, and of all zones once: what they have missed is not known. It begins to refresh the
// copies of zones, too. Both go on until ctx is done, or Close.
func (k *Keeper) Start(ctx context.Context) {
	k.Changed()
	for i := range k.options.Secondaries {
		if s := &k.options.Secondaries[i]; s.hasCatalog() {
			k.tellCatalog(s)
		}
	}
	for _, z := range k.zones().byOrigin {
		k.tell(z)
	}
	ctx, k.stop = context.WithCancel(ctx)
	for _, r := range k.copies {
		k.done.Go(func() { r.run(ctx) })
	}
	if k.options.Network == nil {
		return
	}
	for _, n := range k.notices {
		k.done.Go(func() { n.run(ctx) })
	}
}

// Close ends what is being told, and transferred.
func (k *Keeper) Close() {
	k.stop()
	k.done.Wait()
}

func (k *Keeper) zones() *Zones { return k.options.Zones.Zones() }

// Changed is called when the zones have: it remembers the differences, and has secondaries told.
func (k *Keeper) Changed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	zones := k.zones()
	k.renewCatalogs(zones) // before the zones: a secondary is told first that there is one more
	before := k.known
	k.known = make(map[wire.Name]*Zone, len(before))
	for _, z := range zones.byOrigin {
		if z.withheld {
			continue
		}
		k.known[z.origin] = z
		old := before[z.origin]
		if old == z {
			continue
		}
		if old != nil {
			k.journal.note(old, z)
		}
		k.tell(z)
	}
}

// tell has those who have copies of a zone told that there is another version.
func (k *Keeper) tell(z *Zone) {
	for _, n := range k.notices {
		if z.isGiven() && n.secondary.has(z.origin) {
			n.add(z.origin)
		}
	}
}

func (s *Secondary) has(zone wire.Name) bool { return lies(zone, s.Zones) }

// lies reports whether a name is one of a list, or lies below one.
func lies(name wire.Name, list []wire.Name) bool { return slices.ContainsFunc(list, name.Within) }

// Hear treats a message, and gives each message of the reply to send, until that fails.
func (k *Keeper) Hear(ctx context.Context, r Request, send func(reply []byte) error) {
	d := dialogue{keeper: k, request: new(dns.Msg), stream: r.Stream, from: r.From, send: send}
	if err := d.request.Unpack(r.Octets); err != nil {
		d.garbled(r.Octets)
		return
	}
	if hasStray(d.request) || len(d.request.Question) != 1 {
		d.refuse(dns.RcodeFormatError)
		return
	}
	d.signature, d.key = k.keys.verify(d.request, r.Octets)
	switch {
	case d.signature != nil && d.key == nil:
		d.refuse(dns.RcodeNotAuth) // RFC 8945 section 5.2
	case d.request.Question[0].Qclass != dns.ClassINET:
		d.refuse(dns.RcodeNotAuth)
	default:
		d.answer(ctx)
	}
}

// A dialogue is a message and its reply.
type dialogue struct {
	keeper    *Keeper
	request   *dns.Msg
	signature *signature
	key       *SharedKey // who has signed the request; nil: nobody that is known
	stream    bool
	from      func(netip.Addr) bool
	send      func(reply []byte) error
}

func (d *dialogue) answer(ctx context.Context) {
	q := d.request.Question[0]
	name, err := wire.ParseName(q.Name)
	switch {
	case err != nil:
		d.refuse(dns.RcodeFormatError)
	case d.request.Opcode == dns.OpcodeNotify:
		d.refuse(d.notified(name))
	case d.key == nil:
		d.refuse(dns.RcodeRefused)
	case d.request.Opcode == dns.OpcodeUpdate:
		d.update(ctx, name)
	case q.Qtype == dns.TypeAXFR, q.Qtype == dns.TypeIXFR:
		d.transfer(ctx, name)
	default:
		d.lookUp(name, wire.Type(q.Qtype))
	}
}

// reply begins a message of the reply.
func (d *dialogue) reply() *dns.Msg {
	m := new(dns.Msg).SetReply(d.request)
	m.Compress = true
	return m
}

// put sends a message of the reply.
func (d *dialogue) put(m *dns.Msg) error {
	size := minUDPSize
	if opt := d.request.IsEdns0(); opt != nil { // RFC 6891 section 6.1.1
		m.SetEdns0(ednsSize, false)
		size = min(max(int(opt.UDPSize()), size), ednsSize)
	}
	if !d.stream && m.Len()+d.signature.length() > size {
		m.Answer, m.Ns, m.Truncated = nil, nil, true
	}
	packed, err := d.signature.sign(m)
	if err != nil {
		return err
	}
	return d.send(packed)
}

// Sizes of messages over UDP.
const (
	minUDPSize = 512
	ednsSize   = 1232
)

// refuse says no, or whatever the RCODE means.
func (d *dialogue) refuse(rcode int) {
	m := d.reply()
	m.Rcode = rcode
	_ = d.put(m) // whoever does not hear it asks again
}

// garbled answers what cannot be read, as far as there is a header.
func (d *dialogue) garbled(octets []byte) {
	if len(octets) < wire.HeaderLength {
		return
	}
	header := make([]byte, wire.HeaderLength)
	copy(header, octets[:3])
	header[2] = header[2]&(maskOp>>8) | flagQR>>8
	header[3] = dns.RcodeFormatError
	_ = d.send(header)
}

// lookUp answers a question that is signed, as those who keep copies and those who change zones ask it before: for the SOA record of
// a zone, or of the zone that a name lies in.
func (d *dialogue) lookUp(name wire.Name, kind wire.Type) {
	f, own := d.keeper.zones().Find(name, kind)
	if c := d.keeper.catalog(name, d.key.name); c != nil {
		f, own = c.Find(name, kind), c
	}
	if own == nil {
		d.refuse(dns.RcodeRefused)
		return
	}
	m := d.reply()
	m.Authoritative = true
	switch f.Outcome {
	case Answered, Alias:
	case NoName:
		m.Rcode = dns.RcodeNameError
	case NoData, Flattened:
	case Delegated:
		m.Authoritative = false
		m.Ns = appendSet(m.Ns, &f.Cut.NS)
	case TooLong:
		m.Rcode = dns.RcodeYXDomain
	case Withheld, Expired:
		m.Rcode = dns.RcodeServerFailure
	}
	for i := range f.Sets {
		m.Answer = appendSet(m.Answer, &f.Sets[i])
	}
	if f.SOA != nil {
		m.Ns = appendSet(m.Ns, f.SOA)
	}
	_ = d.put(m) // whoever does not hear it asks again
}
