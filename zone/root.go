package zone

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// A Root keeps a copy of the root zone (RFC 8806). It begins to fetch one when it is made: what that shows is that a
// resolver has started, while each question asked without a copy shows a top-level domain. Nobody ever waits for it.
type Root struct {
	options RootOptions
	current atomic.Pointer[kept]
	next    int // the server that is asked first
	stop    context.CancelFunc
	done    chan struct{}

	mu    sync.Mutex
	stats RootStats
}

// RootOptions say where a Root gets its copy from. All but Now, Log and Panicked are needed.
type RootOptions struct {
	// Network carries the transfers.
	Network Dialer
	// Servers are asked in turn, from one drawn at random; those that do not allow transfers are passed over.
	Servers []netip.AddrPort
	// Verify finds out whether the RRsets of a copy, ordered by name and type, are the root zone, and when the first
	// signature among them ends. It is told nothing else, and what it refuses is never used.
	Verify func(ctx context.Context, now time.Time, sets []wire.RRset) (until time.Time, err error)
	// Now tells the time by which copies end. Nil: time.Now.
	Now func() time.Time
	// Log hears of the first copy, and of the lack of one. Nil: nothing is logged.
	Log *slog.Logger
	// Panicked is told of each visit to a server that has panicked, while its stack is still there. Nil: nobody is.
	Panicked func()
}

// A Dialer connects to an address; upstream's networks are ones.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// RootStats are counts, and the state of the copy.
type RootStats struct {
	Copied     bool // there is a copy that can be used
	Serial     uint32
	Records    int
	Bytes      int
	Checked    time.Time // when a server last confirmed the copy, or gave it
	Until      time.Time // when the copy ends, unless it is confirmed or replaced
	Transfers  uint64    // copies taken into use
	Unchanged  uint64    // confirmations that the copy is the latest
	Refused    uint64    // by servers that allow no transfer
	Rejected   uint64    // zones that were transferred and not believed
	Failed     uint64    // visits to servers that brought nothing for other reasons
	LastReason error     // why the last visit to a server that brought nothing did not
}

// Kept is a copy in use. It ends when its first signature does, and when no server has confirmed it for the time that its
// SOA record gives (RFC 1035 section 3.3.13: EXPIRE).
type kept struct {
	copy  *Copy
	until time.Time
}

// Times of a Root.
const (
	// margin is how long before its first signature ends that a copy is not used any more: answers out of it are
	// cached, and clocks differ.
	margin       = time.Hour
	dialTime     = 5 * time.Second
	transferTime = 60 * time.Second
	minRefresh   = 5 * time.Minute // whatever the SOA record says
	maxRefresh   = 24 * time.Hour
	minRetry     = time.Minute
	maxRetry     = time.Hour
	// maxRejected bounds the zones that are transferred in one round and not believed.
	maxRejected = 3
)

const (
	errRejected transferError = "transferred zone is not believed"
	errEnding   transferError = "transferred zone has signatures that end soon"
	errOlder    transferError = "server has an older zone than the copy"
	errNobody   transferError = "no server to copy the root zone from"
	errPanicked transferError = "panic at what a server has sent"
)

