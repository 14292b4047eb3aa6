package arch

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"tacit/statement"
)

// What gets at data of clients, or lets something out of the process: by the name of a method, or of what a package gives.
var accessors = []string{
	// Names and addresses.
	"Reveal", "RawQuestion", "RemoteAddr", "ReadMsgUDPAddrPort", "ReadFromUDPAddrPort", "privacy.Client", "privacy.Clients",
	"crowds.Network", "crowds.Table", "Crowded", "crowds.Popularity", "Released",
	// Files, terminals, programs.
	"os.Create", "os.CreateTemp", "os.OpenFile", "os.WriteFile", "os.Stdout", "os.Stderr", "exec.Command", "exec.CommandContext",
	"place.Replace", "place.Rewrite", "place.Follow", "place.Listen",
	// Sockets.
	"DialContext", "net.Dial", "net.Dialer", "net.Listen", "net.ListenConfig", "ListenPacket", "http.Client", "http.Server", "http3.Server",
	// The log.
	"slog.NewTextHandler", "slog.NewJSONHandler",
}

// sinksOf says for each file what its accessors lead to. Whoever adds one to a file decides here which of the places of the privacy
// statement that is; if none fits, the statement gets a new one (statement/sink.go), and tells of it.
var sinksOf = map[string]map[string]statement.Sink{
	"admin/client.go":                 {"DialContext": statement.OwnTerminal, "http.Client": statement.OwnTerminal, "net.Dialer": statement.OwnTerminal},
	"admin/control.go":                {"http.Server": statement.StatusAnswers, "place.Listen": statement.StatusAnswers},
	"admin/monitor.go":                {"http.Server": statement.MetricCounts, "net.ListenConfig": statement.MetricCounts},
	"certificate/acme.go":             {"http.Client": statement.Authorities},
	"certificate/local.go":            {"place.Replace": statement.Files},
	"cmd/tacit/anchors.go":            {"Reveal": statement.OwnTerminal},
	"cmd/tacit/crash_linux.go":        {"exec.Command": statement.LogLines, "os.OpenFile": statement.LogLines},
	"cmd/tacit/main.go":               {"os.Stderr": statement.OwnTerminal, "os.Stdout": statement.OwnTerminal},
	"cmd/tacit/man.go":                {"os.WriteFile": statement.Files},
	"cmd/tacit/serve.go":              {"slog.NewTextHandler": statement.LogLines},
	"cmd/tacit/trace.go":              {"os.Stdout": statement.OwnTerminal},
	"cmd/tacit/zone.go":               {"Reveal": statement.OwnTerminal},
	"cmd/tacit/zone_edit.go":          {"Reveal": statement.OwnTerminal},
	"cmd/tacit/zone_show.go":          {"Reveal": statement.OwnTerminal},
	"config/odoh.go":                  {"Reveal": statement.Pages},
	"discovery/records.go":            {"Reveal": statement.Pages},
	"discovery/service.go":            {"Reveal": statement.Pages},
	"dnssec/anchortext.go":            {"Reveal": statement.Files},
	"dnssec/validator.go":             {"Reveal": statement.Messages},
	"internal/place/file.go":          {"os.CreateTemp": statement.Files},
	"internal/place/socket.go":        {"DialContext": statement.StatusAnswers, "net.Dialer": statement.StatusAnswers, "net.ListenConfig": statement.StatusAnswers},
	"internal/server/anchors.go":      {"Reveal": statement.LogLines, "place.Replace": statement.Files},
	"internal/server/certificates.go": {"Reveal": statement.Pages},
	"internal/server/crowds.go":       {"Crowded": statement.StatusAnswers, "crowds.Table": statement.StatusAnswers, "Released": statement.StatusAnswers, "crowds.Popularity": statement.StatusAnswers},
	"internal/server/server.go":       {"crowds.Table": statement.FailingZones, "crowds.Popularity": statement.PopularZones},
	"internal/server/control.go":      {"Reveal": statement.StatusAnswers},
	"internal/server/keeper.go":       {"Reveal": statement.LogLines},
	"internal/server/manager.go":      {"Reveal": statement.Management},
	"internal/server/status.go":       {"Reveal": statement.StatusAnswers},
	"internal/server/trace.go":        {"Reveal": statement.OwnTerminal},
	"management/server.go":            {"http.Server": statement.Management, "net.ListenConfig": statement.Management},
	"transports/admission.go":         {"privacy.Client": statement.Limits, "privacy.Clients": statement.Limits},
	"transports/finish.go":            {"RawQuestion": statement.Messages},
	"transports/front.go":             {"RawQuestion": statement.Messages, "crowds.Network": statement.FailingZones, "crowds.Table": statement.FailingZones, "crowds.Popularity": statement.PopularZones},
	"transports/server.go":            {"crowds.Table": statement.FailingZones, "crowds.Popularity": statement.PopularZones},
	"transports/https.go":             {"http.Server": statement.Messages},
	"transports/plain.go":             {"place.Listen": statement.FrontProxies},
	"transports/quic.go":              {"RemoteAddr": statement.Connections, "http3.Server": statement.Messages},
	"transports/sharing.go":           {"privacy.Client": statement.Limits, "privacy.Clients": statement.Limits},
	"transports/quic_socket.go":       {"ListenPacket": statement.Messages, "net.ListenConfig": statement.Messages},
	"transports/tcp.go":               {"RemoteAddr": statement.Connections, "net.ListenConfig": statement.Messages},
	"transports/udp.go":               {"ReadMsgUDPAddrPort": statement.Messages},
	"transports/udp_linux.go":         {"ListenPacket": statement.Messages, "net.ListenConfig": statement.Messages},
	"transports/udp_other.go":         {"ListenPacket": statement.Messages, "net.ListenConfig": statement.Messages},
	"upstream/covert.go":              {"Reveal": statement.Authoritative},
	"upstream/client.go":              {"Reveal": statement.Authoritative},
	"upstream/quic.go":                {"DialContext": statement.Forwarders, "RemoteAddr": statement.Forwarders},
	"upstream/system.go":              {"DialContext": statement.Authoritative, "ReadFromUDPAddrPort": statement.Authoritative, "net.Dialer": statement.Authoritative},
	"upstream/tcp.go":                 {"DialContext": statement.Authoritative},
	"upstream/tls.go":                 {"DialContext": statement.Forwarders},
	"upstream/udp.go":                 {"DialContext": statement.Authoritative},
	"zone/axfr.go":                    {"Reveal": statement.ZonePartners},
	"zone/inquiry.go":                 {"Reveal": statement.ZonePartners},
	"zone/keys.go":                    {"Reveal": statement.Files, "place.Replace": statement.Files},
	"zone/leaks.go":                   {"Reveal": statement.OwnTerminal},
	"zone/masterrecord.go":            {"Reveal": statement.Files},
	"zone/notify.go":                  {"DialContext": statement.ZonePartners, "Reveal": statement.ZonePartners},
	"zone/root.go":                    {"DialContext": statement.Authoritative},
	"zone/root_answer.go":             {"Reveal": statement.Resolutions},
	"zone/saving.go":                  {"place.Follow": statement.Files, "place.Rewrite": statement.Files},
	"zone/scan.go":                    {"Reveal": statement.Files},
	"zone/sign.go":                    {"Reveal": statement.OwnTerminal},
	"zone/store.go":                   {"Reveal": statement.Files},
	"zone/visit.go":                   {"DialContext": statement.ZonePartners},
}

