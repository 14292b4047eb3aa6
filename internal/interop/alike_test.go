//go:build interop

package interop

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	quich3 "github.com/quic-go/quic-go/http3"
)

// A speaker asks over one transport, on one connection, and says how many octets the answer had.
type speaker struct {
	transport string
	padded    bool
	ask       func(t *testing.T, q *dns.Msg) (answer string, octets int)
}

const (
	alikeCount  = 500
	paddedCount = 60
)

// TestTransportsAnswerAlike asks the same questions over all transports and compares RCODE and RRsets; TTLs count down from one
// to the next. Then it looks at what a watcher of the encrypted ones sees: the lengths of answers (RFC 8467 section 4.1).
func TestTransportsAnswerAlike(t *testing.T) {
	for n, label := range []string{"finished answers", "no finished answers"} {
		t.Run(label, func(t *testing.T) {
			f := newFront(t)
			r := bothWays(f.tacit)[n]
			f.start(t, r)
			answerAlike(t, f, r)
		})
	}
}

// answerAlike begins each question with another transport, so that each sees answers that have to be found, some that are put
// together from RRsets, and finished ones.
func answerAlike(t *testing.T, f *front, r *resolver) {
	t.Helper()
	speakers := newSpeakers(t, f)
	table := []string{}
	sizes := make([]map[int]bool, len(speakers))
	for n := range speakers {
		sizes[n] = make(map[int]bool)
	}
	differ := 0
	for i := range alikeCount {
		q := alikeQuestion(f, i)
		want := ""
		for turn := range speakers {
			n := (i + turn) % len(speakers)
			got, octets := speakers[n].ask(t, q)
			if turn == 0 {
				want = got
			}
			if got != want {
				differ++
				t.Errorf("%s over %s: %s\nover %s: %s", q.Question[0].String(), speakers[n].transport, got, speakers[i%len(speakers)].transport, want)
			}
			if i < paddedCount {
				sizes[n][octets] = true
			}
		}
	}
	counts := count(t, f.dir)
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		c := counts[name]
		r.checkRecalled(t, name, c.Recalled, c.Queries*(len(speakers)-2)/len(speakers)*9/10)
		t.Logf("%s: %d questions, %d finished answers", name, c.Queries, c.Recalled)
	}
	for n, s := range speakers {
		if s.padded && len(sizes[n]) > 3 {
			t.Errorf("%d answers over %s have %d lengths", paddedCount, s.transport, len(sizes[n]))
		}
		table = append(table, fmt.Sprintf("%s\t%d\t%d", s.transport, alikeCount, len(sizes[n])))
	}
	f.end(t)
	t.Logf("%d answers differ\n%s", differ, tabulate(fmt.Sprintf("transport\tquestions\tlengths of %d answers", paddedCount), table))
}

// alikeQuestion mixes names that are there, in several types, with names that are not.
func alikeQuestion(f *front, i int) *dns.Msg {
	types := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeMX, dns.TypeSOA, dns.TypeHTTPS}
	name := f.clients[i%len(f.clients)].question()
	switch i % 4 {
	case 1:
		name = fmt.Sprintf("%s.%s", strings.Repeat("x", 1+i%40), burstZone)
	case 2:
		name = fmt.Sprintf("absent%d.%s", i, askedZone)
	}
	q := new(dns.Msg)
	q.SetQuestion(name, types[i/4%len(types)])
	q.SetEdns0(1232, i%3 == 0)
	q.CheckingDisabled = i%5 == 0
	return q
}

// summary is an answer without what differs from one to the next: its ID, TTLs, and the order of its records.
func summary(rcode int, ad bool, answer, authority []dns.RR) string {
	var lines []string
	for _, section := range [][]dns.RR{answer, authority} {
		for _, rr := range section {
			h := rr.Header()
			lines = append(lines, fmt.Sprintf("%s %d %s", strings.ToLower(h.Name), h.Rrtype, strings.TrimPrefix(rr.String(), h.String())))
		}
	}
	slices.Sort(lines)
	return fmt.Sprintf("%s ad=%v %s", dns.RcodeToString[rcode], ad, strings.Join(lines, "; "))
}

func summarise(t *testing.T, octets []byte) (string, int) {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(octets); err != nil || m.Truncated {
		t.Fatal("answer: ", err, m)
	}
	return summary(m.Rcode, m.AuthenticatedData, m.Answer, m.Ns), len(octets)
}

