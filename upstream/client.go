package upstream

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
	"tacit/internal/work"
)

// A Client carries questions to servers. It is safe for concurrent use.
type Client struct {
	network   Network
	memory    *Memory
	now       func() time.Time
	mixedCase bool
	cookies   cookies
	pool      *pool
	unproven  *pool // sessions with whoever is there (RFC 9539)

	encryptedPort uint16
	pace          pace          // of probes
	probes        chan struct{} // a token for each that is under way

	overtaken chan struct{}   // a token for each server that is listened for in the background
	closing   context.Context // ends that
	close     context.CancelFunc
}

// Options say how a Client works. The zero value of each field is its default.
type Options struct {
	// Network carries the packets. Nil: the operating system's, System.
	Network Network
	// Memory is shared with the choice of servers. Nil: a memory of its own.
	Memory *Memory
	// Now tells the time by which the memory ages. Nil: time.Now.
	Now func() time.Time
	// CaseRandomisationOff sends names in lower case instead of in random letter case (0x20).
	CaseRandomisationOff bool
	// Connections is how many connections are open at once, over all transports but UDP: with those who were named, and as many
	// again with those who were found. 0: 256.
	Connections int
	// EncryptedPort is asked at servers whose encrypted transports are found by trying. 0: 853.
	EncryptedPort uint16
	// Panicked is told of each connection that has ended in a panic, while its stack is still there. Nil: nobody is.
	Panicked func()
}

// A Network is where packets travel: the operating system's, or a test's.
type Network interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// A Server is one address at which questions are answered, and the way there. Servers may be compared.
type Server struct {
	Addr      netip.AddrPort
	Recursive bool // it is asked to recurse: RD=1
	// Transport is UDP, with TCP where a reply demands it, or one that is encrypted. For that no other ever stands in.
	Transport Transport
	Peer      Peer // who must be there; of encrypted transports
	// Encryption is for servers that are asked over UDP: whether there is a better way is found out.
	Encryption Encryption
}

// endpoint is what all questions to s share: what is connected to, and what is remembered.
func (s Server) endpoint() Server {
	s.Recursive, s.Encryption = false, Clear
	return s
}

// At is where s is found over t.
func (s Server) At(t Transport) netip.AddrPort {
	if t.Encrypted() && !s.Transport.Encrypted() {
		return netip.AddrPortFrom(s.Addr.Addr(), encryptedPort)
	}
	return s.Addr
}

// A Reply is what a server said. Msg.Question is always the question that was asked; names are in the letter case in
// which they came, which may be random.
type Reply struct {
	Msg       *dns.Msg
	RTT       time.Duration // of the query that brought this reply, without the set-up of a connection
	Transport Transport
}

// A Transport is a way in which messages travel.
type Transport uint8

// Transports.
const (
	UDP       Transport = iota
	TCP                 // RFC 7766
	TLS                 // RFC 7858
	HTTPS               // RFC 8484, over HTTP/2
	QUIC                // RFC 9250
	Oblivious           // RFC 9230: sealed to the server, over HTTPS to the proxy of its Peer
)

var transportNames = [...]string{UDP: "UDP", TCP: "TCP", TLS: "TLS", HTTPS: "HTTPS", QUIC: "QUIC", Oblivious: "ODoH"}

func (t Transport) String() string { return transportNames[t] }

// Encrypted reports whether nobody on the way can read what travels over t, or change it.
func (t Transport) Encrypted() bool { return t >= TLS }

// New returns a Client. Close it when it is no longer needed.
func New(o Options) *Client {
	if o.Network == nil {
		o.Network = System{}
	}
	if o.Memory == nil {
		o.Memory = NewMemory(MemoryOptions{})
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default; the server gives its own clock
	}
	if o.Connections <= 0 {
		o.Connections = 256
	}
	if o.EncryptedPort == 0 {
		o.EncryptedPort = encryptedPort
	}
	if o.Panicked == nil {
		o.Panicked = func() {}
	}
	c := &Client{
		network:   o.Network,
		memory:    o.Memory,
		now:       o.Now,
		mixedCase: !o.CaseRandomisationOff,
		pool:      newPool(&o),
		unproven:  newPool(&o),
		overtaken: make(chan struct{}, maxOvertaken),

		encryptedPort: o.EncryptedPort, probes: make(chan struct{}, maxProbes),
	}
	c.closing, c.close = context.WithCancel(context.Background())
	return c
}