// Rooms that only play servers and clients are no part of what serves.
var playing = []string{"internal/testnet", "internal/apart", "internal/lab", "internal/interop", "internal/arch"}

// unreached are sinks to which no accessor leads: their data stays in structures of its own.
var unreached = []statement.Sink{statement.CacheMemory, statement.DebugSessions, statement.Host}

// Row R10: a place that data of clients can go to is in the statement.
func TestSinksAreInTheStatement(t *testing.T) {
	sources := tacit(t)
	report(t, unstated(sources, sinksOf))
	var reached []statement.Sink
	for path, uses := range sinksOf {
		i := slices.IndexFunc(sources, func(s source) bool { return s.path == path })
		for name, sink := range uses {
			reached = append(reached, sink)
			if i < 0 || !mentions(sources[i], name) {
				t.Errorf("%s: is listed for %s, and has none", path, name)
			}
		}
	}
	places := statement.Places(func(statement.Sink) bool { return false })
	for _, sink := range statement.Sinks() {
		if !slices.Contains(reached, sink) && !slices.Contains(unreached, sink) {
			t.Errorf("%s: the statement has it, and no code leads there", places[sink].Name)
		}
	}
}

// unstated lists what leads to a place of which the statement may not know.
func unstated(sources []source, known map[string]map[string]statement.Sink) []string {
	var complaints []string
	for _, s := range shipped(sources) {
		if slices.Contains(playing, s.room()) || s.room() == "internal/wire" || s.room() == "internal/privacy" || isControl(s) {
			continue
		}
		for _, name := range accessors {
			if _, ok := known[s.path][name]; !ok && uses(s, name) {
				complaints = append(complaints, fmt.Sprintf("%s: uses %s, and internal/arch/sinks_test.go does not say which place of the privacy statement that leads to", s.path, name))
			}
		}
	}
	return complaints
}

