package transports

import (
	"net/http"
	"strconv"
)

// Pages are what is shown to browsers beside DNS: what the resolver says of itself. They are for everybody who can reach the
// listener, also for clients that are not served: whoever wants to know whom it would trust asks before.
type Pages func(path string) (mediaType string, body []byte, ok bool)

// find finds a page; what is at the path of DNS is none.
func (p Pages) find(path, method string) (mediaType string, body []byte, ok bool) {
	if p == nil || path == Path || method != http.MethodGet {
		return "", nil, false
	}
	return p(path)
}

// pageFreshness is how long a page may be kept: what it says can change with the next reload.
const pageFreshness = maxAge + "60"

// show writes a page with no more headers than an answer has.
func show(w http.ResponseWriter, mediaType string, body []byte) {
	h := w.Header()
	h["Content-Type"], h["Content-Length"], h["Cache-Control"] = []string{mediaType}, []string{strconv.Itoa(len(body))}, []string{pageFreshness}
	_, _ = w.Write(body) //nolint:gosec,nolintlint // made by us, of nothing that a client has sent
}

// show writes a page.
func (h *http2Conn) show(id uint32, s *http2Stream, mediaType string, body []byte) error {
	h.touch()
	h.writeHeaders(id, false, func(block []byte) []byte {
		block = appendHeader(append(block, status200), fieldContentType, mediaType)
		block = appendHeader(block, fieldContentLength, strconv.Itoa(len(body)))
		return appendHeader(block, fieldCacheControl, pageFreshness)
	})
	return h.send(id, s, body)
}
