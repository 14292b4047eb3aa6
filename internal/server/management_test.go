package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"tacit/internal/wire"
	"tacit/zone"
)

const testToken = "0123456789abcdef0123456789abcdef"

const managedHere = servedHere + `
[management]
listen = "127.0.0.1:0"
token_file = "tokens"
`

// An apiClient is a client of the management API.
type apiClient struct {
	*testing.T
	*Server
	x     *setting
	token string
	key   string // as older clients send it
}

func newAPIClient(t *testing.T) *apiClient {
	t.Helper()
	x := newHome(t)
	write(t, x.file("tokens"), "# all zones\n"+testToken+"\n"+strings.Repeat("z", 40)+" more.test\n")
	s, _ := x.start(t, managedHere)
	return &apiClient{T: t, Server: s, x: x, token: testToken}
}

type reply struct {
	Success bool
	Errors  []struct {
		Code    int
		Message string
	}
	Result json.RawMessage
	Info   struct {
		Page, Count int
		PerPage     int `json:"per_page"`
		TotalCount  int `json:"total_count"`
	} `json:"result_info"`
}

// do makes a request and expects a status.
func (m *apiClient) do(status int, method, path, body string, kind ...string) (r reply, raw string) {
	m.Helper()
	q, err := http.NewRequestWithContext(m.Context(), method, "http://"+m.managed.Addr().String()+"/client/v4"+path, strings.NewReader(body))
	if err != nil {
		m.Fatal(err)
	}
	if m.token != "" || m.key == "" {
		q.Header.Set("Authorization", "Bearer "+m.token)
	}
	if m.key != "" {
		q.Header.Set("X-Auth-Email", "operator@home.test")
		q.Header.Set("X-Auth-Key", m.key)
	}
	q.Header.Set("Content-Type", append(kind, "application/json")[0])
	response, err := http.DefaultClient.Do(q)
	if err != nil {
		m.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		m.Fatal(err)
	}
	if response.StatusCode != status {
		m.Errorf("%s %s: %s, want %d: %s", method, path, response.Status, status, text)
	}
	if response.Header.Get("Content-Type") == "application/json" {
		if err := json.Unmarshal(text, &r); err != nil {
			m.Fatal(err)
		}
		if r.Success != (status == http.StatusOK) || r.Success == (len(r.Errors) > 0) {
			m.Errorf("%s %s: %s", method, path, text)
		}
	}
	return r, string(text)
}

// fails expects an error with a code.
func (m *apiClient) fails(status, code int, method, path, body string) {
	m.Helper()
	r, text := m.do(status, method, path, body)
	if len(r.Errors) != 1 || r.Errors[0].Code != code {
		m.Errorf("%s %s %s: %s, want code %d", method, path, body, text, code)
	}
}

type apiRecord struct {
	ID, Name, Type, Content string
	TTL                     int
	Proxied, Proxiable      bool
	Priority                *int
	Comment                 *string
	Tags                    []string
	Settings                map[string]bool
}

func (m *apiClient) record(r reply) (x apiRecord) {
	m.Helper()
	if err := json.Unmarshal(r.Result, &x); err != nil {
		m.Fatal(err)
	}
	return x
}

func (m *apiClient) zone(name string) string {
	m.Helper()
	r, _ := m.do(200, "GET", "/zones?name="+name, "")
	var list []struct{ ID, Name, Status string }
	if err := json.Unmarshal(r.Result, &list); err != nil || len(list) != 1 || list[0].Status != "active" {
		m.Fatalf("%s: %s, %v", name, r.Result, err)
	}
	return "/zones/" + list[0].ID
}

