package transports

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tacit/internal/odoh"
)

// Oblivious says which roles of Oblivious DoH (RFC 9230) are played just now. To a target the proxy is the client, and to a proxy
// the client is a client like any other; who is served is asked for both.
type Oblivious interface {
	Target() *odoh.Keys // nil: not that of a target
	Relay() Relay       // nil: not that of a proxy
}

// A Relay takes sealed messages to targets and brings their responses back. It is shown nothing of the client.
type Relay interface {
	// Pass returns the sealed response, or a Fault whose Status is not 0.
	Pass(ctx context.Context, to Destination, sealed []byte) (response []byte, f Fault)
}

// A Destination is the target that a client names to a proxy: targethost and targetpath of RFC 9230 section 4.1.
type Destination struct{ Host, Path string }

// A Fault is why a proxy has no response, in the words of RFC 9209.
type Fault struct {
	Status int    // of HTTP; 0: there is no fault
	Error  string // of section 2.3; empty: the Status is what the target said
}

// proxyStatus is the field Proxy-Status, by which clients can tell the proxy's faults from the target's (RFC 9230 section 4.3). The
// name in it is that of the role, and not of an installation.
func (f Fault) proxyStatus() string {
	if f.Error == "" {
		return "odoh-proxy; received-status=" + strconv.Itoa(f.Status)
	}
	return "odoh-proxy; error=" + f.Error
}

// Faults of requests (RFC 9230 section 4.3; RFC 9209 sections 2.3.3 and 2.3.9). Details would say what is allowed.
var (
	faultMalformed = Fault{http.StatusBadRequest, "http_request_error"}
	faultTooLong   = Fault{http.StatusRequestEntityTooLarge, "http_request_error"}
	faultDenied    = Fault{http.StatusForbidden, "http_request_denied"}
	faultTooMany   = Fault{http.StatusTooManyRequests, "http_request_denied"}
	faultInternal  = Fault{http.StatusInternalServerError, "proxy_internal_error"}
)

// DeniedFault is for a Destination that the proxy does not go to.
func DeniedFault() Fault { return faultDenied }

const (
	noStore     = "no-store" // a sealed message is of use once, and its TTL is not the proxy's business
	configsType = "application/octet-stream"
)

// A role is what a request of Oblivious DoH asks of us.
type role uint8

const (
	offerer role = iota // to say which key messages are to be sealed to
	target              // to answer a sealed query
	proxy               // to take it to a target
)

// A sealedRequest is a request of Oblivious DoH, as far as it can be judged above its body.
type sealedRequest struct {
	role    role
	to      Destination // of a proxy
	fault   Fault       // of a proxy
	refused int         // the status with which others are refused, 0: not yet
}

func (s *sealedRequest) status() int {
	switch {
	case s.fault.Status != 0:
		return s.fault.Status
	case s.refused != 0:
		return s.refused
	}
	return http.StatusOK
}

// judgeSealed judges what stands above the body; nil when it is no request of Oblivious DoH, or nobody plays a role in it.
func (d *doh) judgeSealed(path, query, method, mediaType string, length int64) *sealedRequest {
	switch {
	case d.oblivious == nil:
		return nil
	case path == odoh.ConfigsPath && method == http.MethodGet && d.oblivious.Target() != nil:
		return &sealedRequest{role: offerer}
	case path != Path || method != http.MethodPost || !strings.EqualFold(mediaType, odoh.MediaType):
		return nil
	}
	isTarget, isProxy := d.oblivious.Target() != nil, d.oblivious.Relay() != nil
	if !isTarget && !isProxy {
		return nil
	}
	to, named, ok := destinationOf(query)
	switch {
	case named && !isProxy:
		return &sealedRequest{role: proxy, fault: faultDenied}
	case named && !ok, !named && !isTarget:
		return &sealedRequest{role: proxy, fault: faultMalformed}
	case named && length > maxMessage:
		return &sealedRequest{role: proxy, fault: faultTooLong}
	case named:
		return &sealedRequest{role: proxy, to: to}
	case length > maxMessage:
		return &sealedRequest{role: target, refused: http.StatusRequestEntityTooLarge}
	}
	return &sealedRequest{role: target}
}

