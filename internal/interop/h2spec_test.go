//go:build interop

package interop

import (
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/miekg/dns"
)

// h2specVariable names the program that plays the cases of RFC 9113 and RFC 7541 against a server.
const h2specVariable = "TACIT_INTEROP_H2SPEC"

var h2specResult = regexp.MustCompile(`(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed`)

// TestHTTP2IsSpokenByTheBook has all of h2spec's cases pass: HTTP/2 is the one protocol of clients that tacit speaks by itself.
func TestHTTP2IsSpokenByTheBook(t *testing.T) {
	f := openFront(t)
	q := new(dns.Msg)
	q.SetQuestion(f.clients[0].question(), dns.TypeA)
	q.Id = 0
	v := &visit{dir: t.TempDir()}
	said := v.run(t, os.Getenv(h2specVariable), "-t", "-k", "-o", "2",
		"-h", httpsDoor.named.Addr().String(), "-p", fmt.Sprint(httpsDoor.named.Port()),
		"-P", "/dns-query?dns="+base64.RawURLEncoding.EncodeToString(pack(t, q)))
	f.end(t)
	m := h2specResult.FindStringSubmatch(said)
	if m == nil || m[1] == "0" || m[2] != m[1] {
		t.Fatalf("%s", said)
	}
	t.Log(m[0])
}
