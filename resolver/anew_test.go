package resolver

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// lookAnew asks as one of another network does, and says how long the answer took.
func (s *script) lookAnew(name string) (m *dns.Msg, took time.Duration) {
	s.Helper()
	q := question(name, "A")
	q.Anew = true
	start := time.Now()
	m = s.unpack(s.r.Resolve(s.Context(), q))
	return m, time.Since(start)
}

// Row D8: neither the time that an answer takes nor its TTL tells that somebody else has asked, be it for a name, by an alias or for
// what does not exist; and nor does the next answer, from memory.
func TestAnewTellsNothingOfOthers(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "asked 300 A 203.0.113.80\nnew 300 A 203.0.113.80", signing)
		s.Zone("other.test.", "alias1 300 CNAME asked.shop.example.\nalias2 300 CNAME new2.shop.example.")
		s.add("shop.example.", "new2.shop.example. 300 IN A 203.0.113.80")
		for _, warm := range []string{"shop.example.", "other.test."} { // the zones are known to both
			s.resolve(warm, "A")
		}
		for range everyWay {
			s.resolve("asked.shop.example.", "A")
			s.resolve("none1.shop.example.", "A")
		}
		time.Sleep(100 * time.Second)
		for _, pair := range [][2]string{
			{"new.shop.example.", "asked.shop.example."},
			{"none2.shop.example.", "none1.shop.example."},
			{"alias2.other.test.", "alias1.other.test."},
		} {
			fresh, long := s.lookAnew(pair[0])
			known, short := s.lookAnew(pair[1])
			if long == 0 || short != long || known.Rcode != fresh.Rcode || len(known.Answer) != len(fresh.Answer) {
				s.Errorf("%s after %v, %s after %v", pair[0], long, pair[1], short)
			}
			for _, m := range []*dns.Msg{known, s.resolve(pair[1], "A"), s.resolve(pair[1], "A")} {
				for i, rr := range m.Answer {
					if rr.Header().Ttl != fresh.Answer[i].Header().Ttl {
						s.Errorf("%s has a TTL of %d, a new one %d", pair[1], rr.Header().Ttl, fresh.Answer[i].Header().Ttl)
					}
				}
			}
		}
	}, func(o *Options) { o.NoPrefetch, o.NoAggressive = true, true })
}

// A name that is served here is, anew or not, and what is known of servers is used.
func TestAnewUsesWhatIsNobodys(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("shop.example.", "www 300 A 203.0.113.80")
		s.want("www.shop.example.", "A", wwwAnswer)
		s.Reset()
		if m, _ := s.lookAnew("www.shop.example."); brief(m) != wwwAnswer {
			s.Error(m)
		}
		s.saw("shop.example.", "www.shop.example. A")
		if n := len(s.Seen()); n != 1 {
			s.Errorf("%d packets", n)
		}
	})
}

// Every form of a finished answer is forgotten.
func TestAnewForgetsFinishedAnswers(t *testing.T) {
	playOnce(t, func(s *script) {
		s.Zone("shop.example.", "www 300 A 203.0.113.80", signing)
		forms := []wire.Question{{}, {DO: true}, {DO: true, CO: true}, {CD: true}, {DO: true, CD: true}}
		for i := range forms {
			name := question("www.shop.example.", "A")
			forms[i].Name, forms[i].Type, forms[i].Class = name.Name, name.Type, name.Class
			for range everyWay {
				s.ask(forms[i])
			}
		}
		time.Sleep(100 * time.Second)
		s.lookAnew("www.shop.example.")
		for _, q := range forms {
			if _, ok := s.r.Recall(nil, query(s, q), s.r.now()); ok {
				s.Errorf("%+v is still there", q)
			}
		}
	}, packetsOn)
}
