package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"tacit/internal/wire"
)

// A handler answers commands. Each is a function from the body of a request to that of an answer.
type handler struct{ Options }

// An Error is why a command was not done, in words for the operator.
type Error struct {
	Text string `json:"error"`
	// Misuse is set where the command, or the configuration that it is about, is at fault, and not what it met.
	Misuse bool `json:"misuse"`
}

func (e *Error) Error() string { return e.Text }

// Misuse says that the command is at fault.
func Misuse(err error) *Error { return &Error{Text: err.Error(), Misuse: true} }

// A command is the body of each request; which members count depends on the request.
type command struct {
	Name    string `json:"name,omitempty"` // to flush
	Subtree bool   `json:"subtree,omitempty"`
	All     bool   `json:"all,omitempty"`

	Zone   string `json:"zone,omitempty"` // of a negative trust anchor
	For    string `json:"for,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Done is the body of an answer that has nothing more to say.
type done struct{}

var (
	errBody  = &Error{Text: "the body is not the JSON object that the command takes", Misuse: true}
	errName  = &Error{Text: "that is not a domain name", Misuse: true}
	errWhat  = &Error{Text: "flush takes either a name or all", Misuse: true}
	errFor   = &Error{Text: "the time is not one such as 24h or 90m", Misuse: true}
	errPrint = &Error{Text: "the reason has characters that cannot be printed", Misuse: true}
	errPanic = &Error{Text: "the command failed for a mistake in tacit"}
)

func newHandler(o Options) http.Handler {
	h := &handler{o}
	mux := http.NewServeMux()
	for pattern, run := range h.commands() {
		mux.HandleFunc(pattern, h.answer(run))
	}
	mux.HandleFunc("POST /debug", h.debug) // whose answer has no end of its own
	return mux
}

// commands are all that the socket understands. None of them lists clients, or names that were asked for, but
// domains that many client networks have in common.
func (h *handler) commands() map[string]func(context.Context, command) (any, error) {
	return map[string]func(context.Context, command) (any, error){
		"POST /flush":  h.flush,
		"GET /nta":     h.listExceptions,
		"POST /nta":    h.addException,
		"DELETE /nta":  h.removeException,
		"GET /status":  h.status,
		"POST /reload": h.reload,
		"GET /privacy": h.statement,
	}
}

// answer makes a handler of HTTP.
func (h *handler) answer(run func(context.Context, command) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil { // its value may hold a name
				h.Panicked()
				write(w, nil, errPanic)
			}
		}()
		c, err := readCommand(w, r)
		if err != nil {
			write(w, nil, err)
			return
		}
		result, err := run(context.WithoutCancel(r.Context()), c) // what has begun ends, whoever waits
		write(w, result, err)
	}
}

func readCommand(w http.ResponseWriter, r *http.Request) (command, error) {
	var c command
	if r.ContentLength == 0 {
		return c, nil
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if d.Decode(&c) != nil || d.More() {
		return command{}, errBody
	}
	return c, nil
}

// write writes an answer; that the command does not wait for it any more is no matter.
func write(w http.ResponseWriter, result any, err error) {
	code := http.StatusOK
	if err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			e = &Error{Text: err.Error()}
		}
		result, code = e, http.StatusConflict
		if e.Misuse {
			code = http.StatusBadRequest
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(result)
}

// debug writes events as they come, a line each, for as long as somebody reads them.
func (h *handler) debug(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if recover() != nil { // its value may hold a name
			h.Panicked()
		}
	}()
	c, err := readCommand(w, r)
	var name wire.Name
	var lifetime time.Duration
	if err == nil {
		name, lifetime, err = h.readDebug(c)
	}
	if err != nil {
		write(w, nil, err)
		return
	}
	control, begun := http.NewResponseController(w), false
	_ = control.SetReadDeadline(time.Time{}) // that the terminal goes away is read
	_ = control.SetWriteDeadline(time.Time{})
	tell := func(e DebugEvent) error {
		begun = true
		return errors.Join(json.NewEncoder(w).Encode(e), control.Flush())
	}
	if err := h.Debugger.Debug(r.Context(), name, lifetime, c.Reason, tell); err != nil && !begun {
		write(w, nil, err)
	}
}

var errDebug = &Error{Text: "nothing can be watched here"}

func (h *handler) readDebug(c command) (name wire.Name, lifetime time.Duration, err error) {
	if h.Debugger == nil {
		return name, 0, errDebug
	}
	if name, err = parseName(c.Name); err != nil {
		return name, 0, err
	}
	if lifetime, err = time.ParseDuration(c.For); err != nil {
		return name, 0, errFor
	}
	if strings.ContainsFunc(c.Reason, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return name, 0, errPrint
	}
	return name, lifetime, nil
}

func (h *handler) flush(_ context.Context, c command) (any, error) {
	switch {
	case c.All != (c.Name == ""):
		return nil, errWhat
	case c.All:
		h.Cache.FlushSubtree(wire.Root)
		return done{}, nil
	}
	name, err := parseName(c.Name)
	switch {
	case err != nil:
		return nil, err
	case c.Subtree:
		h.Cache.FlushSubtree(name)
	default:
		h.Cache.Flush(name)
	}
	return done{}, nil
}

// parseName does not say what is wrong with a name, lest it be said elsewhere, too.
func parseName(text string) (wire.Name, error) {
	name, err := wire.ParseName(text)
	if err != nil || text == "" {
		return wire.Name{}, errName
	}
	return name, nil
}

func (h *handler) listExceptions(context.Context, command) (any, error) {
	return h.Exceptions.List(), nil
}

func (h *handler) addException(_ context.Context, c command) (any, error) {
	zone, err := parseName(c.Zone)
	if err != nil {
		return nil, err
	}
	lifetime, err := time.ParseDuration(c.For)
	switch {
	case err != nil:
		return nil, errFor
	case strings.ContainsFunc(c.Reason, func(r rune) bool { return !unicode.IsPrint(r) }): // it is shown on terminals
		return nil, errPrint
	}
	return done{}, h.Exceptions.Add(zone, lifetime, c.Reason)
}

func (h *handler) removeException(_ context.Context, c command) (any, error) {
	zone, err := parseName(c.Zone)
	if err != nil {
		return nil, err
	}
	return done{}, h.Exceptions.Remove(zone)
}

func (h *handler) status(context.Context, command) (any, error) { return h.Process.Status(), nil }

func (h *handler) statement(context.Context, command) (any, error) {
	return json.RawMessage(h.Statement()), nil
}

func (h *handler) reload(ctx context.Context, _ command) (any, error) {
	return done{}, h.Process.Reload(ctx)
}
