package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"tacit/internal/odoh"
	"tacit/internal/work"
)

// An obliviousConnection is one to a proxy, which takes queries to a target that they are sealed for (RFC 9230): the proxy sees
// who asks, and the target what is asked.
type obliviousConnection struct {
	*httpsConnection
	key odoh.Config
}

var _ session = (*obliviousConnection)(nil)

// dialOblivious finds out the target's key and connects to its proxy.
func (p *pool) dialOblivious(ctx context.Context, target Server, w *work.Budget) (session, error) {
	key, err := p.keyOf(ctx, target, w)
	if err != nil {
		return nil, err
	}
	h, err := p.connectHTTPS(ctx, target.Peer.identity().proxy)
	if err != nil {
		return nil, err
	}
	h.target = throughProxy(h.target, targetOf(target))
	h.serve(p, target)
	return &obliviousConnection{h, key}, nil
}

// throughProxy is where the proxy is asked for a target (RFC 9230 section 4.1).
func throughProxy(proxy, target *url.URL) *url.URL {
	u := *proxy
	u.RawQuery = url.Values{"targethost": {target.Host}, "targetpath": {target.Path}}.Encode()
	return &u
}

func (o *obliviousConnection) ask(ctx context.Context, build func() query) (query, []byte, time.Duration, error) {
	return o.askBy(ctx, build, o.post)
}

// post seals a query and opens what comes back. A target that does not know the key any more has another one (RFC 9230 section 4.3):
// the session ends, and the next one begins with that.
func (o *obliviousConnection) post(ctx context.Context, q *query) ([]byte, error) {
	sealed, x, err := o.key.Seal(q.msg)
	if err != nil {
		return nil, errKey
	}
	r, err := o.send(ctx, o.target, odoh.MediaType, sealed)
	switch {
	case err != nil:
		return nil, err
	case r.status == http.StatusUnauthorized:
		o.pool.sealing.forget(o.server)
		o.die()
		return nil, errDied
	case r.status != http.StatusOK:
		return nil, errStatus
	}
	reply, err := x.Open(r.body)
	if err != nil || !q.fits(reply) {
		return nil, errResponse
	}
	return reply, nil
}

func (o *obliviousConnection) run() {
	<-o.died
	_ = o.conn.Close()
	o.pool.drop(o.server, o)
}

// Sealing are the keys of targets that are known. They are found out seldom: a target that sees us come for its key learns that we
// are about to ask.
type sealing struct {
	mu    sync.Mutex
	known map[Server]knownKey
}

type knownKey struct {
	key   odoh.Config
	since time.Time
}

// keptFor is how long a key is used before it is looked whether the target offers another: it may do so daily.
const keptFor = 12 * time.Hour

func (s *sealing) recall(target Server, now time.Time) (odoh.Config, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.known[target]
	return k.key, ok && now.Sub(k.since) < keptFor
}

func (s *sealing) remember(target Server, key odoh.Config, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = make(map[Server]knownKey)
	}
	s.known[target] = knownKey{key, now}
}

func (s *sealing) forget(target Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, target)
}

var errKey = &Error{Outcome: Malformed, Err: errors.New("no key of the target that could be used")}

// keyOf finds out the target's key, from itself: that of a proxy's making would let it read everything.
func (p *pool) keyOf(ctx context.Context, target Server, w *work.Budget) (odoh.Config, error) {
	if key, ok := p.sealing.recall(target, p.now()); ok {
		return key, nil
	}
	if err := w.Spend(work.Connect, 1); err != nil {
		return odoh.Config{}, err
	}
	h, err := p.connectHTTPS(ctx, target)
	if err != nil {
		return odoh.Config{}, err
	}
	defer func() { _ = h.conn.Close() }()
	configs, err := h.configs(ctx)
	if err != nil {
		return odoh.Config{}, err
	}
	key, err := odoh.ParseConfigs(configs)
	if err != nil {
		return odoh.Config{}, errKey
	}
	p.sealing.remember(target, key, p.now())
	return key, nil
}

func (h *httpsConnection) configs(ctx context.Context) ([]byte, error) {
	at := &url.URL{Scheme: h.target.Scheme, Host: h.target.Host, Path: odoh.ConfigsPath}
	said, err := h.conn.RoundTrip((&http.Request{Method: http.MethodGet, URL: at, Header: http.Header{"User-Agent": {""}}}).WithContext(ctx))
	if err != nil {
		return nil, errDied
	}
	defer func() { _ = said.Body.Close() }()
	if said.StatusCode != http.StatusOK {
		return nil, errStatus
	}
	configs, err := io.ReadAll(io.LimitReader(said.Body, odoh.MaxConfigs+1))
	if err != nil {
		return nil, errDied
	}
	return configs, nil
}

// Relay takes a message that somebody has sealed to s, over HTTPS, for whoever plays the proxy of Oblivious DoH. Nothing is added to it
// and nothing kept. The response is one if the status, which is that of HTTP, is 200. An error is always an *Error.
func (c *Client) Relay(ctx context.Context, s Server, sealed []byte, w *work.Budget) (status int, body []byte, err error) {
	r, err := c.relayOnce(ctx, s, sealed, w)
	if errors.Is(err, errDied) { // as in inSession
		r, err = c.relayOnce(ctx, s, sealed, w)
	}
	if err != nil {
		return 0, nil, failure(ctx, err)
	}
	return r.status, r.body, nil
}

var errNoHTTPS = &Error{Outcome: Local, Err: errors.New("not a server of HTTPS")}

func (c *Client) relayOnce(ctx context.Context, s Server, sealed []byte, w *work.Budget) (r response, err error) {
	kept, err := c.pool.connect(ctx, s.endpoint(), w)
	if err != nil {
		return response{}, err
	}
	h, ok := kept.(*httpsConnection)
	if !ok {
		return response{}, errNoHTTPS
	}
	build := func() query { return query{msg: sealed} }
	_, _, _, err = h.askBy(ctx, build, func(ctx context.Context, q *query) ([]byte, error) {
		r, err = h.send(ctx, h.target, odoh.MediaType, q.msg)
		return nil, err
	})
	return r, err
}