// What is written is served when the answer comes, and stands in the file.
func TestManagementRecords(t *testing.T) {
	m := newAPIClient(t)
	z := m.zone("home.test")
	r, _ := m.do(200, "POST", z+"/dns_records", `{"type":"A","name":"new","content":"192.0.2.50","proxied":false,"comment":"why","tags":["team:us"]}`)
	added := m.record(r)
	if added.Name != "new.home.test" || added.TTL != 1 || !added.Proxiable || *added.Comment != "why" || len(added.Tags) != 1 {
		t.Errorf("%+v", added)
	}
	expect(t, m.Server, "new.home.test.", "NOERROR 192.0.2.50")

	at := z + "/dns_records/" + added.ID
	r, _ = m.do(200, "PATCH", at, `{"content":"192.0.2.51","ttl":120}`)
	if patched := m.record(r); patched.ID != added.ID || patched.TTL != 120 || patched.Content != "192.0.2.51" || *patched.Comment != "why" {
		t.Errorf("%+v", patched)
	}
	expect(t, m.Server, "new.home.test.", "NOERROR 192.0.2.51")

	m.do(200, "PATCH", at, `{"proxied":true}`)
	expect(t, m.Server, "new.home.test.", "NOERROR 203.0.113.10")
	r, _ = m.do(200, "GET", at, "")
	if shown := m.record(r); shown.Content != "192.0.2.51" || !shown.Proxied || shown.TTL != 1 {
		t.Errorf("%+v", shown)
	}
	r, _ = m.do(200, "PUT", at, `{"type":"A","name":"other.home.test","content":"192.0.2.52"}`)
	if put := m.record(r); put.ID != added.ID || put.Proxied || put.Comment != nil || len(put.Tags) != 0 {
		t.Errorf("%+v", put)
	}
	expect(t, m.Server, "other.home.test.", "NOERROR 192.0.2.52")
	expect(t, m.Server, "new.home.test.", "NXDOMAIN")
	m.do(200, "DELETE", at, "")
	m.fails(404, 81044, "GET", at, "")
	expect(t, m.Server, "other.home.test.", "NXDOMAIN")

	text, err := os.ReadFile(m.x.file("home.zone"))
	if err != nil || strings.TrimSpace(string(text)) != "www A 192.0.2.1 ; cf_tags=cf-proxied:true\nftp A 192.0.2.2" {
		t.Errorf("%s, %v", text, err)
	}
}

// A record keeps its ID when its content changes, and one that takes its old content gets another.
func TestManagementIDs(t *testing.T) {
	m := newAPIClient(t)
	z := m.zone("home.test")
	first := m.record(second(m.do(200, "POST", z+"/dns_records", `{"type":"A","name":"a","content":"192.0.2.60"}`)))
	m.do(200, "PATCH", z+"/dns_records/"+first.ID, `{"content":"192.0.2.61"}`)
	again := m.record(second(m.do(200, "POST", z+"/dns_records", `{"type":"A","name":"a","content":"192.0.2.60"}`)))
	if again.ID == first.ID {
		t.Error("two records have one ID")
	}
	for id, want := range map[string]string{first.ID: "192.0.2.61", again.ID: "192.0.2.60"} {
		if x := m.record(second(m.do(200, "GET", z+"/dns_records/"+id, ""))); x.Content != want || x.ID != id {
			t.Errorf("%+v, want %s", x, want)
		}
	}
}

func second(r reply, _ string) reply { return r }

