//go:build interop

package interop

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// A web is a web server that only those find who can resolve its name, and notes what they saw there.
type web struct {
	mu   sync.Mutex
	seen map[string]chan struct{} // by token; closed when the text of the page was reported
}

const (
	webPort = 8080
	webText = "the page of this run"
)

// page shows its text and tells the server what the browser made of it: a text that was never laid out is not seen.
const page = `<!doctype html><title>page</title><link rel="icon" href="data:,">
<p id="text"></p><script>
const text = document.getElementById("text");
text.textContent = ["the", "page", "of", "this", "run"].join(" ");
const report = new Image(); // for which a browser waits before it says that the page is there
report.src = "/seen" + location.pathname + "?text=" + encodeURIComponent(text.innerText);
document.documentElement.append(report);
</script><noscript>` + webText + `</noscript>
`

// servePages answers until the test ends.
func servePages(t *testing.T) *web {
	t.Helper()
	w := &web{seen: make(map[string]chan struct{})}
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", webAddress, webPort))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: w, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // says only that it was closed
	}()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return w
}

func (w *web) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	if token, report := strings.CutPrefix(r.URL.Path, "/seen/"); report {
		if r.FormValue("text") == webText {
			w.note(token)
		}
		return
	}
	out.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprint(out, page)
}

// expect returns a channel that is closed when the page was seen under a token.
func (w *web) expect(token string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[token] = make(chan struct{})
	return w.seen[token]
}

// note closes the channel of a token, once.
func (w *web) note(token string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if seen := w.seen[token]; seen != nil {
		close(seen)
		delete(w.seen, token)
	}
}

func pageText(*client) string { return webText }