// Exchange asks s the question q, once as seen by the caller: over UDP with a time-out from memory, then, where what
// came back demands it, again over TCP, without EDNS or with another cookie; over an encrypted transport, where s names
// one, and nothing else. Where s.Encryption says so, servers that are known to be there over an encrypted transport are asked over
// it instead. Only Name and Type of q are looked at. Each query and each connection is paid from w. o may be nil. An error is
// always an *Error.
func (c *Client) Exchange(ctx context.Context, s Server, q wire.Question, w *work.Budget, o Overdue) (Reply, error) {
	m := c.memory.begin(s, c.now())
	x := &exchange{Client: c, server: s, question: q, budget: w, record: m.record, plain: m.plain, timeout: m.timeout, biscuit: m.biscuit}
	if o != nil {
		x.leash = newLeash(ctx, o, m.overdue)
		defer x.leash.end()
		ctx = x.leash
	}
	if s.Transport.Encrypted() || s.Encryption != Clear {
		x.leash.arm()
	}
	if s.Transport.Encrypted() {
		x.transport, x.streamed = s.Transport, true
		return x.run(ctx)
	}
	if s.Encryption == Clear {
		return x.inClear(ctx, m)
	}
	hidden := x.covertly(ctx)
	if !hidden.settled {
		hidden = x.compare(hidden, func() (Reply, error) { return x.inClear(ctx, m) })
	}
	if hidden.err == nil && s.Encryption == Opportunistic {
		x.seek(s, q)
	}
	return hidden.reply, hidden.err
}

// inClear asks over UDP, or over TCP where that is known to be needed.
func (x *exchange) inClear(ctx context.Context, m manner) (Reply, error) {
	x.trial = !m.stream && m.trial && x.budget != nil && x.budget.Spent(work.Connect) < maxTrialConnects
	if m.stream || x.trial {
		x.transport, x.streamed = TCP, true
	}
	return x.run(ctx)
}

// maxTrialConnects leaves half of the connections of a question for where it is known that TCP is needed.
const maxTrialConnects = 3

// Close closes the connections that are kept and waits until nothing of them is left. From now on exchanges that
// need TCP fail.
func (c *Client) Close() error {
	c.close()
	c.pool.close()
	c.unproven.close()
	for range cap(c.probes) {
		c.probes <- struct{}{}
	}
	for range cap(c.probes) {
		<-c.probes
	}
	for range cap(c.overtaken) { // who has all tokens is alone
		c.overtaken <- struct{}{}
	}
	for range cap(c.overtaken) {
		<-c.overtaken
	}
	return nil
}

// An exchange is one question on its way to one server, in as many steps as its replies demand.
type exchange struct {
	*Client
	server   Server
	question wire.Question
	budget   *work.Budget
	record   *record       // of the server
	leash    *leash        // nil: nobody wants to know whether the reply is overdue
	timeout  time.Duration // over UDP, and of the set-up of an encrypted transport
	biscuit  biscuit

	transport  Transport // of the next step
	streamed   bool      // it was not UDP from the start
	trial      bool      // ... to see whether TCP works where UDP has not
	plain      bool      // the next step goes without EDNS
	badCookies int       // how often the server refused the cookie
	downgraded bool      // EDNS was refused in this exchange
	refusal    Reply     // how; the answer if asking without brings none
}

// A verdict is what a step showed.
type verdict uint8

const (
	answered      verdict = iota
	incomplete            // TC: the rest is to be had over TCP
	suspect               // somebody may be forging replies: ask where that is harder
	unreadable            // a reply to this query that cannot be unpacked
	ednsRefused           // FORMERR, NOTIMP or BADVERS to a query with an OPT record
	cookieRefused         // BADCOOKIE
)

// maxBadCookies is how often BADCOOKIE is met with another cookie before the transport changes (RFC 7873 section 5.3;
// without a limit it is a loop, CVE-2026-5950).
const maxBadCookies = 2

func (x *exchange) run(ctx context.Context) (Reply, error) {
	for {
		reply, v, err := x.step(ctx)
		if err == nil && v == answered {
			return x.settle(reply), nil
		}
		if err == nil {
			err = x.adapt(reply, v)
		}
		if err != nil {
			return x.fail(ctx, err)
		}
	}
}

func (x *exchange) step(ctx context.Context) (Reply, verdict, error) {
	if x.transport == UDP {
		return x.overUDP(ctx)
	}
	x.leash.arm()
	return x.overSession(ctx)
}

// adapt decides how the next step differs from the last one, or that there is none. Each change is made once, so the steps
// come to an end: TCP is never left, EDNS never taken up again, cookies are counted. What is encrypted stays as it is.
func (x *exchange) adapt(reply Reply, v verdict) error {
	if x.transport.Encrypted() {
		return &Error{Outcome: Malformed}
	}
	switch v {
	case ednsRefused:
		x.refusal, x.plain, x.downgraded = reply, true, true
		return nil
	case cookieRefused:
		if x.badCookies++; x.badCookies < maxBadCookies {
			return nil
		}
		if x.transport == TCP {
			return &Error{Outcome: BadCookies}
		}
	case answered, incomplete, suspect, unreadable:
		if x.transport == TCP {
			return &Error{Outcome: Malformed}
		}
	}
	x.transport = TCP
	return nil
}