// The codes that clients know.
func TestManagementRefusals(t *testing.T) {
	m := newAPIClient(t)
	z := m.zone("home.test")
	records := z + "/dns_records"
	m.do(200, "POST", records, `{"type":"CNAME","name":"alias","content":"ftp.home.test"}`)
	for _, part := range []string{"a", "b"} {
		m.do(200, "POST", records, `{"type":"TXT","name":"long","content":"`+strings.Repeat(part, 3000)+`"}`)
	}
	for _, c := range []struct {
		code int
		body string
	}{
		{9005, `{"type":"A","name":"x","content":"192.0.2"}`},
		{9005, `{"type":"AAAA","name":"x","content":"192.0.2.1"}`},
		{9003, `{"type":"A","name":"x","content":"127.0.0.1","proxied":true}`},
		{9003, `{"type":"A","name":"x","content":"203.0.113.10","proxied":true}`},
		{9004, `{"type":"MX","name":"x","content":"mail.home.test","priority":5,"proxied":true}`},
		{9021, `{"type":"A","name":"x","content":"192.0.2.1","ttl":5}`},
		{9022, `{"type":"A","name":"x","content":"192.0.2.1","ttl":"300"}`},
		{81053, `{"type":"CNAME","name":"ftp","content":"x.example.net"}`},
		{81054, `{"type":"A","name":"alias","content":"192.0.2.1"}`},
		{81057, `{"type":"A","name":"ftp","content":"192.0.2.2","comment":"another one"}`},
		{9015, `{"type":"TXT","name":"x","content":"` + strings.Repeat("x", 4100) + `"}`},
		{83011, `{"type":"TXT","name":"long","content":"` + strings.Repeat("y", 3000) + `"}`},
		{81058, `{"type":"A","name":"ftp","content":"192.0.2.2"}`},
		{1004, `{"type":"A","name":"x"}`},
		{1004, `{"type":"MX","name":"x","content":"mail.home.test"}`},
		{9000, `{"type":"A","name":"x..y","content":"192.0.2.1"}`},
		{6007, `{"type":`},
	} {
		m.fails(400, c.code, "POST", records, c.body)
	}
	m.fails(404, 7003, "GET", "/accounts", "")
	m.fails(404, 1001, "GET", "/zones/"+strings.Repeat("0", 32), "")
	m.fails(404, 81044, "DELETE", records+"/"+strings.Repeat("0", 32), "")
	expect(t, m.Server, "x.home.test.", "NXDOMAIN")
}

// The least TTL is that of the configuration.
func TestManagementLeastTTL(t *testing.T) {
	m := newAPIClient(t)
	m.x.write(t, strings.Replace(managedHere, "keys = \"keys\"\n", "keys = \"keys\"\nmin_ttl = \"120s\"\n", 1))
	if err := m.ReloadFile(t.Context(), m.x.path); err != nil {
		t.Fatal(err)
	}
	records := m.zone("home.test") + "/dns_records"
	m.fails(400, 9021, "POST", records, `{"type":"A","name":"x","content":"192.0.2.1","ttl":119}`)
	m.do(200, "POST", records, `{"type":"A","name":"x","content":"192.0.2.1","ttl":120}`)
}

// A batch is made as a whole or not at all: deletes, patches, puts, posts.
func TestManagementBatch(t *testing.T) {
	m := newAPIClient(t)
	z := m.zone("home.test")
	ids := map[string]string{}
	var list []apiRecord
	if err := json.Unmarshal(second(m.do(200, "GET", z+"/dns_records", "")).Result, &list); err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		ids[r.Name] = r.ID
	}
	body := `{"deletes":[{"id":"` + ids["ftp.home.test"] + `"}],"patches":[{"id":"` + ids["www.home.test"] + `","proxied":false}],` +
		`"posts":[{"type":"A","name":"ftp","content":"192.0.2.70"},{"type":"CNAME","name":"bad","content":"%"}]}`
	m.fails(400, 1004, "POST", z+"/dns_records/batch", strings.Replace(body, "%", "a b", 1))
	expect(t, m.Server, "ftp.home.test.", "NOERROR 192.0.2.2")
	m.do(200, "POST", z+"/dns_records/batch", strings.Replace(body, "%", "www.home.test", 1))
	expect(t, m.Server, "ftp.home.test.", "NOERROR 192.0.2.70")
	expect(t, m.Server, "www.home.test.", "NOERROR 192.0.2.1")
	expect(t, m.Server, "bad.home.test.", "NOERROR 192.0.2.1")
}

