package arch

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"tacit/internal/wire"
)

// What goes into a Responder and what comes out of it has no place where the client's address would fit: so it cannot
// be kept, logged or sent upstream by anything behind the transports, by mistake or otherwise.
func TestQuestionsAndAnswersAreAddressFree(t *testing.T) {
	report(t, addressPlaces(reflect.TypeFor[wire.Question]()))
	report(t, addressPlaces(reflect.TypeFor[wire.Answer]()))
}

// opaque types are known to hold what their name says.
var opaque = []reflect.Type{reflect.TypeFor[wire.Name](), reflect.TypeFor[time.Time]()}

// permitted fields would fit an address; each has its reason.
var permitted = map[string]string{
	"Answer.Packet":          "the message itself, shared by everybody who asks the same question",
	"Answer.Lives[].Seconds": "a TTL of the past, of a record in that message",
	"Answer.Lives[].Mark":    "a hash of the name and type of a record in that message, keyed for this process",
	"Answer.Errors[].Text":   "EXTRA-TEXT of RFC 8914 section 2: names a limit, never a name or an address",
}

// addressSize is what the smaller kind of address, of IPv4, takes.
const addressSize = 4

// addressPlaces lists the fields reached from t in which an address fits, whatever they are called.
func addressPlaces(t reflect.Type) []string {
	var complaints []string
	var walk func(path string, t reflect.Type)
	seen := map[reflect.Type]bool{}
	walk = func(path string, t reflect.Type) {
		if permitted[path] != "" || slices.Contains(opaque, t) {
			return
		}
		switch {
		case isNumber(t.Kind()) && t.Size() < addressSize:
		case t.Kind() == reflect.Struct && !seen[t] && t.PkgPath() != "net" && t.PkgPath() != "net/netip":
			seen[t] = true
			for f := range t.Fields() {
				walk(path+"."+f.Name, f.Type)
			}
		case t.Kind() == reflect.Struct && seen[t]:
		case t.Kind() == reflect.Slice && !isNumber(t.Elem().Kind()):
			walk(path+"[]", t.Elem())
		default:
			complaints = append(complaints, fmt.Sprintf("%s: an address fits into %s", path, t))
		}
	}
	walk(t.Name(), t)
	return complaints
}

func isNumber(k reflect.Kind) bool { return reflect.Bool <= k && k <= reflect.Complex128 }

func TestAddressPlacesAreFound(t *testing.T) {
	type small struct {
		Flag bool
		Code uint16
	}
	type nested struct{ Inner struct{ Deep netip.AddrPort } }
	for _, c := range []struct {
		name string
		t    reflect.Type
		want []string
	}{
		{"an address", reflect.TypeFor[struct{ A netip.Addr }](), []string{".A: an address fits into netip.Addr"}},
		{"an address in an unexported field", reflect.TypeFor[struct{ a netip.Addr }](), []string{".a: an address fits into netip.Addr"}},
		{"an address and port, nested", reflect.TypeFor[nested](), []string{"nested.Inner.Deep: an address fits into netip.AddrPort"}},
		{"a prefix", reflect.TypeFor[struct{ P netip.Prefix }](), []string{".P: an address fits into netip.Prefix"}},
		{"a list of addresses", reflect.TypeFor[struct{ A []netip.Addr }](), []string{".A[]: an address fits into netip.Addr"}},
		{"net.IP", reflect.TypeFor[struct{ A net.IP }](), []string{".A: an address fits into net.IP"}},
		{"net.Addr", reflect.TypeFor[struct{ A net.Addr }](), []string{".A: an address fits into net.Addr"}},
		{"a string", reflect.TypeFor[struct{ A string }](), []string{".A: an address fits into string"}},
		{"an array of bytes", reflect.TypeFor[struct{ A [16]byte }](), []string{".A: an address fits into [16]uint8"}},
		{"a number that takes IPv4", reflect.TypeFor[struct{ A uint32 }](), []string{".A: an address fits into uint32"}},
		{"a pointer", reflect.TypeFor[struct{ A *small }](), []string{".A: an address fits into *arch.small"}},
		{"anything", reflect.TypeFor[struct{ A any }](), []string{".A: an address fits into interface {}"}},
		{"a closure", reflect.TypeFor[struct{ A func() }](), []string{".A: an address fits into func()"}},
		{"a map", reflect.TypeFor[struct{ A map[uint8]bool }](), []string{".A: an address fits into map[uint8]bool"}},
		{"small numbers, a name, a time", reflect.TypeFor[struct {
			S small
			N wire.Name
			T time.Time
		}](), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := addressPlaces(c.t); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
