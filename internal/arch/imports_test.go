package arch

import (
	"fmt"
	"slices"
	"testing"
	"testing/fstest"
)

func TestImportsFollowTheTable(t *testing.T) {
	report(t, forbiddenImports(tacit(t)))
}

// forbiddenImports holds each import of a shipped file against the table.
func forbiddenImports(sources []source) []string {
	var complaints []string
	for _, s := range shipped(sources) {
		r, ok := findRoom(s.room())
		if !ok {
			complaints = append(complaints, fmt.Sprintf("%s: package %s has no row in the import table", s.path, s.room()))
			continue
		}
		for _, spec := range s.file.Imports {
			if why := r.refuse(importPath(spec)); why != "" {
				complaints = append(complaints, fmt.Sprintf("%s: %s must not import %s: %s", s.path, r.path, importPath(spec), why))
			}
		}
	}
	return complaints
}

func TestForbiddenImportsAreReported(t *testing.T) {
	for _, c := range []struct {
		name, path, imported string
		want                 []string
	}{
		{"a sibling", "cache/packets.go", "tacit/upstream", []string{
			"cache/packets.go: cache must not import tacit/upstream: the row of cache allows internal/wire, internal/siphash",
		}},
		{"upwards", "transports/udp.go", "tacit/resolver", []string{
			"transports/udp.go: transports must not import tacit/resolver: the row of transports allows internal/wire, internal/privacy, internal/place, internal/odoh, internal/siphash, internal/crowds",
		}},
		{"from the foundations", "internal/work/budget.go", "tacit/internal/wire", []string{
			"internal/work/budget.go: internal/work must not import tacit/internal/wire: the row of internal/work allows nothing of tacit",
		}},
		{"a room below an allowed one", "resolver/scrub.go", "tacit/cache/store", []string{
			"resolver/scrub.go: resolver must not import tacit/cache/store: the row of resolver allows cache, dnssec, zone, policy, upstream, internal/wire, internal/work",
		}},
		{"the test internet in a shipped file", "resolver/iterate.go", "tacit/internal/testnet", []string{
			"resolver/iterate.go: resolver must not import tacit/internal/testnet: the row of resolver allows cache, dnssec, zone, policy, upstream, internal/wire, internal/work",
		}},
		{"whole messages in the cache", "cache/packets.go", "github.com/miekg/dns", []string{
			"cache/packets.go: cache must not import github.com/miekg/dns: github.com/miekg/dns belongs to " +
				"dnssec, zone, upstream, resolver, transports, internal/testnet, internal/lab, internal/interop",
		}},
		{"a part of a confined module", "policy/access.go", "github.com/miekg/dns/dnsutil", []string{
			"policy/access.go: policy must not import github.com/miekg/dns/dnsutil: github.com/miekg/dns belongs to " +
				"dnssec, zone, upstream, resolver, transports, internal/testnet, internal/lab, internal/interop",
		}},
		{"a module in a standard room", "internal/wire/name.go", "golang.org/x/net/idna", []string{
			"internal/wire/name.go: internal/wire must not import golang.org/x/net/idna: this room imports the standard library only",
		}},
		{"guessable random numbers", "upstream/udp.go", "math/rand/v2", []string{
			"upstream/udp.go: upstream must not import math/rand/v2: its values go on the wire and must come from crypto/rand",
		}},
		{"the unredacted logger", "cmd/tacit/main.go", "log", []string{
			"cmd/tacit/main.go: cmd/tacit must not import log: log/slog with the redacting handler is the only way to log",
		}},
		{"a package without a row", "internal/util/strings.go", "strings", []string{
			"internal/util/strings.go: package internal/util has no row in the import table",
		}},
		{"a package at the root", "main.go", "strings", []string{"main.go: package . has no row in the import table"}},
		{"a row that allows it", "resolver/scrub.go", "tacit/cache", nil},
		{"a module that is not confined", "cache/side.go", "github.com/hashicorp/golang-lru/v2", nil},
		{"the structured logger", "transports/udp.go", "log/slog", nil},
		{"random numbers that stay inside", "internal/testnet/loss.go", "math/rand/v2", nil},
		{"anything in a test", "internal/wire/name_test.go", "github.com/miekg/dns", nil},
		{"what the go command skips", "internal/wire/testdata/x.go", "github.com/miekg/dns", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			sources := parseText(t, fstest.MapFS{c.path: file("package p\nimport _ %q\n", c.imported)})
			if got := forbiddenImports(sources); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// The table itself: rows name rooms, once each, and no row closes a circle.
func TestTableHasNoCycle(t *testing.T) {
	const (
		entered = iota + 1
		left
	)
	state := map[string]int{}
	var visit func(r room)
	visit = func(r room) {
		if state[r.path] == entered {
			t.Fatalf("%s is reached from itself", r.path)
		}
		if state[r.path] == left {
			return
		}
		state[r.path] = entered
		for _, p := range r.may {
			next, ok := findRoom(p)
			if !ok {
				t.Errorf("the row of %s allows %s, which has no row", r.path, p)
				continue
			}
			visit(next)
		}
		state[r.path] = left
	}
	for _, r := range rooms {
		visit(r)
	}
	if len(state) != len(rooms) {
		t.Errorf("%d rows for %d rooms", len(rooms), len(state))
	}
}

func file(format string, args ...any) *fstest.MapFile {
	return &fstest.MapFile{Data: fmt.Appendf(nil, format, args...)}
}

func parseText(t *testing.T, files fstest.MapFS) []source {
	t.Helper()
	sources, err := parse(files)
	if err != nil {
		t.Fatal(err)
	}
	return sources
}
