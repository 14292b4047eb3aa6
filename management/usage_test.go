package management

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Each token has its own requests. Who has had as many as there may be is told when to come again (RFC 6585 section 4).
func TestRequestsAreLimited(t *testing.T) {
	now := time.Unix(1000, 0)
	tokens, err := ReadTokens([]byte(strings.Repeat("a", 40) + "\n" + strings.Repeat("b", 40)))
	if err != nil {
		t.Fatal(err)
	}
	h := newHandler(Options{Now: func() time.Time { return now }})
	h.access.Store(&access{tokens, Limits{Requests: 3}})
	ask := func(token string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, Base+"/user/tokens/verify", nil)
		r.Header.Set("Authorization", "Bearer "+strings.Repeat(token, 40))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for _, c := range []struct {
		clause  string
		elapsed time.Duration
		token   string
		status  int
		retry   string
	}{
		{"the first", 0, "a", 200, ""},
		{"the second", time.Minute, "a", 200, ""},
		{"the third", time.Minute, "a", 200, ""},
		{"one too many", 500 * time.Millisecond, "a", 429, "180"},
		{"nor does asking help", time.Minute, "a", 429, "120"},
		{"another token has its own", 0, "b", 200, ""},
		{"whoever has none is told so, and not counted", 0, "c", 403, ""},
		{"when five minutes are over", 2 * time.Minute, "a", 200, ""},
		{"a clock that was set back keeps nobody out", -time.Hour, "a", 200, ""},
	} {
		now = now.Add(c.elapsed)
		w := ask(c.token)
		if w.Code != c.status || w.Header().Get("Retry-After") != c.retry {
			t.Errorf("%s: %d, again after %q seconds; want %d, %q", c.clause, w.Code, w.Header().Get("Retry-After"), c.status, c.retry)
		}
		if c.status == 429 && !strings.Contains(w.Body.String(), `"code":971`) {
			t.Errorf("%s: %s", c.clause, w.Body)
		}
	}
	h.access.Store(&access{tokens, Limits{}})
	for range 10 {
		if w := ask("a"); w.Code != 200 {
			t.Errorf("without a limit: %d", w.Code)
		}
	}
}
