package zone

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// Notices are the zones of which one server is to be told that they have changed (RFC 1996). A server that does not answer is asked
// again, less and less often, and then left to find out by itself, when its copy has to be refreshed.
type notices struct {
	keeper    *Keeper
	secondary *Secondary
	to        netip.AddrPort
	wake      chan struct{}

	mu      sync.Mutex
	waiting []wire.Name // once each: at most one for each zone
	is      map[wire.Name]bool
}

// Times of notices. RFC 1996 section 3.6 proposes 60 s and 5 attempts; a secondary that restarts is back sooner.
const (
	noticeTime     = 3 * time.Second
	firstPause     = 2 * time.Second
	maxPause       = time.Minute
	noticeAttempts = 6
)

const (
	errNoticeLost    transferError = "secondary does not answer"
	errNoticeRefused transferError = "secondary does not want to be told"
)

func newNotices(k *Keeper, s *Secondary, to netip.AddrPort) *notices {
	return &notices{keeper: k, secondary: s, to: to, wake: make(chan struct{}, 1), is: map[wire.Name]bool{}}
}

// add has the server told of a zone, and does not wait for it.
func (n *notices) add(zone wire.Name) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.is[zone] {
		n.is[zone] = true
		n.waiting = append(n.waiting, zone)
	}
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// next takes a zone off the list.
func (n *notices) next() (zone wire.Name, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == 0 {
		return wire.Root, false
	}
	zone = n.waiting[0]
	n.waiting = n.waiting[1:]
	delete(n.is, zone)
	return zone, true
}

// run tells the server until ctx is done.
func (n *notices) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		for zone, ok := n.next(); ok && ctx.Err() == nil; zone, ok = n.next() {
			if err := n.insist(ctx, zone); err != nil && ctx.Err() == nil && !n.isEarly(zone, err) {
				n.keeper.options.Log.Warn("a secondary could not be told of a change", "reason", err)
			}
		}
	}
}

// isEarly reports whether a notice came before what the catalog says: a zone that the server does not have yet, it will transfer as
// it is then (RFC 9432 section 6).
func (n *notices) isEarly(zone wire.Name, err error) bool {
	return err == errNoticeRefused && n.secondary.hasCatalog() && zone != n.secondary.Catalog //nolint:errorlint // nothing wraps it
}

// insist tells the server of a zone until it answers, or it is time to give up.
func (n *notices) insist(ctx context.Context, zone wire.Name) error {
	pause := firstPause
	for attempt := 1; ; attempt++ {
		err := n.tell(ctx, zone)
		if err == nil || err == errNoticeRefused || attempt == noticeAttempts { //nolint:errorlint // nothing wraps it
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		pause = min(2*pause, maxPause)
	}
}

// tell sends one notice, with the SOA record of the version that is served now (RFC 1996 section 3.7), and waits for the answer.
func (n *notices) tell(ctx context.Context, origin wire.Name) (err error) {
	defer func() {
		if recover() != nil {
			n.keeper.options.Panicked()
			err = errPanicked
		}
	}()
	z, _ := n.keeper.lookFor(origin, n.secondary.Key)
	if z == nil || z.withheld {
		return nil
	}
	m := new(dns.Msg).SetNotify(origin.Reveal())
	soa := z.soaSet()
	m.Answer = appendSet(nil, &soa)
	key := n.keeper.keys[n.secondary.Key]
	s := &signature{keys: n.keeper.keys, name: key.name.Reveal(), algorithm: key.algorithm}
	packed, err := s.sign(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, noticeTime)
	defer cancel()
	conn, err := n.keeper.options.Network.DialContext(ctx, "udp", n.to.String())
	if err != nil {
		return errNetwork // the error itself names the address
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // whoever reads sees it
	if _, err := conn.Write(packed); err != nil {
		return errNetwork
	}
	return n.hear(conn, m.Id, s)
}

// hear waits for the answer to a notice. What does not fit is not from the server.
func (n *notices) hear(conn net.Conn, id uint16, s *signature) error {
	buf := make([]byte, ednsSize)
	for {
		size, err := conn.Read(buf)
		if err != nil {
			return errNoticeLost
		}
		reply := new(dns.Msg)
		if size < wire.HeaderLength || binary.BigEndian.Uint16(buf) != id || reply.Unpack(buf[:size]) != nil || !reply.Response {
			continue
		}
		if reply.Rcode == dns.RcodeSuccess && dns.TsigVerifyWithProvider(buf[:size], s.keys, s.mac, false) == nil {
			return nil
		}
		if reply.Rcode != dns.RcodeSuccess { // it may be without a signature: the server does not know the key
			return errNoticeRefused
		}
	}
}
