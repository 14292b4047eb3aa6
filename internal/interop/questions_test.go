//go:build interop

package interop

import (
	"math/rand/v2"
	"strings"

	"github.com/miekg/dns"
)

// A question is one question of the run, of a class under which the report counts it.
type question struct {
	class class
	text  string // the name as asked, letter case included
	name  name
	qtype uint16
	flags flags
}

// flags are what a question wants beside the answer.
type flags uint8

const (
	wantSignatures flags = 1 << iota // DO (RFC 3225)
	wantStatus                       // AD (RFC 6840 section 5.7)
	unchecked                        // CD (RFC 4035 section 3.2.2)
)

// class says why a question is asked.
type class string

const (
	plainZone        class = "zone with glue"
	gluelessZone     class = "glueless, out of bailiwick"
	ipv6Zone         class = "IPv6-only servers"
	lameZone         class = "lame server beside a good one"
	deadZone         class = "dead server beside a good one"
	deepZone         class = "three cuts deep"
	belowEmptyZone   class = "cut below an empty non-terminal"
	sharedZone       class = "parent and child on a server"
	skippingZone     class = "cut two labels below the parent"
	apexData         class = "apex"
	serverAddress    class = "name server's address"
	otherTypes       class = "other types"
	noType           class = "no such type"
	noName           class = "no such name"
	noZone           class = "no such zone below a TLD"
	noTLD            class = "no such TLD"
	emptyNonTerminal class = "empty non-terminal"
	wildcard         class = "wildcard"
	wildcardBlocked  class = "beside a wildcard"
	wildcardAlias    class = "wildcard alias"
	dnameInside      class = "DNAME within the zone"
	dnameAcross      class = "DNAME across zones"
	largeText        class = "4 kB over TCP"
	deepLabels       class = "eight labels below the apex"
	oddOctets        class = "odd octets"
	aliasInside      class = "aliases within the zone"
	aliasAcross      class = "aliases across zones"
	aliasToNothing   class = "alias to no name"
)

// ask notes candidates for the run.
func (w *world) ask(c class, text string, types ...string) {
	for _, t := range types {
		w.questions = append(w.questions, question{class: c, text: text, name: mustName(text), qtype: typeOf(t)})
	}
}

func typeOf(text string) uint16 {
	if t, ok := dns.StringToType[text]; ok {
		return t
	}
	rr, err := dns.NewRR(". IN " + text + ` \# 0`)
	if err != nil {
		panic(err)
	}
	return rr.Header().Rrtype
}

// choose picks count candidates, the same share of each class as far as it goes, in an order in which any question may
// be the first one about its zone.
func (w *world) choose(seed uint64, count int) []question {
	random := rand.New(rand.NewPCG(seed, 1))
	byClass, order := w.byClass(random)
	var out []question
	for len(out) < count {
		before := len(out)
		for _, c := range order {
			if rest := byClass[c]; len(rest) > 0 && len(out) < count {
				out, byClass[c] = append(out, rest[0]), rest[1:]
			}
		}
		if len(out) == before {
			break
		}
	}
	random.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	for i := range out {
		if random.IntN(5) == 0 {
			out[i].text = mixCase(random, out[i].text)
		}
	}
	return out
}

// byClass sorts the candidates by class, each class shuffled; order is that of first mention.
func (w *world) byClass(random *rand.Rand) (sorted map[class][]question, order []class) {
	sorted = make(map[class][]question)
	for _, q := range w.questions {
		if sorted[q.class] == nil {
			order = append(order, q.class)
		}
		sorted[q.class] = append(sorted[q.class], q)
	}
	for _, c := range order {
		s := sorted[c]
		random.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	}
	return sorted, order
}

// mixCase puts some letters in upper case, as clients with 0x20 do.
func mixCase(random *rand.Rand, text string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' && random.IntN(2) == 0 {
			return r - 'a' + 'A'
		}
		return r
	}, text)
}