// destinationOf reads where a sealed message is to go. It is named if anything is said of a target, and ok if all is, once.
func destinationOf(query string) (to Destination, named, ok bool) {
	const host, path = "targethost", "targetpath"
	values, err := url.ParseQuery(query)
	named = err != nil || values.Has(host) || values.Has(path)
	to = Destination{values.Get(host), values.Get(path)}
	ok = err == nil && len(values[host]) == 1 && len(values[path]) == 1 && to.Host != "" && strings.HasPrefix(to.Path, "/")
	return to, named, ok
}

// isServed reports whether a client is served at all. It is asked before a message is opened or taken on: both cost something.
func (f *front) isServed(addr netip.Addr) bool {
	_, ok := f.admitter.Admit(addr.WithZone(""), f.now())
	return ok
}

// A sealedForm is the response to a sealed query.
type sealedForm struct{ answer *odoh.Answer }

// render seals an answer. What cannot be padded as a DNS message, for want of an OPT record, is padded here.
func (s *sealedForm) render(answer []byte) ([]byte, string, bool) {
	sealed, err := s.answer.Seal(answer, paddedTo)
	return sealed, odoh.MediaType, err == nil
}

// open opens a sealed query: an authorisation that fails where its key is not ours, and a bad request where anything else is wrong (RFC
// 9230 section 4.3).
func (d *doh) open(sealed []byte, t Transport) (q request, status int) {
	keys := d.oblivious.Target()
	if keys == nil { // no more since the headers
		return request{}, http.StatusUnsupportedMediaType
	}
	query, answer, err := keys.Open(d.front.now(), sealed)
	switch {
	case err == nil:
		return request{query, &sealedForm{answer}}, http.StatusOK
	case errors.Is(err, odoh.ErrKey):
		status = http.StatusUnauthorized
	default:
		status = http.StatusBadRequest
	}
	d.front.countQuery(link{transport: t})
	d.front.drop(t, NotAQuery)
	return request{}, status
}

// configs are the target's, and what caches are told of them. Everybody may have them: who seals to them is not the one who brings it.
func (d *doh) configs() (body []byte, cache string, ok bool) {
	keys := d.oblivious.Target()
	if keys == nil {
		return nil, "", false
	}
	body, fresh, err := keys.Configs(d.front.now())
	return body, maxAge + strconv.Itoa(int(fresh/time.Second)), err == nil
}