// Filters and pages.
func TestManagementLists(t *testing.T) {
	m := newAPIClient(t)
	z := m.zone("home.test")
	m.do(200, "POST", z+"/dns_records", `{"type":"TXT","name":"_acme-challenge.www","content":"secret","comment":"for the certificate","tags":["team:web"]}`)
	for query, want := range map[string]int{
		"": 3, "?type=A": 2, "?name=ftp.home.test": 1, "?name=ftp.home.test.": 1, "?content=192.0.2.2": 1, "?content=secret": 1,
		"?content=%22secret%22": 1, "?proxied=true": 1, "?proxied=false": 2, "?name.startswith=_acme": 1, "?name.contains=ww": 2,
		"?content.endswith=.2": 1, "?search=certificate": 1, "?type=A&proxied=true": 1, "?type=TXT&proxied=true&match=any": 2,
		"?comment.contains=cert": 1, "?tag=team:web": 1, "?tag.absent=team": 2,
		"?tag=team:web&tag=site:bonn": 0, "?tag=team:web&tag=site:bonn&tag_match=any": 1, "?tag.contains=team:e&type=TXT": 1, "?per_page=2": 2, "?per_page=2&page=2": 1, "?per_page=2&page=3": 0, "?order=name&direction=desc": 3,
	} {
		r, _ := m.do(200, "GET", z+"/dns_records"+query, "")
		var list []apiRecord
		if err := json.Unmarshal(r.Result, &list); err != nil || len(list) != want || r.Info.Count != want || r.Info.PerPage < 1 {
			t.Errorf("%q: %d records, want %d: %+v", query, len(list), want, r.Info)
		}
	}
	m.fails(400, 1004, "GET", z+"/dns_records?proxied=perhaps", "")
	m.fails(400, 1004, "GET", z+"/dns_records?page=0", "")
	m.fails(400, 1004, "GET", z+"/dns_records?tag_match=some", "")
	m.fails(400, 1004, "GET", z+"/dns_records?tag.like=team", "")
	m.do(200, "GET", "/zones/?name=home.test.", "")
	m.do(200, "GET", z+"/pagerules", "")
	m.do(200, "GET", "/user/tokens/verify", "")
}

// Zones come and go.
func TestManagementZones(t *testing.T) {
	m := newAPIClient(t)
	m.do(200, "POST", "/zones", `{"name":"fresh.test"}`)
	z := m.zone("fresh.test")
	m.do(200, "POST", z+"/dns_records", `{"type":"A","name":"@","content":"192.0.2.80","proxied":true}`)
	expect(t, m.Server, "fresh.test.", "NOERROR 203.0.113.10")
	m.do(200, "PATCH", z, `{"paused":true}`)
	expect(t, m.Server, "fresh.test.", "NOERROR 192.0.2.80")
	m.do(200, "PATCH", z, `{"paused":false}`)
	expect(t, m.Server, "fresh.test.", "NOERROR 203.0.113.10")
	m.fails(400, 1061, "POST", "/zones", `{"name":"fresh.test"}`)
	m.fails(400, 9000, "POST", "/zones", `{"name":"../../etc.test"}`)
	m.do(200, "PATCH", z, `{"paused":true}`)
	m.do(200, "DELETE", z, "")
	m.fails(404, 1001, "GET", z, "")
	m.do(200, "POST", "/zones", `{"name":"fresh.test"}`)
	expect(t, m.Server, "fresh.test.", "NOERROR")
	m.do(200, "POST", z+"/dns_records", `{"type":"A","name":"@","content":"192.0.2.80","proxied":true}`)
	expect(t, m.Server, "fresh.test.", "NOERROR 203.0.113.10") // what was made anew is not paused
}

// Who has no token, or one for other zones, sees nothing.
func TestManagementTokens(t *testing.T) {
	m := newAPIClient(t)
	z := m.zone("home.test")
	m.token = strings.Repeat("z", 40)
	more := m.zone("more.test")
	m.do(200, "GET", more+"/dns_records", "")
	m.fails(404, 1001, "GET", z+"/dns_records", "")
	m.fails(403, 9109, "POST", "/zones", `{"name":"fresh.test"}`)
	m.token = "wrong"
	m.fails(403, 9109, "GET", "/zones", "")
	m.key = "wrong"
	m.token = ""
	m.fails(403, 9103, "GET", "/zones", "")
	m.key = testToken
	m.do(200, "GET", "/zones", "")
	m.key = ""
	m.fails(403, 10000, "GET", "/zones", "")
}

