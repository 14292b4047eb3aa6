package privacy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A pretender tries what a type can try to be printed.
type pretender struct{ text string }

func (p pretender) String() string               { return p.text }
func (p pretender) LogValue() slog.Value         { return slog.StringValue(p.text) }
func (p pretender) MarshalText() ([]byte, error) { return []byte(p.text), nil }

type nested struct {
	Addr netip.Addr
	text string
}

type group struct{ text string }

func (g group) LogValue() slog.Value {
	return slog.GroupValue(slog.String("text", g.text), slog.Int("count", 7))
}

type constantError struct{}

func (constantError) Error() string { return "deadline passed" }
func (constantError) ConstantText() {}

const secret = "www.secret.example"

func TestHandlerRedacts(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		want  string // in JSON
	}{
		{"a string", secret, `"[redacted]"`},
		{"octets", []byte(secret), `"[redacted]"`},
		{"an address", netip.MustParseAddr("192.0.2.1"), `"[redacted]"`},
		{"a struct", nested{netip.MustParseAddr("192.0.2.1"), secret}, `"[redacted]"`},
		{"a pointer", &nested{text: secret}, `"[redacted]"`},
		{"a map", map[string]int{secret: 1}, `"[redacted]"`},
		{"a list of strings", []string{secret}, `"[redacted]"`},
		{"nothing", nil, `"[redacted]"`},
		{"an error", errors.New(secret), `"[redacted]"`},
		{"a wrapped error", fmt.Errorf("%s: %w", secret, errors.ErrUnsupported), `"[redacted]"`},
		{"an error of constant text", constantError{}, `"deadline passed"`},
		{"the same, wrapped in one that is not", fmt.Errorf("%s: %w", secret, constantError{}), `"deadline passed"`},
		{"a Stringer, LogValuer and TextMarshaler", pretender{secret}, `"[redacted]"`},
		{"a time", time.Unix(0, 0), `"[redacted]"`},
		{"a group", slog.GroupValue(slog.String("a", secret), slog.Int("b", 2)), `{"a":"[redacted]","b":2}`},
		{"a LogValuer that is a group", group{secret}, `{"text":"[redacted]","count":7}`},
		{"a list of public text", []Public{secret}, `"[redacted]"`},
		{"public text", Public("example."), `"example."`},
		{"a client", new(Clients).Of(netip.MustParseAddr("192.0.2.1"), noon), `"[client]"`},
		{"a count", 42, `42`},
		{"an unsigned count", uint16(42), `42`},
		{"a share", 0.5, `0.5`},
		{"a boolean", true, `true`},
		{"a duration", 1500 * time.Millisecond, `1500000000`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for way, log := range map[string]func(*slog.Logger){
				"attribute": func(l *slog.Logger) { l.Info("m", "k", c.value) },
				"With":      func(l *slog.Logger) { l.With("k", c.value).Info("m") },
				"error":     func(l *slog.Logger) { l.Error("m", slog.Any("k", c.value)) },
			} {
				var asJSON, text bytes.Buffer
				log(slog.New(NewHandler(slog.NewJSONHandler(&asJSON, nil))))
				log(slog.New(NewHandler(slog.NewTextHandler(&text, nil))))
				var got struct{ K json.RawMessage }
				if err := json.Unmarshal(asJSON.Bytes(), &got); err != nil {
					t.Fatal(err)
				}
				if string(got.K) != c.want {
					t.Errorf("%s: %s, want %s", way, got.K, c.want)
				}
				for _, out := range []string{asJSON.String(), text.String()} {
					if strings.Contains(out, secret) || strings.Contains(out, "192.0.2.1") {
						t.Errorf("%s lets through: %s", way, out)
					}
				}
			}
		})
	}
}

func TestHandlerKeepsGroupsAndLevels(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(NewHandler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})))
	log.Info("below the level")
	log.WithGroup("g").With("a", secret).Warn("constant", slog.Group("h", "b", secret, "c", 1))
	if got := out.String(); !strings.Contains(got, `msg=constant g.a=[redacted] g.h.b=[redacted] g.h.c=1`) || strings.Contains(got, "below") {
		t.Error(got)
	}
}