// isControl reports whether a file is only in the builds that the leak test has to catch.
func isControl(s source) bool {
	if len(s.file.Comments) == 0 {
		return false
	}
	first := s.file.Comments[0].List[0].Text
	return first == "//go:build leaktest" || first == "//go:build leaky"
}

// uses is mentions, but for what a file declares and does not call.
func uses(s source, name string) bool {
	if strings.Contains(name, ".") {
		return mentions(s, name)
	}
	found := false
	ast.Inspect(s.file, func(n ast.Node) bool {
		if x, ok := n.(*ast.SelectorExpr); ok && x.Sel.Name == name {
			found = true
		}
		return !found
	})
	return found
}

func TestNewSinksAreSeen(t *testing.T) {
	known := map[string]map[string]statement.Sink{"upstream/udp.go": {"Reveal": statement.Authoritative}}
	for _, c := range []struct {
		name, path, text string
		want             int
	}{
		{"a name is revealed", "resolver/log.go", "package resolver\nfunc f() { q.Name.Reveal() }\n", 1},
		{"as a method value", "resolver/log.go", "package resolver\nvar f = name.Reveal\n", 1},
		{"a file is written", "cache/dump.go", "package cache\nimport \"os\"\nfunc f() { os.WriteFile(p, b, 0) }\n", 1},
		{"somebody is called", "admin/telemetry.go", "package admin\nimport \"net/http\"\nvar c http.Client\n", 1},
		{"another log", "resolver/log.go", "package resolver\nimport \"log/slog\"\nvar l = slog.NewTextHandler(w, nil)\n", 1},
		{"clients are kept", "policy/table.go", "package policy\nimport \"tacit/internal/privacy\"\nvar t map[privacy.Client]int\n", 1},
		{"crowds are counted", "resolver/table.go", "package resolver\nimport \"tacit/internal/crowds\"\nvar t *crowds.Table\n", 1},
		{"what a crowd has in common is told", "internal/server/log.go", "package server\nfunc f() { s.failing.Crowded(now) }\n", 1},
		{"what is popular is told", "discovery/top.go", "package discovery\nfunc f() { p.Released() }\n", 1},
		{"an address is looked at", "transports/new.go", "package transports\nfunc f() { conn.RemoteAddr() }\n", 1},
		{"what is known", "upstream/udp.go", "package upstream\nfunc f() { q.Name.Reveal() }\n", 0},
		{"another use in a file that is known", "upstream/udp.go", "package upstream\nimport \"os\"\nfunc f() { q.Name.Reveal(); os.Create(p) }\n", 1},
		{"a build that leaks so as to be caught", "upstream/leak.go", "//go:build leaky\n\npackage upstream\nfunc f() { q.Name.Reveal() }\n", 0},
		{"any other build", "upstream/leak.go", "//go:build !leaky\n\npackage upstream\nfunc f() { q.Name.Reveal() }\n", 1},
		{"a test", "upstream/a_test.go", "package upstream\nfunc f() { q.Name.Reveal() }\n", 0},
		{"a declaration", "transports/conn.go", "package transports\nfunc (c conn) RemoteAddr() net.Addr { return nil }\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := unstated(parseText(t, fstest.MapFS{c.path: file("%s", c.text)}), known); len(got) != c.want {
				t.Errorf("got %q, want %d", got, c.want)
			}
		})
	}
}