// A zone is signed when the API says so, and shows what its parent has to know.
func TestManagementDNSSEC(t *testing.T) {
	m := newAPIClient(t)
	z := m.zone("home.test") + "/dnssec"
	var d struct {
		Status, DS, Digest string
		KeyTag             int    `json:"key_tag"`
		PublicKey          string `json:"public_key"`
		Flags              int
	}
	get := func(r reply, _ string) {
		t.Helper()
		d.DS = ""
		if err := json.Unmarshal(r.Result, &d); err != nil {
			t.Fatal(err)
		}
	}
	if get(m.do(200, "GET", z, "")); d.Status != "disabled" || d.DS != "" {
		t.Errorf("%+v", d)
	}
	if get(m.do(200, "PATCH", z, `{"status":"active"}`)); d.Status != "active" || d.Flags != 257 || d.KeyTag == 0 || len(d.Digest) != 64 || d.PublicKey == "" {
		t.Errorf("%+v", d)
	}
	// The parent is asked to drop the DS record, and until it has, nobody may find the zone unsigned.
	for range 2 {
		if get(m.do(200, "PATCH", z, `{"status":"disabled"}`)); d.Status != "disabled" {
			t.Errorf("%+v", d)
		}
		if z := m.current.Load().zones.Zones().Covering(wire.MustName("home.test.")); !z.Signed() {
			t.Error("is not signed any more")
		}
		if text, err := os.ReadFile(m.x.file("home.zone")); err != nil || !strings.Contains(string(text), "signed=disabled") {
			t.Errorf("%s, %v", text, err)
		}
	}
	if get(m.do(200, "PATCH", z, `{"status":"active"}`)); d.Status != "active" {
		t.Errorf("%+v", d)
	}
}

// A zone that never was signed is not, when that is asked for.
func TestManagementDNSSECStaysOff(t *testing.T) {
	m := newAPIClient(t)
	m.do(200, "PATCH", m.zone("home.test")+"/dnssec", `{"status":"disabled"}`)
	if z := m.current.Load().zones.Zones().Covering(wire.MustName("home.test.")); z.Signed() {
		t.Error("is signed")
	}
}

// Clients that change different parts of a record at once are both right.
func TestManagementPatchesAtOnce(t *testing.T) {
	m := newAPIClient(t)
	z := m.zone("home.test")
	const rounds = 20
	added := m.record(second(m.do(200, "POST", z+"/dns_records", `{"type":"A","name":"both","content":"192.0.2.100"}`)))
	at := z + "/dns_records/" + added.ID
	for i := range rounds {
		var group sync.WaitGroup
		for _, body := range []string{fmt.Sprintf(`{"content":"192.0.2.%d"}`, i), fmt.Sprintf(`{"ttl":%d}`, 100+i), fmt.Sprintf(`{"comment":"round %d"}`, i)} {
			group.Go(func() { m.do(200, "PATCH", at, body) })
		}
		group.Wait()
		x := m.record(second(m.do(200, "GET", at, "")))
		if x.Content != fmt.Sprintf("192.0.2.%d", i) || x.TTL != 100+i || x.Comment == nil || *x.Comment != fmt.Sprintf("round %d", i) {
			t.Fatalf("round %d: an edit is lost: %+v", i, x)
		}
	}
}

// A file that is imported has 256 KiB at most, and is in memory only, whatever its size: there are origins in it.
func TestManagementImportsAreBounded(t *testing.T) {
	m := newAPIClient(t)
	z := m.zone("home.test")
	t.Setenv("TMPDIR", m.x.file("nowhere"))
	for size, status := range map[int]int{zone.MaxImport: 200, zone.MaxImport + 1: 400} {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		part, err := w.CreateFormFile("file", "zone.txt")
		if err == nil {
			_, err = part.Write(append([]byte("big A 192.0.2.1\n;"), strings.Repeat("x", size-17)...))
		}
		if err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		_, text := m.do(status, "POST", z+"/dns_records/import", body.String(), w.FormDataContentType())
		if status == 400 && !strings.Contains(text, "256 KiB") {
			t.Error(text)
		}
	}
}