func newSpeakers(t *testing.T, f *front) []speaker {
	t.Helper()
	text, err := os.ReadFile(f.own.file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	trust := &tls.Config{RootCAs: roots, ServerName: frontName, MinVersion: tls.VersionTLS13}
	h1, h2, h3 := newBrowser(t, trust, 1), newBrowser(t, trust, 2), newBrowser(t, trust, 3)
	return []speaker{
		{"UDP", false, byMiekg(t, &dns.Client{Net: "udp"}, plainDoor)},
		{"TCP", false, byMiekg(t, &dns.Client{Net: "tcp"}, plainDoor)},
		{"DoT", true, byMiekg(t, &dns.Client{Net: "tcp-tls", TLSConfig: trust}, tlsDoor)},
		{"DoH/1.1", true, byPOST(h1)},
		{"DoH/2", true, byPOST(h2)},
		{"DoH/2 GET", true, byGET(h2)},
		{"DoH/3", true, byPOST(h3)},
		{"DoQ", true, byQUIC(t, trust)},
		{"JSON", true, byJSON(h2)},
	}
}

func byMiekg(t *testing.T, c *dns.Client, d *door) func(*testing.T, *dns.Msg) (string, int) {
	t.Helper()
	c.Timeout = stopTimeout
	conn, err := c.Dial(d.named.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func(t *testing.T, q *dns.Msg) (string, int) {
		t.Helper()
		octets, err := exchangeRaw(conn, q)
		if err != nil {
			t.Fatal(c.Net, ": ", err)
		}
		return summarise(t, octets)
	}
}

func exchangeRaw(conn *dns.Conn, q *dns.Msg) ([]byte, error) {
	_ = conn.SetDeadline(time.Now().Add(stopTimeout))
	if err := conn.WriteMsg(q); err != nil {
		return nil, err
	}
	return conn.ReadMsgHeader(nil)
}

// newBrowser is a client for one version of HTTP.
func newBrowser(t *testing.T, trust *tls.Config, version int) *http.Client {
	t.Helper()
	if version == 3 {
		h := &quich3.Transport{TLSClientConfig: trust.Clone()}
		t.Cleanup(func() { _ = h.Close() })
		return &http.Client{Transport: h, Timeout: stopTimeout}
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(version == 1)
	protocols.SetHTTP2(version == 2)
	h := &http.Transport{TLSClientConfig: trust.Clone(), Protocols: protocols, DisableCompression: true}
	t.Cleanup(h.CloseIdleConnections)
	return &http.Client{Transport: h, Timeout: stopTimeout}
}

var dohURL = "https://" + httpsDoor.named.String() + "/dns-query"

const dohType = "application/dns-message"

func pack(t *testing.T, q *dns.Msg) []byte {
	t.Helper()
	octets, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return octets
}

func byPOST(c *http.Client) func(*testing.T, *dns.Msg) (string, int) {
	return func(t *testing.T, q *dns.Msg) (string, int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, dohURL, bytes.NewReader(pack(t, q)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", dohType)
		return summarise(t, fetch(t, c, r))
	}
}

func byGET(c *http.Client) func(*testing.T, *dns.Msg) (string, int) {
	return func(t *testing.T, q *dns.Msg) (string, int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, dohURL+"?dns="+base64.RawURLEncoding.EncodeToString(pack(t, q)), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		return summarise(t, fetch(t, c, r))
	}
}

func fetch(t *testing.T, c *http.Client, r *http.Request) []byte {
	t.Helper()
	response, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response.Status, err)
	}
	return body
}

func byQUIC(t *testing.T, trust *tls.Config) func(*testing.T, *dns.Msg) (string, int) {
	t.Helper()
	trust = trust.Clone()
	trust.NextProtos = []string{"doq"}
	conn, err := quic.DialAddr(t.Context(), quicDoor.named.String(), trust, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return func(t *testing.T, q *dns.Msg) (string, int) {
		t.Helper()
		q = q.Copy()
		q.Id = 0
		octets := pack(t, q)
		stream, err := conn.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.SetDeadline(time.Now().Add(stopTimeout))
		if _, err := stream.Write(append([]byte{byte(len(octets) >> 8), byte(len(octets))}, octets...)); err != nil {
			t.Fatal(err)
		}
		_ = stream.Close()
		answer, err := io.ReadAll(stream)
		if err != nil || len(answer) < 2 {
			t.Fatal("DoQ: ", err)
		}
		return summarise(t, answer[2:])
	}
}

// byJSON reads the records back from their presentation.
func byJSON(c *http.Client) func(*testing.T, *dns.Msg) (string, int) {
	type record struct {
		Name string
		Type uint16
		TTL  uint32
		Data string
	}
	read := func(t *testing.T, list []record) []dns.RR {
		t.Helper()
		var rrs []dns.RR
		for _, r := range list {
			rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", r.Name, r.TTL, dns.TypeToString[r.Type], r.Data))
			if err != nil {
				t.Fatal("JSON: ", err)
			}
			rrs = append(rrs, rr)
		}
		return rrs
	}
	return func(t *testing.T, q *dns.Msg) (string, int) {
		t.Helper()
		values := url.Values{"name": {q.Question[0].Name}, "type": {dns.TypeToString[q.Question[0].Qtype]}}
		values.Set("do", fmt.Sprint(q.IsEdns0().Do()))
		values.Set("cd", fmt.Sprint(q.CheckingDisabled))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, dohURL+"?"+values.Encode(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		body := fetch(t, c, r)
		var m struct {
			Status            int
			AD                bool
			Answer, Authority []record
		}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatal(err)
		}
		return summary(m.Status, m.AD, read(t, m.Answer), read(t, m.Authority)), len(body)
	}
}
