package transports

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"tacit/internal/crowds"
	"tacit/internal/privacy"
	"tacit/internal/wire"
)

// A front is what all transports share: the way of a message from its octets to an answer, or to a job that waits.
type front struct {
	responder Responder
	admitter  Admitter
	keeper    Keeper // nil: nobody keeps zones
	limits    Limits
	now       func() time.Time
	log       *slog.Logger
	minTLS    uint16
	validates func() bool // nil: not known
	watch     *Watch      // nil: nothing can be watched
	failing   *crowds.Table
	popular   *crowds.Popularity

	quota       *Quota
	noCookies   bool
	sharedAfter int
	counters    [transportCount]Counters
	turns       atomic.Uint32 // of the addresses that zones served here have

	// ctx ends when Shutdown gives up waiting; resolutions are the jobs that run; stopping is closed when no more
	// messages are to be read.
	ctx         context.Context
	cancel      context.CancelFunc
	resolutions sync.WaitGroup
	stopping    chan struct{}
}

func newFront(o Options) *front {
	f := &front{
		limits: o.Limits.withDefaults(), quota: o.Quota, keeper: o.Keeper, now: o.Now, log: o.Log, noCookies: o.NoCookies, sharedAfter: o.SharedAfter,
		minTLS: o.MinTLS, validates: o.Validates, watch: o.Watch, failing: o.Failing, popular: o.Popular, stopping: make(chan struct{}),
	}
	if f.quota == nil {
		f.quota = &Quota{}
	}
	if f.now == nil {
		f.now = time.Now
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

func (f *front) isStopping() bool {
	select {
	case <-f.stopping:
		return true
	default:
		return false
	}
}

// A visit is what one reader needs to treat a message. It is reused from message to message.
type visit struct {
	query  wire.Query
	answer []byte // where answers are built
	reach  int    // how far into it one was written: what was truncated is longer than it looks
	now    time.Time
	cookie [cookieSize]byte // that the client is given
	baked  bool             // it had one
	proven bool             // ... and is where it says it is
}

// maxKept is the largest buffer that is kept for the next message.
const maxKept = 16 << 10

// end forgets the message: nothing of a client stays in a reader that waits for the next one.
func (v *visit) end() {
	v.query, v.cookie, v.baked, v.proven = wire.Query{}, [cookieSize]byte{}, false, false
	clear(v.answer[:min(v.reach, cap(v.answer))])
	if v.answer, v.reach = v.answer[:0], 0; cap(v.answer) > maxKept {
		v.answer = nil
	}
}

// An outcome is what has become of a message on the goroutine that read it.
type outcome uint8

const (
	dropped    outcome = iota
	answered           // the answer is ready
	turnedAway         // so it is, and nothing else is to be heard from this client
	missed             // it has to be resolved
	entrusted          // it is the Keeper's, over UDP, TCP and TLS
)

// receive treats a message that came alone.
func (f *front) receive(v *visit, msg []byte, addr netip.Addr, l link) (answer []byte, o outcome) {
	v.now = f.now()
	return f.treat(v, msg, addr, l)
}

// treat parses, admits and recalls at the time of the visit. The answer is good until the visit is used again.
func (f *front) treat(v *visit, msg []byte, addr netip.Addr, l link) (answer []byte, o outcome) {
	defer func() {
		if cause := recover(); cause != nil {
			f.panicked(l.transport)
			answer, o = f.fail(v.answer, &v.query, internalError, l), answered
			v.answer, v.reach = answer, cap(answer) // nobody knows how far it came
		}
	}()
	f.countQuery(l)
	answer, o = f.judge(v, msg, addr, l)
	if o == missed && f.isPrivate(&v.query, addr, v.now) {
		v.query.Anew = true
		return nil, missed
	}
	if o == missed {
		var a wire.Answer
		var ok bool
		if a, ok = f.responder.Recall(v.answer[:0], &v.query, v.now); !ok {
			return nil, missed
		}
		v.reach = max(v.reach, len(a.Packet))
		f.countRecalled(l)
		answer, o = f.finish(a.Packet, &v.query, &a, l), answered
	}
	if answer != nil {
		v.answer, v.reach = answer, max(v.reach, len(answer))
	}
	return answer, o
}

// judge treats a message as far as it goes without the Responder. Who is not served learns nothing else: admission
// comes before what is wrong with the query.
func (f *front) judge(v *visit, msg []byte, addr netip.Addr, l link) (answer []byte, o outcome) {
	q := &v.query
	verdict := q.Parse(msg)
	if verdict == wire.Drop || q.Keepalive && l.transport == QUIC { // RFC 9250 section 5.5.2
		return nil, f.drop(l.transport, NotAQuery)
	}
	f.takeCookie(v, addr, l)
	view, ok := f.admitter.Admit(addr.WithZone(""), v.now) // no prefix contains an address with a zone
	switch {
	case !ok && l.transport == UDP && !f.mayRefuse(addr, v.now):
		return nil, f.drop(UDP, RateLimited)
	case !ok:
		return f.reject(v.answer, q, wire.Refused, notServed, l), turnedAway
	case f.isKept(q, l):
		return nil, entrusted
	case verdict == wire.Reject:
		return f.reject(v.answer, q, q.Rcode, q.Reason, l), answered
	case q.Type == wire.TypeANY:
		return f.minimal(v.answer, q, l), answered
	case isWhoami(q):
		return f.aboutAsker(v, addr, l), answered
	}
	q.View = view
	f.watch.asked(q, addr, l)
	if f.popular.IsOn() {
		f.popular.Note(addr, v.now, q.FoldedName())
	}
	return nil, missed
}

// exchange treats a message to its end on the caller's goroutine: for transports that have one for each message. deliver
// gets the answer, which is good until it returns; it is not called when the outcome is dropped.
func (f *front) exchange(ctx context.Context, msg []byte, addr netip.Addr, l link, deliver func(answer []byte)) outcome {
	growStack() // as in job.run
	defer wipeStack()
	v := visits.Get().(*visit)
	defer visits.Put(v)
	defer v.end()
	answer, o := f.receive(v, msg, addr, l)
	if o == missed {
		j := f.newJob(v, msg, addr, l)
		if j == nil {
			answer, o = f.turnAway(v, l), answered
		} else {
			defer j.end()
			j.ctx = ctx
			answer, o = j.answer(), answered
		}
	}
	if o != dropped {
		deliver(answer)
	}
	return o
}

var visits = sync.Pool{New: func() any { return &visit{answer: make([]byte, 0, maxUDPQuery)} }}

func (f *front) drop(t Transport, cause Cause) outcome {
	f.counters[t].drops[cause].Add(1)
	return dropped
}

// A sender takes the answers of jobs back to their clients. It is called once for each job, with no answer too.
type sender interface {
	deliver(j *job, answer []byte)
}

// A job is a client that waits for a resolution: all that is still needed of its message, and the way back.
type job struct {
	front    *front
	query    wire.Query
	message  [wire.HeaderLength + wire.MaxNameLength + 4]byte // header and question: what query aliases
	cookie   [cookieSize]byte                                 // that the client is given
	question wire.Question
	network  crowds.Network // whose client it is, if the question fails
	link     link
	holder   holder
	arrived  time.Time
	buf      []byte // where the answer is built
	frame    []byte // and where it gets its length in front, over TCP

	to      sender
	ctx     context.Context // of the client
	wait    context.Context // ... and of its patience; nil: made for the job alone
	reply   datagram        // over UDP
	control [maxControl]byte
	stream  uint32       // over HTTP/2
	quic    *quic.Stream // over DoQ
}

var jobs = sync.Pool{New: func() any { return &job{} }}

// newJob takes a slot and makes a job of the visit's query; nil when there is no slot. It allocates no goroutine:
// the caller sets the way back and calls start.
func (f *front) newJob(v *visit, msg []byte, addr netip.Addr, l link) *job {
	h := holder{f.quota.clients.Of(addr, v.now), l.transport, addr.IsLoopback()}
	if v.proven { // as good as a handshake
		h.transport = TCP
	}
	if !f.quota.slots.take(h, f.limits.Waiting, f.waitingPerNetwork(h)) {
		return nil
	}
	j := jobs.Get().(*job)
	j.front, j.link, j.holder, j.arrived = f, l, h, v.now
	j.network = f.failing.Network(addr, v.now)
	j.takeQuery(&v.query, msg)
	if v.query.Cookie != nil {
		j.cookie = v.cookie
		j.query.Cookie = j.cookie[:]
	}
	return j
}

// turnAway answers a client for whom there is no slot.
func (f *front) turnAway(v *visit, l link) []byte {
	v.answer = f.fail(v.answer, &v.query, tooManyWait, l)
	v.reach = max(v.reach, len(v.answer))
	return v.answer
}

func (f *front) waitingPerNetwork(h holder) int {
	switch {
	case h.local:
		return f.limits.Waiting
	case h.transport == UDP:
		return f.limits.WaitingPerNetwork
	default:
		return f.limits.WaitingPerNetworkTCP
	}
}

// takeQuery copies what finishing the answer will need: header and question, and what the OPT record said. What
// else the client sent is not kept.
func (j *job) takeQuery(q *wire.Query, msg []byte) {
	j.question = q.Question()
	kept := append(j.message[:0], msg[:wire.HeaderLength]...)
	clear(kept[6:]) // no records behind the question
	j.query.Parse(append(kept, q.RawQuestion()...))
	j.query.EDNS, j.query.DO, j.query.CO, j.query.UDPSize = q.EDNS, q.DO, q.CO, q.UDPSize
	j.query.Keepalive, j.query.Padding, j.query.View = q.Keepalive, q.Padding, q.View
}

// answerWithin is how long a client waits for its answer at most: a little less than the 5 s after which stub
// resolvers give up, so that the failure still reaches them.
const answerWithin = 4900 * time.Millisecond

// A patience is the context of jobs that came within a tenth of a second, which all wait until the first has waited long enough: to
// make one for each can be seen in what a question costs. It is for one reader, whose clients end with the front alone.
type patience struct {
	context.Context
	end time.Time
}

func (p *patience) from(f *front) context.Context {
	end := time.Now().Add(answerWithin)
	if p.Context == nil || end.Sub(p.end) >= 100*time.Millisecond {
		ctx, cancel := context.WithDeadline(f.ctx, end)
		context.AfterFunc(ctx, cancel) // jobs that still wait when it is replaced have it
		p.Context, p.end = ctx, end
	}
	return p.Context
}

// start resolves on a goroutine of its own. The sender's deliver ends the job.
func (j *job) start(ctx context.Context, to sender) {
	j.ctx, j.to = ctx, to
	j.front.resolutions.Add(1)
	go j.run()
}

func (j *job) run() {
	growStack() // as long as little is on it
	defer wipeStack()
	f := j.front
	defer f.resolutions.Done()
	defer j.end()
	defer func() {
		if cause := recover(); cause != nil {
			f.panicked(j.link.transport)
		}
	}()
	j.to.deliver(j, j.answer())
}

// roomForOPT is what an OPT record with a few extended errors takes.
const roomForOPT = 512

func (j *job) answer() (answer []byte) {
	f := j.front
	defer func() {
		if cause := recover(); cause != nil {
			f.panicked(j.link.transport)
			answer = f.fail(j.buf, &j.query, internalError, j.link)
		}
		j.buf = answer
	}()
	wait := j.wait
	if wait == nil {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(j.ctx, answerWithin)
		defer cancel()
	}
	a, failed := f.responder.Resolve(wait, j.question)
	l := j.link
	l.failed, l.gone = failed.Stage, j.ctx.Err() != nil
	if failed.Accuses && failed.Stage.isOfZone() && !l.gone {
		f.failing.Note(j.network, j.query.FoldedName(), uint8(rootCauseOf(a.Errors)))
	}
	buf := slices.Grow(j.buf[:0], len(a.Packet)+roomForOPT) // what grows later leaves a copy behind
	return f.finish(append(buf, a.Packet...), &j.query, &a, l)
}

// wipeStack writes over the stack below its caller, which would go to the next goroutine with the client's address in
// it, wherever a call has left it.
func wipeStack() { useStack(true) }

// growStack makes the room that wipeStack needs, before there is anything of a client on the stack: when it grows, a copy of all
// stays behind.
func growStack() { useStack(false) }

//go:noinline
func useStack(wipe bool) {
	if wipe {
		var room [4 << 10]byte
		runtime.KeepAlive(&room)
	}
}

// A ballast on the stack of a goroutine that waits for clients keeps the collector from taking half of the stack away, so that it has
// not to grow again when a client has come.
type ballast [4 << 10]byte

// end gives slot and job back, with nothing of the client left in it.
func (j *job) end() {
	j.front.quota.slots.release(j.holder)
	buf, frame := j.buf, j.frame
	if max(cap(buf), cap(frame)) > maxKept {
		buf, frame = nil, nil
	}
	clear(buf[:cap(buf)])
	clear(frame)
	*j = job{buf: buf[:0], frame: frame[:0]}
	jobs.Put(j)
}

// maxLoggedPanics keeps a query that can be repeated from filling the log.
const maxLoggedPanics = 100

// panicked counts a panic and logs where it happened: positions in the code, no values.
func (f *front) panicked(t Transport) {
	if f.counters[t].Panics.Add(1) <= maxLoggedPanics {
		f.log.Error("a query ended in a panic", "positions", privacy.Positions())
	}
}