// NewRoot returns a Root that begins to fetch. Close it when it is no longer needed.
func NewRoot(o RootOptions) *Root {
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default; the server gives its own clock
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Panicked == nil {
		o.Panicked = func() {}
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Root{options: o, stop: stop, done: make(chan struct{})}
	if len(o.Servers) > 0 {
		first, err := rand.Int(rand.Reader, big.NewInt(int64(len(o.Servers))))
		if err == nil {
			r.next = int(first.Int64())
		}
	}
	go r.run(ctx)
	return r
}

// Close ends all transfers and waits for it. The last copy stays usable.
func (r *Root) Close() {
	r.stop()
	<-r.done
}

// Current returns the copy, nil when there is none that can be used now. It costs a few nanoseconds.
func (r *Root) Current(now time.Time) *Copy {
	k := r.current.Load()
	if k == nil || !now.Before(k.until) {
		return nil
	}
	return k.copy
}

// Answer is what the copy answers, nil when there is none that can be used now.
func (r *Root) Answer(now time.Time, name wire.Name, t wire.Type) *dns.Msg {
	c := r.Current(now)
	if c == nil {
		return nil
	}
	return c.Answer(name, t)
}

// Stats returns counts and the state of the copy.
func (r *Root) Stats() RootStats {
	r.mu.Lock()
	s := r.stats
	r.mu.Unlock()
	if k := r.current.Load(); k != nil {
		s.Copied, s.Until = r.options.Now().Before(k.until), k.until
		s.Serial, s.Records, s.Bytes = k.copy.Serial(), k.copy.records, k.copy.Size()
	}
	return s
}

// run makes rounds until it is stopped, at the times that the SOA record of the copy gives or, while they fail, further
// and further apart.
func (r *Root) run(ctx context.Context) {
	defer close(r.done)
	failures := 0
	for {
		err := r.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failures = 0
		} else {
			failures++
			r.afterFailure(failures, err)
		}
		pause := time.NewTimer(r.pause(failures))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// afterFailure gives up a copy that has ended, and says so.
func (r *Root) afterFailure(failures int, err error) {
	k := r.current.Load()
	switch {
	case k == nil && failures == 1:
		r.options.Log.Warn("no copy of the root zone: the root servers are asked instead", "reason", err)
	case k != nil && !r.options.Now().Before(k.until):
		r.current.Store(nil)
		r.options.Log.Warn("the copy of the root zone has ended: the root servers are asked instead", "reason", err)
	}
}

// pause returns the time to the next round, after so many failures in a row.
func (r *Root) pause(failures int) time.Duration {
	k := r.current.Load()
	if failures == 0 && k != nil {
		return min(max(k.copy.timers.refresh, minRefresh), maxRefresh)
	}
	pause := minRetry
	if k != nil {
		pause = max(pause, k.copy.timers.retry)
	}
	for ; failures > 1 && pause < maxRetry; failures-- {
		pause *= 2
	}
	return min(pause, maxRetry)
}

// round visits servers until one gives or confirms the copy. The error is the last one's.
func (r *Root) round(ctx context.Context) error {
	var err error = errNobody
	rejected := 0
	for i := range r.options.Servers {
		at := (r.next + i) % len(r.options.Servers)
		if err = r.visit(ctx, r.options.Servers[at]); err == nil {
			r.next = at
			return nil
		}
		if ctx.Err() != nil {
			break
		}
		r.count(err)
		if errors.Is(err, errRejected) {
			if rejected++; rejected == maxRejected {
				break
			}
		}
	}
	return err
}

func (r *Root) count(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.LastReason = err
	switch {
	case errors.Is(err, errRefused):
		r.stats.Refused++
	case errors.Is(err, errRejected):
		r.stats.Rejected++
	default:
		r.stats.Failed++
	}
}

// visit asks one server whether there is something newer than the copy, and fetches it.
func (r *Root) visit(ctx context.Context, server netip.AddrPort) (err error) {
	defer func() {
		if recover() != nil {
			r.options.Panicked()
			err = errPanicked
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, transferTime)
	defer cancel()
	dialing, dialed := context.WithTimeout(ctx, dialTime)
	conn, err := r.options.Network.DialContext(dialing, "tcp", server.String())
	dialed()
	if err != nil {
		return errNetwork // the error itself names the address
	}
	s := newSession(conn, maxTransfer)
	defer s.close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // whoever reads sees it
	have := r.Current(r.options.Now())
	if have != nil {
		serial, err := s.serial()
		switch {
		case err != nil:
			return err
		case serial == have.Serial():
			r.keep(have)
			return nil
		case !isNewer(serial, have.Serial()):
			return errOlder
		}
	}
	fetched, err := s.transfer()
	if err != nil {
		return err
	}
	return r.judge(ctx, have, fetched)
}

// isNewer compares serials (RFC 1982 section 3.2).
func isNewer(a, b uint32) bool { return int32(a-b) > 0 }

// judge takes a transferred zone into use if it can be believed.
func (r *Root) judge(ctx context.Context, have, fetched *Copy) error {
	now := r.options.Now()
	if have != nil && !isNewer(fetched.Serial(), have.Serial()) {
		return errOlder
	}
	until, err := r.options.Verify(ctx, now, fetched.sets)
	if err != nil {
		return fmt.Errorf("%w: %w", errRejected, err)
	}
	if fetched.until = until.Add(-margin); !now.Before(fetched.until) {
		return fmt.Errorf("%w: %w", errRejected, errEnding)
	}
	r.keep(fetched)
	return nil
}

// keep takes a copy into use, or goes on using it. A server's word that it is the latest is not signed, but it moves no
// signature's end.
func (r *Root) keep(c *Copy) {
	now := r.options.Now()
	until := now.Add(c.timers.expire)
	if c.until.Before(until) {
		until = c.until
	}
	before := r.current.Swap(&kept{c, until})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Checked = now
	if before != nil && before.copy == c {
		r.stats.Unchanged++
		return
	}
	r.stats.Transfers++
	if before == nil {
		r.options.Log.Info("a copy of the root zone is in use", "serial", c.Serial())
	}
}
