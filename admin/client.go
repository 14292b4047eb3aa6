package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"
)

// A Client gives commands to the tacit that listens on a socket.
type Client struct {
	path string
	http *http.Client
}

// Why a command did not reach a running tacit.
var (
	ErrNotRunning = errors.New("tacit is not running, or has its control socket elsewhere")
	ErrNotAllowed = errors.New("the control socket belongs to another user: give the command as root, or as the user that tacit runs as")
)

const (
	answerTime = 60 * time.Second
	maxAnswer  = 4 << 20
)

// NewClient returns a Client for the socket of path. It connects with the first command.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: &http.Client{
		Timeout:   answerTime,
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
	}}
}

// Flush forgets a name, or with subtree, all names at and below it.
func (c *Client) Flush(ctx context.Context, name string, subtree bool) error {
	return c.do(ctx, http.MethodPost, "/flush", command{Name: name, Subtree: subtree}, nil)
}

// FlushAll forgets everything.
func (c *Client) FlushAll(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/flush", command{All: true}, nil)
}

// Exceptions lists the negative trust anchors.
func (c *Client) Exceptions(ctx context.Context) (list []Exception, err error) {
	err = c.do(ctx, http.MethodGet, "/nta", command{}, &list)
	return list, err
}

// AddException sets a negative trust anchor.
func (c *Client) AddException(ctx context.Context, zone string, lifetime time.Duration, reason string) error {
	return c.do(ctx, http.MethodPost, "/nta", command{Zone: zone, For: lifetime.String(), Reason: reason}, nil)
}

// RemoveException ends a negative trust anchor that was set at run time.
func (c *Client) RemoveException(ctx context.Context, zone string) error {
	return c.do(ctx, http.MethodDelete, "/nta", command{Zone: zone}, nil)
}

// Status asks how tacit is.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.do(ctx, http.MethodGet, "/status", command{}, &s)
	return s, err
}

// Reload has the configuration read again.
func (c *Client) Reload(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/reload", command{}, nil)
}

// Statement asks for the privacy statement, in JSON.
func (c *Client) Statement(ctx context.Context) (s json.RawMessage, err error) {
	err = c.do(ctx, http.MethodGet, "/privacy", command{}, &s)
	return s, err
}

// Debug watches a name, and calls show for each event, until the time is over or ctx is done.
func (c *Client) Debug(ctx context.Context, name string, lifetime time.Duration, reason string, show func(DebugEvent) error) error {
	body, err := json.Marshal(command{Name: name, For: lifetime.String(), Reason: reason})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://tacit/debug", bytes.NewReader(body))
	if err != nil {
		return err
	}
	endless := http.Client{Transport: c.http.Transport}
	response, err := endless.Do(request)
	if err != nil {
		return c.explain(err)
	}
	defer response.Body.Close()
	lines := json.NewDecoder(response.Body)
	if response.StatusCode != http.StatusOK {
		return c.refusal(response, lines)
	}
	for {
		var e DebugEvent
		switch err := lines.Decode(&e); {
		case errors.Is(err, io.EOF), ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if err := show(e); err != nil {
			return err
		}
	}
}

// refusal is the error that an answer holds.
func (c *Client) refusal(response *http.Response, body *json.Decoder) error {
	var e Error
	if body.Decode(&e) != nil || e.Text == "" {
		return fmt.Errorf("%s: answers %s, as a tacit of this version would not", c.path, response.Status)
	}
	return &e
}

func (c *Client) do(ctx context.Context, method, path string, order command, result any) error {
	body, err := json.Marshal(order)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://tacit"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.explain(err)
	}
	defer response.Body.Close()
	d := json.NewDecoder(io.LimitReader(response.Body, maxAnswer))
	if response.StatusCode == http.StatusOK {
		if result == nil {
			return nil
		}
		return d.Decode(result)
	}
	return c.refusal(response, d)
}

// explain says what a failure to connect means.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: %w", c.path, ErrNotRunning)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w", c.path, ErrNotAllowed)
	}
	if inner, ok := errors.AsType[*net.OpError](err); ok {
		err = inner
	}
	return fmt.Errorf("%s: %w", c.path, err)
}