// settle draws the lesson from an answer about the server.
func (x *exchange) settle(reply Reply) Reply {
	if x.downgraded && !refusesEDNS(reply.Msg.Rcode) {
		x.memory.refusedEDNS(x.server, x.now())
	}
	if x.trial {
		x.memory.onlyTCP(x.server, x.now())
	}
	return reply
}

// fail ends an exchange without an answer. A refusal of EDNS is a reply all the same, if a poor one.
func (x *exchange) fail(ctx context.Context, err error) (Reply, error) {
	e := failure(ctx, err)
	if x.refusal.Msg != nil && e.Outcome != Cancelled {
		return x.refusal, nil
	}
	return Reply{Transport: x.transport}, e
}

// blame tells the memory that a query sent at sent brought nothing. Failures over TCP that a forger, or a reply over
// UDP, led to say nothing about the server's being alive.
func (x *exchange) blame(ctx context.Context, err error, sent time.Time) {
	if x.transport == TCP && !x.streamed {
		return
	}
	switch failure(ctx, err).Outcome {
	case Timeout, Refused, Unreachable, Unauthenticated:
		x.memory.failed(x.server, sent, x.now())
	case Cancelled:
		if x.spentPatience(ctx, sent) {
			x.memory.failed(x.server, sent, x.now())
		}
	case Malformed, BadCookies, Budget, Local, Unencrypted:
	}
}

// spendQuery pays for a query that is about to be sent. Those to authoritative servers are counted.
func (x *exchange) spendQuery(t Transport) error {
	if err := x.budget.Spend(work.UpstreamQuery, 1); err != nil {
		return err
	}
	if !x.server.Recursive {
		x.memory.count(t)
	}
	return nil
}

// form says what the next query is made of, seen from the local address.
func (x *exchange) form(local netip.Addr) form {
	f := form{recurse: x.server.Recursive, plain: x.plain, mixed: x.mixedCase && x.transport == UDP}
	if x.transport.Encrypted() {
		f.padded, f.zeroID = true, x.transport != TLS
		return f
	}
	if !f.plain {
		f.cookie = x.cookies.of(x.server.Addr.Addr(), local, x.now())
		f.expected = x.biscuit.expected
		if x.biscuit.cookie == f.cookie {
			f.returned = x.biscuit.returned
		}
	}
	return f
}

// accept judges an unpacked reply to q, which took rtt.
func (x *exchange) accept(q *query, msg *dns.Msg, rtt time.Duration) (Reply, verdict, error) {
	returned, ok := x.checkCookie(q, msg)
	if !ok {
		return Reply{}, suspect, nil
	}
	v := answered
	switch {
	case q.form.plain, q.form.padded:
	case msg.Rcode == int(wire.BadCookie):
		v = cookieRefused
	case refusesEDNS(msg.Rcode):
		v = ednsRefused
	}
	x.memory.replied(x.server, x.record, receipt{
		rtt: rtt, keptCase: q.form.mixed, understoodEDNS: v == answered && !q.form.plain, cookie: q.form.cookie, returned: returned,
	}, x.now())
	msg.Question = []dns.Question{{Name: x.question.Name.Reveal(), Qtype: uint16(x.question.Type), Qclass: dns.ClassINET}}
	return Reply{Msg: msg, RTT: rtt, Transport: x.transport}, v, nil
}

// checkCookie returns the server cookie of a reply, and reports whether the reply may be believed. A server that has
// returned cookies before must do so again (RFC 7873 section 5.3), except over TCP: there its leaving them out is
// its own doing, and the end of the expectation.
func (x *exchange) checkCookie(q *query, msg *dns.Msg) (returned []byte, ok bool) {
	if q.form.plain || q.form.padded {
		return nil, true
	}
	crumb, returned := readCookie(msg, q.form.cookie)
	if crumb == rightCookie {
		if returned != nil {
			x.biscuit = biscuit{q.form.cookie, returned, true}
		}
		return returned, true
	}
	if x.transport == TCP {
		x.memory.forgetCookie(x.server)
		return nil, true
	}
	return nil, crumb == noCookie && !q.form.expected
}

// localAddr returns the address that conn is bound to, the zero Addr if the network does not say.
func localAddr(conn net.Conn) netip.Addr {
	switch a := conn.LocalAddr().(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap().WithZone("")
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