// passFrom takes a sealed message on, from a place that it gives back before the client hears of the end, who may want it again.
func (d *doh) passFrom(ctx context.Context, place holder, to Destination, sealed []byte) (response []byte, f Fault) {
	defer d.front.quota.slots.release(place)
	relay := d.oblivious.Relay()
	if relay == nil {
		return nil, faultDenied
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return relay.Pass(ctx, to, sealed)
}

// takePlace takes a place for a client whose message is taken on. It gives no goroutine, and nothing of the client remains in it.
func (f *front) takePlace(addr netip.Addr, t Transport) (h holder, ok bool) {
	h = holder{f.quota.clients.Of(addr, f.now()), t, addr.IsLoopback()}
	return h, f.quota.slots.take(h, f.limits.Waiting, f.waitingPerNetwork(h))
}

// A sealedVisit is a sealedRequest by HTTP/1.1 or HTTP/3.
type sealedVisit struct {
	*sealedRequest
	connection *connection
	client     netip.Addr
	body       *[]byte
}

func (d *doh) serveSealed(ctx context.Context, w http.ResponseWriter, r *http.Request, v *sealedVisit) {
	if v.role == offerer {
		d.serveConfigs(w)
		return
	}
	if v.status() == http.StatusOK && !d.front.isServed(v.client) {
		v.refused = http.StatusForbidden
	}
	if v.status() == http.StatusOK {
		v.refuse(readBody(w, r, v.connection, v.body))
	}
	switch {
	case v.status() != http.StatusOK:
	case v.role == proxy:
		d.servePassage(ctx, w, v)
	default:
		d.serveQuery(ctx, w, v)
	}
	if v.status() != http.StatusOK {
		v.fail(w)
	}
}

// refuse notes that a body cannot be had.
func (v *sealedVisit) refuse(status int) {
	switch {
	case status == http.StatusOK:
	case v.role == proxy:
		v.fault = Fault{status, faultMalformed.Error}
	default:
		v.refused = status
	}
}

func (v *sealedVisit) fail(w http.ResponseWriter) {
	if v.fault.Status != 0 {
		w.Header()["Proxy-Status"] = []string{v.fault.proxyStatus()}
	}
	fail(w, v.status())
}

func (d *doh) serveConfigs(w http.ResponseWriter) {
	body, cache, ok := d.configs()
	if !ok {
		fail(w, http.StatusNotFound)
		return
	}
	writeBody(w, body, configsType, cache)
}

func (d *doh) serveQuery(ctx context.Context, w http.ResponseWriter, v *sealedVisit) {
	t := v.connection.transport
	q, status := d.open(*v.body, t)
	if status != http.StatusOK {
		v.refused = status
		return
	}
	defer clear(q.message)
	if d.front.exchange(ctx, q.message, v.client, link{transport: t}, func(msg []byte) { write(w, q.form, msg) }) == dropped {
		v.refused = http.StatusBadRequest
	}
}

func (d *doh) servePassage(ctx context.Context, w http.ResponseWriter, v *sealedVisit) {
	place, ok := d.front.takePlace(v.client, v.connection.transport)
	if !ok {
		v.fault = faultTooMany
		return
	}
	// A copy: who has given up may still be sending it.
	response, fault := d.passFrom(ctx, place, v.to, slices.Clone(*v.body))
	if v.fault = fault; fault.Status == 0 {
		writeBody(w, response, odoh.MediaType, noStore)
	}
}

// askSealed does what a complete request of Oblivious DoH asks.
func (h *http2Conn) askSealed(id uint32, s *http2Stream) error {
	if s.sealed.role == offerer {
		body, cache, ok := h.doh.configs()
		if !ok {
			return h.refuse(id, s, http.StatusNotFound)
		}
		h.touch()
		return h.answerWith(id, s, body, configsType, cache)
	}
	if !h.doh.front.isServed(h.client()) {
		if err := h.refuse(id, s, http.StatusForbidden); err != nil {
			return err
		}
		return errNotServed // as in ask
	}
	if s.sealed.role == proxy {
		return h.takeOn(id, s)
	}
	var status int
	if s.query, status = h.doh.open(s.body, h.transport); status != http.StatusOK {
		return h.refuse(id, s, status)
	}
	return h.ask(id, s)
}

// takeOn takes a sealed message to its target, on a goroutine of its own.
func (h *http2Conn) takeOn(id uint32, s *http2Stream) error {
	f := h.doh.front
	place, ok := f.takePlace(h.client(), h.transport)
	if !ok {
		s.sealed.fault = faultTooMany
		return h.refuse(id, s, faultTooMany.Status)
	}
	sealed := s.body
	s.body, s.waits = nil, true
	h.pending.Add(1)
	h.jobs.Add(1)
	f.resolutions.Add(1)
	to := s.sealed.to
	go func() {
		defer f.resolutions.Done()
		defer h.jobs.Done()
		response, fault := h.passSafely(place, to, sealed)
		h.deliverPassage(id, response, fault)
	}()
	return nil
}

func (h *http2Conn) passSafely(place holder, to Destination, sealed []byte) (response []byte, fault Fault) {
	defer func() {
		if recover() != nil {
			h.doh.front.panicked(h.transport)
			response, fault = nil, faultInternal
		}
	}()
	return h.doh.passFrom(h.ctx, place, to, sealed)
}

// deliverPassage writes what came back, if its stream is still there.
func (h *http2Conn) deliverPassage(id uint32, response []byte, fault Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.touch()
	h.pending.Add(-1)
	s := h.streams[id]
	if s == nil || !s.waits {
		return
	}
	s.waits = false
	if s.sealed.fault = fault; fault.Status != 0 {
		_ = h.refuse(id, s, fault.Status)
	} else {
		_ = h.answerWith(id, s, response, odoh.MediaType, noStore)
	}
	_ = h.flush() // the reader sees the end, too
}
