package zone

import (
	"context"
	"errors"
)

// visit asks one primary whether there is something newer than the copy, and takes it; news is whether there is.
func (r *replica) visit(ctx context.Context, p *Primary) (news bool, err error) {
	defer func() {
		if recover() != nil {
			r.keeper.options.Panicked()
			err = errPanicked
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, refreshTime)
	defer cancel()
	in, text, err := r.fetch(ctx, p, true)
	if errors.Is(err, errPiecemeal) { // the server may not know how, or may have forgotten
		in, text, err = r.fetch(ctx, p, false)
	}
	if err != nil || in == nil {
		return false, err
	}
	store := r.keeper.options.Zones
	if h := r.holds(); h.usable && !isLater(in.soa.Serial, h.serial()) {
		return false, errOlder
	}
	if err := adopt(ctx, r.at, store.options.Now(), &store.options.Options, text); err != nil {
		return false, err
	}
	store.Look()
	return true, nil
}

// errPiecemeal is why what has changed could not be had piece by piece.
var errPiecemeal = errors.New("no incremental transfer")

// fetch takes over one connection what a primary has; nil where that is what there is here already.
func (r *replica) fetch(ctx context.Context, p *Primary, piecemeal bool) (in *incoming, text []byte, err error) {
	dialing, dialed := context.WithTimeout(ctx, dialTime)
	conn, err := p.Network.DialContext(dialing, "tcp", p.Addr.String())
	dialed()
	if err != nil {
		return nil, nil, errConnection(err)
	}
	q := &inquiry{session: newSession(conn, maxIncoming), origin: r.Origin, key: r.Key}
	defer q.close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // whoever reads sees it
	serial, err := q.serial()
	if err != nil {
		return nil, nil, err
	}
	switch h := r.holds(); {
	case h.zone != nil && serial == h.serial():
		r.keeper.options.Zones.confirm(r.at)
		return nil, nil, nil
	case h.usable && !isLater(serial, h.serial()):
		return nil, nil, errOlder
	case h.zone != nil && isLater(serial, h.serial()) && piecemeal:
		return r.follow(q)
	}
	if in, err = q.whole(); err != nil {
		return nil, nil, err
	}
	return in, in.text, nil
}

// errConnection keeps of an error what the log may show: the error itself names the address.
func errConnection(err error) error {
	if constant, ok := errors.AsType[interface {
		error
		ConstantText()
	}](err); ok {
		return constant
	}
	return errNetwork
}

// follow takes what has changed since the copy was made.
func (r *replica) follow(q *inquiry) (*incoming, []byte, error) {
	store := r.keeper.options.Zones
	base, err := store.plain(r.at)
	if err != nil {
		return nil, nil, errPiecemeal
	}
	in, err := q.since(base.serial)
	switch {
	case errors.Is(err, errSigned): // which it would be as a whole, too
		return nil, nil, err
	case err != nil, in.phase != over:
		return nil, nil, errPiecemeal
	case in.text != nil:
		return in, in.text, nil
	}
	text, err := in.apply(base)
	if err != nil {
		return nil, nil, errPiecemeal
	}
	return in, text, nil
}
