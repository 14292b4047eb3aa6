package management

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Options say what is managed and by whom. Manager and Now are needed.
type Options struct {
	Manager Manager
	Now     func() time.Time
	// Panicked is told of each request that has panicked, while its stack is still there. Nil: nobody is.
	Panicked func()
}

// Base is the path under which the API is.
const Base = "/client/v4"

// maxBody bounds what a request may bring: a batch of thousands of records, or a master file.
const maxBody = 4 << 20

func newHandler(o Options) *handler {
	if o.Panicked == nil {
		o.Panicked = func() {}
	}
	h := &handler{manager: o.Manager, now: o.Now, panicked: o.Panicked, mux: http.NewServeMux()}
	h.access.Store(&access{})
	for _, r := range routes {
		h.mux.HandleFunc(r.method+" "+Base+r.path, h.answer(r.do))
	}
	h.mux.HandleFunc("/", h.answer(func(*request) (any, error) { return nil, errRoute }))
	return h
}

// A handler is the API.
type handler struct {
	manager  Manager
	now      func() time.Time
	panicked func()
	access   atomic.Pointer[access]
	mux      *http.ServeMux
}

// An access says who may do what, and how much of it.
type access struct {
	tokens Tokens
	limits Limits
}

// ServeHTTP takes a final slash off: some clients write /zones/?name=.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path := strings.TrimSuffix(r.URL.Path, "/"); path != "" {
		r.URL.Path = path
	}
	h.mux.ServeHTTP(w, r)
}

// A route is one thing that can be done.
type route struct {
	method, path string
	about        string
	do           func(*request) (any, error)
}

var routes = []route{
	{"GET", "/user/tokens/verify", "Says that a token is good.", (*request).verify},
	{"GET", "/zones", "Lists zones.", (*request).listZones},
	{"POST", "/zones", "Makes an empty zone.", (*request).createZone},
	{"GET", "/zones/{zone}", "Shows a zone.", (*request).showZone},
	{"PATCH", "/zones/{zone}", "Changes a zone.", (*request).changeZone},
	{"DELETE", "/zones/{zone}", "Takes a zone out of service.", (*request).deleteZone},
	{"GET", "/zones/{zone}/dns_records", "Lists records.", (*request).listRecords},
	{"POST", "/zones/{zone}/dns_records", "Adds a record.", (*request).addRecord},
	{"GET", "/zones/{zone}/dns_records/export", "Gives a zone as a master file.", (*request).export},
	{"POST", "/zones/{zone}/dns_records/import", "Adds the records of a master file.", (*request).doImport},
	{"POST", "/zones/{zone}/dns_records/batch", "Deletes, patches, puts and posts records, all or none.", (*request).batch},
	{"GET", "/zones/{zone}/dns_records/{record}", "Shows a record.", (*request).showRecord},
	{"PUT", "/zones/{zone}/dns_records/{record}", "Replaces a record.", (*request).putRecord},
	{"PATCH", "/zones/{zone}/dns_records/{record}", "Changes a record.", (*request).patchRecord},
	{"DELETE", "/zones/{zone}/dns_records/{record}", "Deletes a record.", (*request).deleteRecord},
	{"GET", "/zones/{zone}/dnssec", "Shows the keys of a zone.", (*request).showDNSSEC},
	{"PATCH", "/zones/{zone}/dnssec", "Signs a zone, or stops signing it.", (*request).changeDNSSEC},
	{"GET", "/zones/{zone}/pagerules", "There are none; some clients ask.", (*request).listNothing},
}

// A request is one that may be made.
type request struct {
	*http.Request
	manager Manager
	token   *token
	limits  *Limits
	now     time.Time
}

// An envelope is around every answer.
type envelope struct {
	Success  bool      `json:"success"`
	Errors   []message `json:"errors"`
	Messages []message `json:"messages"`
	Result   any       `json:"result"`
	Info     *page     `json:"result_info,omitempty"`
}

type message struct {
	Code int    `json:"code"`
	Text string `json:"message"`
}

// A masterFile is a result that is no JSON.
type masterFile []byte

// answer makes a handler of HTTP.
func (h *handler) answer(do func(*request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil { // its value may hold what a record leads to
				h.panicked()
				write(w, nil, errInternal)
			}
		}()
		access, now := h.access.Load(), h.now()
		t, err := access.admit(r)
		if err == nil {
			err = t.used.takeRequest(now, &access.limits)
		}
		if err != nil {
			write(w, nil, err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		result, err := do(&request{Request: r, manager: h.manager, token: t, limits: &access.limits, now: now})
		write(w, result, err)
	}
}

// admit finds the token of a request: a bearer token (RFC 6750 section 2.1), or the key that older clients send.
func (a *access) admit(r *http.Request) (*token, error) {
	given, unknown := r.Header.Get("X-Auth-Key"), errKey
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, rest, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, errHeader
		}
		given, unknown = strings.TrimSpace(rest), errToken
	}
	if given == "" {
		return nil, errNoToken
	}
	if t := a.tokens.find(given); t != nil {
		return t, nil
	}
	return nil, unknown
}

// write writes an answer; that the client does not wait for it any more is no matter.
func write(w http.ResponseWriter, result any, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if text, ok := result.(masterFile); ok && err == nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(text)
		return
	}
	e := envelope{Success: err == nil, Errors: []message{}, Messages: []message{}, Result: result}
	status := http.StatusOK
	if err != nil {
		known, ok := errors.AsType[*Error](err)
		if !ok {
			known = errInternal // its text may hold a path
		}
		e.Errors = append(e.Errors, message{known.Code, known.Text})
		if status = known.Status; status == 0 {
			status = http.StatusBadRequest
		}
		if known.Wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((known.Wait+time.Second-1)/time.Second)))
		}
	}
	if l, ok := result.(listed); ok {
		e.Result, e.Info = l.items, &l.page
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e)
}

// read reads the body of a request. Members that are not known do not count: clients send what they were sent.
func (r *request) read(into any) error {
	err := json.NewDecoder(r.Body).Decode(into)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errTooLarge
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	if err != nil {
		return errBody
	}
	return nil
}

func (r *request) verify() (any, error) {
	return map[string]string{"id": hex.EncodeToString(r.token.hash[:16]), "status": "active"}, nil
}

func (r *request) listNothing() (any, error) {
	if _, err := r.zone(); err != nil {
		return nil, err
	}
	return []any{}, nil
}

// IDOf is an ID that stays the same as long as what it is made of does.
func IDOf(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		_, _ = io.WriteString(hash, part+"\x00")
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}
