package transports

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// RFC 8484 section 8, for pages too: no more headers than are needed. Row R10: the statement is served over all versions of HTTP.
func TestPagesOverAllVersionsOfHTTP(t *testing.T) {
	long := strings.Repeat("<p>nothing is kept</p>\n", 4000) // more than a window of HTTP/2
	d := openDoorFor(t, Options{Pages: func(path string) (string, []byte, bool) {
		return "text/html; charset=utf-8", []byte(long), path == "/privacy"
	}}, known, nobody{})
	for _, protocol := range []string{alpnHTTP1, alpnHTTP2, alpnHTTP3} {
		t.Run(protocol, func(t *testing.T) {
			client := d.browser(t, protocol)
			get := func(method, path string) (*http.Response, string) {
				t.Helper()
				r, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(d.url(protocol), Path)+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				answer, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				body, err := io.ReadAll(answer.Body)
				if err != nil {
					t.Fatal(err)
				}
				return answer, string(body)
			}
			answer, body := get("GET", "/privacy")
			if answer.StatusCode != http.StatusOK || body != long || answer.Header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%d, %d octets, %v", answer.StatusCode, len(body), answer.Header)
			}
			var names []string
			for name := range answer.Header {
				names = append(names, name)
			}
			if slices.Sort(names); !slices.Equal(names, []string{"Cache-Control", "Content-Length", "Content-Type"}) {
				t.Errorf("headers %q", names)
			}
			for _, other := range [][2]string{{"GET", "/"}, {"POST", "/privacy"}, {"GET", "/privacy/"}} {
				if answer, _ := get(other[0], other[1]); answer.StatusCode != http.StatusNotFound {
					t.Errorf("%s %s: %d", other[0], other[1], answer.StatusCode)
				}
			}
		})
	}
}
