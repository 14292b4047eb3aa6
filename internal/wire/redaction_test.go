package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"text/template"

	"tacit/internal/wire"
)

const secret = "secret-label"

// A holder has the name where fmt calls its methods and where it cannot.
type holder struct {
	Exported   wire.Name
	unexported wire.Name
	Pointer    *wire.Name
	List       []wire.Name
	Map        map[wire.Name]wire.Name
	Any        any
	Nested     struct{ inner wire.Question }
	array      [1]wire.Name
}

func held() holder {
	n := wire.MustName(secret + ".example.")
	h := holder{
		Exported: n, unexported: n, Pointer: &n, List: []wire.Name{n}, Map: map[wire.Name]wire.Name{n: n}, Any: n, array: [1]wire.Name{n},
	}
	h.Nested.inner.Name = n
	return h
}

// wrappings are the ways in which a name gets into what is printed.
func wrappings() map[string]any {
	h := held()
	n := h.Exported
	return map[string]any{
		"name":                    n,
		"pointer":                 &n,
		"slice":                   h.List,
		"map":                     h.Map,
		"array":                   h.array,
		"question":                h.Nested.inner,
		"pointer to question":     &h.Nested.inner,
		"struct":                  h,
		"pointer to struct":       &h,
		"slice of structs":        []holder{h},
		"slice of pointers":       []*holder{&h},
		"map of structs":          map[string]holder{"key": h},
		"RRset":                   wire.RRset{Name: n},
		"interface in a struct":   struct{ v any }{h},
		"error that holds a name": fmt.Errorf("step: %v", n),
		"reflect.Value":           reflect.ValueOf(h),
	}
}

func TestNamePrintsAsName(t *testing.T) {
	verbs := "vTtbcdoOqxXUeEfFgGsp"
	for what, v := range wrappings() {
		for _, verb := range verbs {
			for _, flags := range []string{"", "+", "#", "-20", "020", " ", ".3"} {
				format := "%" + flags + string(verb)
				if got := fmt.Sprintf(format, v); leaks(got) {
					t.Errorf("%s with %s: %s", what, format, got)
				}
			}
		}
		for how, got := range map[string]string{
			"Sprint":   fmt.Sprint(v),
			"Sprintln": fmt.Sprintln(v),
			"Append":   string(fmt.Append(nil, v)),
			"Errorf":   fmt.Errorf("%v: %w", v, errors.ErrUnsupported).Error(),
			"template": execute(t, v),
		} {
			if leaks(got) {
				t.Errorf("%s with %s: %s", what, how, got)
			}
		}
	}
}

func TestNameIsRedactedVisibly(t *testing.T) {
	n := held().Exported
	for format, want := range map[string]string{"%v": "[name]", "%s": "[name]", "%q": "[name]", "%x": "[name]", "%#v": "[name]", "%d": "[name]"} {
		if got := fmt.Sprintf(format, n); got != want {
			t.Errorf("%s: %q", format, got)
		}
	}
	if n.String() != "[name]" || n.GoString() != "[name]" || n.LogValue().String() != "[name]" {
		t.Error("a method reveals or hides more")
	}
	if got := fmt.Sprint(wire.Root); got != "[name]" {
		t.Errorf("the root prints as %q, so that a name that is not the root can be told", got)
	}
}

func TestNameIsLoggedAsName(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(b *bytes.Buffer) slog.Handler
	}{
		{"text", func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) }},
		{"JSON", func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			for what, v := range wrappings() {
				var b bytes.Buffer
				log := slog.New(c.make(&b))
				log.Info("message", "value", v)
				log.With("value", v).WithGroup("group").Info("message", slog.Group("inner", "value", v))
				if leaks(b.String()) {
					t.Errorf("%s: %s", what, b.String())
				}
				if b.Len() == 0 {
					t.Errorf("%s: nothing was logged", what)
				}
			}
		})
	}
}

func TestNameMarshalsAsName(t *testing.T) {
	h := held()
	h.Any, h.Map = h.Exported, map[wire.Name]wire.Name{h.Exported: h.Exported}
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	if leaks(string(b)) || !strings.Contains(string(b), `"Exported":"[name]"`) || !strings.Contains(string(b), `{"[name]":"[name]"}`) {
		t.Errorf("got %s", b)
	}
}

// TestLeaksAreFound shows that leaks can fail.
func TestLeaksAreFound(t *testing.T) {
	revealed := held().Exported.Reveal()
	for _, format := range []string{"%s", "%q", "%x", "%X", "% x", "%v"} {
		if got := fmt.Sprintf(format, revealed); !leaks(got) {
			t.Errorf("%s: not found in %s", format, got)
		}
	}
	if octets := []byte(revealed); !leaks(fmt.Sprintf("%d", octets)) {
		t.Error("not found in a list of numbers")
	}
}

func leaks(text string) bool {
	plain := strings.ToLower(text)
	for _, form := range []string{
		secret,
		fmt.Sprintf("%x", secret),
		fmt.Sprintf("% x", secret),
		strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]"),
	} {
		if strings.Contains(plain, form) {
			return true
		}
	}
	return false
}

func execute(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	if err := template.Must(template.New("").Parse("{{.}}")).Execute(&b, v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestQuestionAndAnswerHoldNoAddress(t *testing.T) {
	for _, kind := range []reflect.Type{reflect.TypeFor[wire.Question](), reflect.TypeFor[wire.Answer](), reflect.TypeFor[wire.RRset]()} {
		if path := findAddress(kind, kind.Name()); path != "" {
			t.Errorf("an address fits into %s", path)
		}
	}
}

func TestAddressesAreFound(t *testing.T) {
	for name, kind := range map[string]reflect.Type{
		"Addr":     reflect.TypeFor[struct{ a netip.Addr }](),
		"AddrPort": reflect.TypeFor[struct{ A []netip.AddrPort }](),
		"IP":       reflect.TypeFor[struct{ A net.IP }](),
		"net.Addr": reflect.TypeFor[struct{ A net.Addr }](),
		"array":    reflect.TypeFor[struct{ A [16]byte }](),
		"pointer":  reflect.TypeFor[struct{ A *net.UDPAddr }](),
		"anything": reflect.TypeFor[struct{ A any }](),
		"map":      reflect.TypeFor[struct{ A map[netip.Addr]bool }](),
	} {
		if findAddress(kind, name) == "" {
			t.Errorf("%s: not found", name)
		}
	}
}

// findAddress returns the first place reached from t that is made for an address, or into which anything fits.
func findAddress(t reflect.Type, path string) string {
	if t == reflect.TypeFor[wire.Name]() || t.PkgPath() == "time" {
		return ""
	}
	if strings.HasPrefix(t.PkgPath(), "net") {
		return path
	}
	switch t.Kind() {
	case reflect.Interface, reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return path
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return path
		}
		return findAddress(t.Elem(), path+"[]")
	case reflect.Slice, reflect.Pointer:
		return findAddress(t.Elem(), path+"[]")
	case reflect.Map:
		return either(findAddress(t.Key(), path+" key"), findAddress(t.Elem(), path+"[]"))
	case reflect.Struct:
		for f := range t.Fields() {
			if found := findAddress(f.Type, path+"."+f.Name); found != "" {
				return found
			}
		}
	default:
	}
	return ""
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
