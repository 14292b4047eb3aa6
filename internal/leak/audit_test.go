//go:build leak

package leak

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An audit is one tacit in one world, with its clients.
type audit struct {
	t      *testing.T
	plan   *plan
	world  *world
	tacit  *tacit
	asked  *askers
	search *searcher
	watch  *capture
	table  *table

	settings
}

const seed = 1

// begin serves a world and starts a tacit in it.
func begin(t *testing.T, o settings) *audit {
	t.Helper()
	p := newPlan(seed, o.plan...)
	a := &audit{t: t, plan: p, world: newWorld(p), asked: &askers{}, search: newSearcher(p.clients, p.unused), table: &table{}}
	a.world.serve(t)
	a.settings = o
	a.watch = startCapture(t)
	a.tacit = a.world.start(t, a.settings)
	return a
}

// work has everybody ask; what tacit does with servers that encrypt is seen when it had the time to find out.
func (a *audit) work() {
	clients := slices.DeleteFunc(slices.Clone(a.plan.clients), func(c *client) bool {
		return slices.Contains([]class{"crypt", "sizes", "snooped", "fresh", "mistyped"}, c.class)
	})
	a.plan.random.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
	good, strange, _ := a.asked.askAll(a.t.Context(), clients)
	clients = append(clients, a.plan.of("mistyped")...)
	for _, c := range a.plan.of("mistyped") { // one after the other: what one teaches the next may use
		typed, _, _ := a.asked.askAll(a.t.Context(), []*client{c})
		good += typed
	}
	share := 100 * good / len(clients)
	a.table.add("answered", fmt.Sprintf("sanity: clients answered as planned, in percent; otherwise: %v", strange), fmt.Sprint(share), ">= 98", share >= 98)
}

// outputs searches what tacit wrote, and what its commands and pages say.
func (a *audit) outputs(said []byte) {
	log := a.tacit.output(a.t)
	a.clean("log", "standard output and error at level "+a.level, log)
	a.clean("commands", "commands, metrics and pages", said)
	a.table.atLeast("commands.octets", "sanity: octets that commands, metrics and pages gave", len(said), 2000, 0)
	contents, list, strays := a.tacit.files(a.t)
	a.clean("files", "files written: "+strings.Join(list, " "), contents)
	a.table.atMost("strays", "files that were opened for writing elsewhere, or are gone", len(strays), 0, 0)
	for _, s := range strays {
		a.t.Log(s)
	}
	a.table.atMost("syslog", "connections to Unix sockets, such as that of syslog", a.tacit.unixConnections(a.t), 0, 0)
}

// clean adds rows about names and addresses in something that may hold none.
func (a *audit) clean(key, what string, octets []byte) {
	f := newFound()
	f.look(a.search, octets)
	what += fmt.Sprintf(" (%d octets)", len(octets))
	a.table.atMost(key+".names", "names in "+what, of(f.names, a.plan.clients), 0, len(a.plan.clients))
	a.table.atMost(key+".headers", "header values of requests in "+what, of(f.headers, a.plan.clients), 0, len(a.plan.clients))
	a.table.atMost(key+".addresses", "addresses in "+what, of(f.addresses, a.plan.clients), 0, len(a.plan.clients))
}

// said is what the commands of an operator print, and what stands on the pages.
func (a *audit) said() []byte {
	var all []byte
	for _, command := range [][]string{{"status"}, {"status", "--json"}, {"nta", "list"}, {"anchors"}, {"flush", "nobody.example"}, {"privacy"}} {
		all = append(all, a.tacit.control(a.t, command...)...)
	}
	for _, path := range []string{"/metrics", "/livez", "/readyz", "/privacy", "/privacy.json"} {
		all = append(all, a.get("http://127.0.0.1:9153"+path)...)
	}
	for _, path := range []string{"/privacy", "/privacy.json", "/.well-known/dns-privacy-statement", "/help"} {
		all = append(all, a.get("https://"+front4.String()+path)...)
	}
	return all
}

