package zone

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A Replica is a zone that is had from others, its primaries, by transfer (RFC 5936, RFC 1995). What has come is kept as its zone
// file, and answered as it is there.
type Replica struct {
	Origin wire.Name
	// Primaries are asked in turn, from the one that answered last.
	Primaries []Primary
	// Key signs all that is said to the primaries, and all that they say. Nil: nothing is signed.
	Key *SharedKey
}

// A Primary is a server that has a zone to give.
type Primary struct {
	Addr netip.AddrPort
	// Network makes connections to it: in clear, or one that makes sure who is there and that nobody listens (RFC 9103).
	Network Dialer
}

// A Refresh is what has become of a copy.
type Refresh struct {
	Origin  wire.Name
	Serial  uint32 // of the version that is new
	Err     error  // why there is none: of several in a row, the first is told
	Expired bool   // and so the zone is not answered for
}

// Times of a replica.
const (
	maxRefreshes = 8 // at a time
	refreshTime  = 10 * time.Minute
	// quiet is how long nothing is asked, whoever says that there is something new: RFC 1996 section 4.3 leaves it open, and whoever
	// can send from a primary's address can say so for ever.
	quiet = 5 * time.Second
)

// A replica is a Replica that is being kept.
type replica struct {
	Replica
	at      File
	keeper  *Keeper
	wake    chan struct{} // somebody has said that there is something new
	last    int           // the primary that answered last
	failed  int           // rounds in a row
	expired bool          // and it has been said
}

func newReplica(k *Keeper, r *Replica) *replica {
	of := &replica{Replica: *r, keeper: k, wake: make(chan struct{}, 1)}
	if i := slices.IndexFunc(k.options.Zones.options.Files, func(f File) bool { return f.Origin == r.Origin }); i >= 0 {
		of.at = k.options.Zones.options.Files[i]
	}
	return of
}

// run keeps the copy until ctx is done, by the times of its SOA record (RFC 1034 section 4.3.5). It begins at once: what was said before
// may not have been heard.
func (r *replica) run(ctx context.Context) {
	for noticed := true; ctx.Err() == nil; noticed = r.rest(ctx, r.pause()) {
		r.refresh(ctx, noticed)
	}
}

// holds returns the copy as it is.
func (r *replica) holds() holding { return r.keeper.options.Zones.copyAt(r.at) }

// rest waits until it is time, or somebody says that there is something new, which is not heard at first.
func (r *replica) rest(ctx context.Context, pause time.Duration) (noticed bool) {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	timer.Reset(max(pause-quiet, 0))
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return false
	case <-r.wake:
		return true
	}
}

// pause returns the time to the next round. A copy that is to expire before is looked at when it does.
func (r *replica) pause() time.Duration {
	h := r.holds()
	switch {
	case h.zone == nil:
		return min(leastWait<<min(r.failed, 10), maxRetry)
	case r.failed == 0:
		return h.zone.timers().refresh
	}
	left := h.until.Sub(r.keeper.options.Zones.options.Now())
	if pause := h.zone.timers().retry; left <= 0 || pause < left {
		return pause
	}
	return left
}

// refresh makes a round, when it is its turn, and says what has become of it.
func (r *replica) refresh(ctx context.Context, noticed bool) {
	select {
	case <-ctx.Done():
		return
	case r.keeper.slots <- struct{}{}:
	}
	defer func() { <-r.keeper.slots }()
	before := r.holds()
	err := r.round(ctx, noticed)
	after := r.holds()
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.failed++
		expired := before.zone != nil && !after.usable
		if r.failed == 1 || expired && !r.expired {
			r.keeper.options.Refreshed(Refresh{Origin: r.Origin, Err: err, Expired: expired})
		}
		r.expired = expired
	default:
		if news := after.zone != nil && (before.zone == nil || after.serial() != before.serial()); news || r.failed > 0 {
			r.keeper.options.Refreshed(Refresh{Origin: r.Origin, Serial: after.serial()})
		}
		r.failed, r.expired = 0, false
	}
	if before.usable != after.usable { // and files are looked at only now and then
		r.keeper.options.Zones.Look()
	}
}

const errPrimaries transferError = "zone has no primary to ask"

// round visits primaries until one gives the zone, or says that the copy is the latest. After a notice, the others may know more than
// who says so. The error is the last one's.
func (r *replica) round(ctx context.Context, noticed bool) error {
	var err error = errPrimaries
	confirmed := false
	for i := range r.Primaries {
		at := (r.last + i) % len(r.Primaries)
		var news bool
		if news, err = r.visit(ctx, &r.Primaries[at]); ctx.Err() != nil {
			return err
		}
		if err == nil {
			confirmed = true
			if news || !noticed {
				r.last = at
				return nil
			}
		}
	}
	if confirmed {
		return nil
	}
	return err
}

// notified hears that there is something new (RFC 1996 section 3), and returns the RCODE: that is for a primary to say, as its
// signature shows, or its address where nothing is signed.
func (d *dialogue) notified(zone wire.Name) int {
	r := d.keeper.copies[zone]
	switch {
	case r == nil && d.key == nil:
		return dns.RcodeRefused
	case r == nil:
		return dns.RcodeNotAuth
	case d.request.Question[0].Qtype != dns.TypeSOA:
		return dns.RcodeFormatError
	case r.Key != nil && (d.key == nil || d.key.name != r.Key.name), r.Key == nil && !r.isFrom(d.from):
		return dns.RcodeRefused
	}
	h := r.holds()
	for _, rr := range d.request.Answer { // section 3.11: a hint
		if soa, ok := rr.(*dns.SOA); ok && h.usable && !isLater(soa.Serial, h.serial()) {
			return dns.RcodeSuccess
		}
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return dns.RcodeSuccess
}

func (r *replica) isFrom(from func(netip.Addr) bool) bool {
	return from != nil && slices.ContainsFunc(r.Primaries, func(p Primary) bool { return from(p.Addr.Addr()) })
}
