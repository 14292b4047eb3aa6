package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Beside answers (see internal/lab), what could tell an origin is what tacit says to its operator: the control socket, its log at the
// lowest level, the metrics, health and the statement, and the management API where a token is missing or wrong, or a request is refused. Only what a good token asks for
// shows one, which shows that the search is not blind.
func TestOriginsAreInNoOutput(t *testing.T) {
	x := newHome(t)
	zone, said := hiddenZone()
	write(t, x.file("home.zone"), zone)
	write(t, x.file("tokens"), testToken+"\n"+strings.Repeat("z", 40)+" more.test\n")
	text, socket := controlled(t)
	_, control, _ := strings.Cut(text, "[admin]")
	s, log := x.start(t, managedHere+"[log]\nlevel = 'debug'\n[admin]\nlisten = '127.0.0.1:0'"+control)
	m := &apiClient{T: t, Server: s, x: x, token: testToken}
	home := m.zone("home.test")

	if _, shown := m.do(200, "GET", home+"/dns_records?per_page=5000", ""); said.count(shown) == 0 {
		t.Error("the search is blind")
	}
	_, shown := m.do(200, "GET", home, "")
	said.hear(t, "a zone", shown)
	for _, token := range []string{"", "wrong", strings.Repeat("z", 40)} {
		m.token = token
		for _, path := range []string{home, home + "/dns_records", home + "/dns_records/export", home + "/dnssec", home + "/dns_records/" + strings.Repeat("0", 32)} {
			said.hear(t, "who has no token for it", m.raw("GET", path, "", "application/json"))
		}
	}
	m.token = testToken
	for _, request := range []string{
		`{"type":"CNAME","name":"a0","content":"x.example"}`, `{"type":"A","name":"c0","content":"192.0.2.1"}`, `{"type":"A","name":"a1","content":"192.0.2"}`,
		`{"type":"A","name":"a1","content":"127.0.0.1","proxied":true}`, `{"type":"MX","name":"a1","content":"x","proxied":true}`, `{"type":`,
		`{"type":"NS","name":"a1","content":"ns.example"}`, `{"type":"SOA","name":"a1","content":"x"}`, `{"type":"CNAME","name":"c1","content":"y.example"}`,
	} {
		said.hear(t, "refused: "+request, m.raw("POST", home+"/dns_records", request, "application/json"))
		said.hear(t, "refused: "+request, m.raw("POST", home+"/dns_records/batch", `{"posts":[`+request+`]}`, "application/json"))
	}
	body, kind := formOf(t, "a0 CNAME x.example.\nb A 192.0.2.1\n")
	said.hear(t, "a refused import", m.raw("POST", home+"/dns_records/import", body, kind))

	operate := operatorOf(t, socket)
	if text := operate("GET", "/status", ""); !strings.HasPrefix(text, "200 OK") || !strings.Contains(text, `"zones"`) {
		t.Errorf("the status: %s", text)
	}
	for _, command := range []string{"GET /status", "GET /nta", "POST /flush", "POST /reload", "POST /nta", "DELETE /nta", "GET /zones"} {
		method, path, _ := strings.Cut(command, " ")
		for _, body := range []string{"", "{", `{"name":"a0.home.test"}`, `{"zone":"home.test","for":"1h","reason":"x"}`, `{"all":true}`} {
			said.hear(t, command, operate(method, path, body))
		}
	}
	write(t, x.file("home.zone"), zone+"a0 A 198.51.100.300 ; cf_tags=cf-proxied:true\na0 CNAME origin-0.test.\nb A 127.0.0.1 ; cf_tags=cf-proxied:true\n")
	s.current.Load().zones.Look()
	said.hear(t, "the status with a mistake", operate("GET", "/status", ""))
	said.hear(t, "a file with mistakes", m.raw("POST", home+"/dns_records", `{"type":"A","name":"x","content":"192.0.2.1"}`, "application/json"))
	expect(t, s, "a0.home.test.", "NOERROR 203.0.113.10")
	s.snapshots.Publish(s.samples())
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/privacy", "/privacy.json"} {
		status, text := fetch(t, "http://"+s.Monitoring().String()+path)
		if status != http.StatusOK && path != "/readyz" {
			t.Errorf("%s: %d", path, status)
		}
		said.hear(t, path, text)
	}
	func() {
		defer func() {
			_ = recover()
			s.env.panics.report()
		}()
		panic(zone)
	}()
	if text := log.String(); !strings.Contains(text, "home.zone") || !strings.Contains(text, "TestOriginsAreInNoOutput") {
		t.Errorf("the log: %s", text)
	}
	said.hear(t, "the log", log.String())
}

// A secret is what origins look like.
type secret []string

func hiddenZone() (zone string, said secret) {
	for i := range 20 {
		v4, v6, target := fmt.Sprintf("198.51.100.%d", 100+i), fmt.Sprintf("2001:db8:5ec::%x", 100+i), fmt.Sprintf("origin-%d.", i)
		zone += fmt.Sprintf("a%[1]d A %[2]s ; cf_tags=cf-proxied:true\na%[1]d AAAA %[3]s ; cf_tags=cf-proxied:true\nc%[1]d CNAME %[4]stest. ; cf_tags=cf-proxied:true\n",
			i, v4, v6, target)
		for _, text := range []string{v4, v6} {
			octets := netip.MustParseAddr(text).AsSlice()
			said = append(said, text, string(octets), hex.EncodeToString(octets))
		}
		said = append(said, target)
	}
	return zone, said
}

func (x secret) count(text string) (found int) {
	for _, hidden := range x {
		found += strings.Count(text, hidden)
	}
	return found
}

func (x secret) hear(t *testing.T, what, text string) {
	t.Helper()
	if i := slices.IndexFunc(x, func(hidden string) bool { return strings.Contains(text, hidden) }); i >= 0 {
		t.Errorf("%s: %q is told: %s", what, x[i], text)
	}
}

// raw makes a request and returns all of the answer.
func (m *apiClient) raw(method, path, body, kind string) string {
	m.Helper()
	q, err := http.NewRequestWithContext(m.Context(), method, "http://"+m.managed.Addr().String()+"/client/v4"+path, strings.NewReader(body))
	if err != nil {
		m.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+m.token)
	q.Header.Set("Content-Type", kind)
	return responseTo(m.T, http.DefaultClient, q)
}

func responseTo(t *testing.T, client *http.Client, q *http.Request) string {
	t.Helper()
	response, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %v\n%s", response.Status, response.Header, text)
}

func formOf(t *testing.T, file string) (body, kind string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", "zone.txt")
	if err == nil {
		_, err = io.WriteString(part, file)
	}
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

// operatorOf sends commands to a control socket.
func operatorOf(t *testing.T, socket string) func(method, path, body string) string {
	t.Helper()
	if _, err := os.Stat(filepath.Dir(socket)); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return func(method, path, body string) string {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), method, "http://tacit"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		return responseTo(t, &http.Client{Transport: transport}, q)
	}
}