// Tokens are taken up with the rest of a configuration or not at all, and not from a file that others can read.
func TestManagementTokensReload(t *testing.T) {
	m := newAPIClient(t)
	fresh := strings.Repeat("f", 32)
	write(t, m.x.file("tokens"), fresh+"\n")
	m.x.write(t, strings.Replace(managedHere, `udp = ["127.0.0.1:0"]`, `udp = ["192.0.2.1:1"]`, 1))
	if err := m.ReloadFile(t.Context(), m.x.path); err == nil {
		t.Fatal("tacit listens on an address of somebody else")
	}
	m.do(200, "GET", "/zones", "")
	m.x.write(t, managedHere)
	if err := m.ReloadFile(t.Context(), m.x.path); err != nil {
		t.Fatal(err)
	}
	m.fails(403, 9109, "GET", "/zones", "")
	m.token = fresh
	m.do(200, "GET", "/zones", "")

	for _, change := range []func() string{
		func() string { return strings.Replace(managedHere, "token_file = \"tokens\"\n", "", 1) },
		func() string {
			if err := os.Chmod(m.x.file("tokens"), 0o644); err != nil {
				t.Fatal(err)
			}
			return managedHere
		},
	} {
		if err := Check(m.x.load(t, change())); err == nil || !strings.Contains(err.Error(), "management.token_file") {
			t.Error(err)
		}
	}
}

// What is exported can be imported, as a file or as a value.
func TestManagementExchange(t *testing.T) {
	m := newAPIClient(t)
	z := m.zone("home.test")
	_, text := m.do(200, "GET", z+"/dns_records/export", "")
	if !strings.Contains(text, "www.home.test.\t1\tIN\tA\t192.0.2.1 ; cf_tags=cf-proxied:true\n") {
		t.Errorf("%s", text)
	}
	m.do(200, "POST", "/zones", `{"name":"fresh.test"}`)
	fresh := m.zone("fresh.test")
	for _, asFile := range []bool{true, false} {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		var part io.Writer
		var err error
		if asFile {
			part, err = w.CreateFormFile("file", "zone.txt")
		} else {
			part, err = w.CreateFormField("file")
		}
		if err == nil {
			_, err = part.Write([]byte(strings.ReplaceAll(text, "home.test", "fresh.test")))
		}
		if err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		r, _ := m.do(200, "POST", fresh+"/dns_records/import", body.String(), w.FormDataContentType())
		if want := map[bool]string{true: `{"recs_added":2,"total_records_parsed":2}`, false: `{"recs_added":0,"total_records_parsed":2}`}[asFile]; string(r.Result) != want {
			t.Errorf("%s, want %s", r.Result, want)
		}
	}
	expect(t, m.Server, "www.fresh.test.", "NOERROR 203.0.113.10")
	expect(t, m.Server, "ftp.fresh.test.", "NOERROR 192.0.2.2")
}

// Row "idle facts": how many records a batch may hold, how many imports and exports there are in a minute, how many requests in five;
// each as the configuration has it, from the next reload on.
func TestManagementLimits(t *testing.T) {
	m := newAPIClient(t)
	records := m.zone("home.test") + "/dns_records"
	before, err := os.ReadFile(m.x.path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, m.x.path, strings.Replace(string(before), "token_file", "max_batch = 2\nmax_exchanges = 2\nmax_requests = 9\ntoken_file", 1))
	if err := m.ReloadFile(t.Context(), m.x.path); err != nil {
		t.Fatal(err)
	}
	post := `{"type":"A","name":"n","content":"192.0.2.%d"}`
	two := fmt.Sprintf(post+","+post, 71, 72)
	m.fails(400, 1004, "POST", records+"/batch", `{"posts":[`+two+","+fmt.Sprintf(post, 73)+`]}`)
	m.do(200, "POST", records+"/batch", `{"posts":[`+two+`]}`)
	for range 2 {
		if text := m.raw("GET", records+"/export", "", ""); !strings.Contains(text, "192.0.2.72") {
			t.Error(text)
		}
	}
	m.fails(429, 971, "GET", records+"/export", "")
	m.fails(429, 971, "POST", records+"/import", "")
	for range 3 {
		m.do(200, "GET", records, "")
	}
	m.fails(429, 971, "GET", records, "")
}
