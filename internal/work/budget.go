// Package work holds the ledger of what one client question may cost. One Budget is made for the question and handed by
// pointer to every sub-query, restart and prefetch that it causes; nothing else counts, so no side path escapes
// (the lesson of CVE-2026-50045 and CVE-2026-42923). Time is not counted here: the deadline is the context's.
package work

import "sync/atomic"

// A Kind is a kind of work that is counted.
type Kind uint8

// Kinds of work.
const (
	UpstreamQuery   Kind = iota // packets and TCP queries to other servers
	Alias                       // CNAME and DNAME steps
	ServerLookup                // look-ups of a name server's address
	FailedLookup                // ... that found none
	Connect                     // connections opened, over TCP or encrypted
	Signature                   // signature checks
	FailedSignature             // ... that did not verify
	NSEC3Hash                   // SHA-1 blocks hashed for NSEC3
	kinds                       // how many there are
)

var kindNames = [kinds]string{
	"upstream queries", "aliases", "name server look-ups", "failed name server look-ups", "connections",
	"signature checks", "failed signature checks", "NSEC3 hashes",
}

func (k Kind) String() string { return kindNames[k] }

// Limits says how much of each kind one client question may cost.
type Limits [kinds]int32

// DefaultLimits are the limits of a resolution. They come from what attacks cost and what real names need:
// Unbound found 128 upstream queries too few in the field and settled on 200.
var DefaultLimits = Limits{
	UpstreamQuery:   200,
	Alias:           11,
	ServerLookup:    10,
	FailedLookup:    5,
	Connect:         6,
	Signature:       32,
	FailedSignature: 4, // of the costliest kind they take 5 ms
	NSEC3Hash:       3000,
}

// A Budget is the ledger of one client question. It is safe for concurrent use.
type Budget struct {
	limits Limits
	spent  [kinds]atomic.Int32
}

// New returns a ledger with nothing spent.
func New(limits Limits) *Budget { return &Budget{limits: limits} }

// Exceeded is the error of a Budget that refuses.
type Exceeded struct{ Kind Kind }

func (e *Exceeded) Error() string { return "limit of " + e.Kind.String() + " reached" }

// Spend takes n of kind k off the budget. It refuses with *Exceeded, and spends nothing, when less than n is left. A
// nil Budget refuses everything: work without a ledger is a mistake.
func (b *Budget) Spend(k Kind, n int32) error {
	if b == nil || n < 0 {
		return &Exceeded{k}
	}
	// Compare before adding: what a refused spend takes for a moment would be missing for a smaller one beside it.
	for {
		spent := b.spent[k].Load()
		if n > b.limits[k]-spent {
			return &Exceeded{k}
		}
		if b.spent[k].CompareAndSwap(spent, spent+n) {
			return nil
		}
	}
}

// Spent returns how much of kind k has been spent.
func (b *Budget) Spent(k Kind) int32 { return b.spent[k].Load() }