func (a *audit) get(url string) []byte {
	ctx, cancel := context.WithTimeout(a.t.Context(), 5*time.Second)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return append(fmt.Appendf(nil, "%s %v\n", response.Status, response.Header), body...)
}

// memory adds the rows of what is in memory after the last answer, and after a flush.
func (a *audit) memory() {
	all, clients := len(a.plan.clients), a.plan.clients
	last := time.Now()
	time.Sleep(time.Until(last.Add(time.Second)))
	soon := a.tacit.memory(a.t, a.search)
	a.table.towards("memory.1s", "addresses in memory, 1 s after the last answer", of(soon.addresses, clients), 16, 100, all)
	a.table.towards("pairs.1s", "pairs of address and name in memory, 1 s after the last answer", of(soon.pairs, clients), 0, 40, all)
	time.Sleep(time.Until(last.Add(30 * time.Second)))
	late := a.tacit.memory(a.t, a.search)
	a.table.atMost("memory.30s", "addresses in memory, 30 s after the last answer", of(late.addresses, clients), 5, all)
	a.table.towards("pairs.30s", "pairs of address and name in memory, 30 s after the last answer", of(late.pairs, clients), 0, 2, all)
	a.table.atMost("headers.30s", "header values of requests in memory, 30 s after the last answer", of(late.headers, clients), 5, all)
	a.table.atLeast("memory.cache", "sanity: names in memory before the flush", of(late.names, clients), 200, all)
	a.table.atLeast("memory.octets", "sanity: octets of memory searched", late.octets, 4<<20, 0)
	a.tacit.control(a.t, "flush", "--all")
	flushed := a.tacit.memory(a.t, a.search)
	a.table.towards("memory.flushed", "names in memory after the flush", of(flushed.names, clients), 0, 10, all)
	a.table.atMost("flushed.addresses", "addresses in memory after the flush", of(flushed.addresses, clients), 5, all)
	for _, f := range []*found{soon, late, flushed} {
		a.describe(f)
	}
	for _, c := range clients {
		if text := flushed.around[c]; text != "" && of(flushed.names, clients) < 30 {
			a.t.Logf("after the flush, %s of class %s: %s", c.marker, c.class, text)
		}
	}
	chance := of(soon.addresses, a.plan.unused) + of(late.addresses, a.plan.unused) + of(flushed.addresses, a.plan.unused)
	a.table.atMost("control.addresses", "control: addresses that nobody used, in all three searches", chance, 0, 3*all)
	chance = of(soon.names, a.plan.unused) + of(late.names, a.plan.unused) + of(flushed.names, a.plan.unused)
	a.table.atMost("control.names", "control: names that nobody asked for, in all three searches", chance, 0, 3*all)
}

// describe logs of which classes and transports what was found is, for whoever has to mend it.
func (a *audit) describe(f *found) {
	by := func(set map[*client]bool, what func(c *client) string) map[string]int {
		n := map[string]int{}
		for c := range set {
			n[what(c)]++
		}
		return n
	}
	a.t.Logf("names by class: %v\naddresses by transport: %v, by class: %v", by(f.names, func(c *client) string { return string(c.class) }),
		by(f.addresses, func(c *client) string { return string(c.way) }), by(f.addresses, func(c *client) string { return string(c.class) }))
}

// core is whether the kernel may write the memory to a file (RLIMIT_CORE).
func (a *audit) core() {
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", a.tacit.cmd.Process.Pid))
	if err != nil {
		a.t.Fatal(err)
	}
	none := coreLimit.Match(limits)
	a.table.add("core", "core files are allowed", fmt.Sprint(!none), "false", none)
}

var coreLimit = regexp.MustCompile(`(?m)^Max core file size +0 +0 `)

// end stops tacit and searches what it leaves.
func (a *audit) end(by syscall.Signal) {
	said := a.said()
	a.core()
	a.tacit.stop(a.t, by)
	a.outputs(said)
}
