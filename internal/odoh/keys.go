package odoh

import (
	"context"
	"crypto/hpke"
	"crypto/subtle"
	"sync"
	"time"
)

// Lifetime is for how long a key is offered. For as long again queries sealed to it are opened, as clients learn of the next one by and by.
const Lifetime = 24 * time.Hour

// Keys are those of a target: a new one each day, made by chance and kept in memory alone. What was sealed to a key that is gone
// nobody can open any more.
type Keys struct {
	mu             sync.Mutex
	current, older *key // older: nil, or the one before
}

type key struct {
	private hpke.PrivateKey
	id      []byte
	made    time.Time
}

// NewKeys makes the first key.
func NewKeys(now time.Time) (*Keys, error) {
	k := &Keys{}
	return k, k.Turn(now)
}

func newKey(now time.Time) (*key, error) {
	private, err := kem.GenerateKey()
	if err != nil {
		return nil, err
	}
	return keyOf(private, now), nil
}

func keyOf(private hpke.PrivateKey, now time.Time) *key {
	return &key{private, identify(appendContents(nil, private.PublicKey())), now}
}

// within reports whether a key is younger than an age. One from the future is of no age: the clock was set back.
func (k *key) within(age time.Duration, now time.Time) bool {
	return k != nil && !now.Before(k.made) && now.Sub(k.made) < age
}

// Turn makes a new key when it is time, and drops the one whose time is over.
func (k *Keys) Turn(now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.turn(now)
}

func (k *Keys) turn(now time.Time) error {
	if !k.older.within(2*Lifetime, now) {
		k.older = nil
	}
	if k.current.within(Lifetime, now) {
		return nil
	}
	fresh, err := newKey(now)
	if err != nil {
		return err
	}
	if k.older = nil; k.current.within(2*Lifetime, now) {
		k.older = k.current
	}
	k.current = fresh
	return nil
}

// turnEvery is how much longer than its time a key may stay where nobody asks.
const turnEvery = time.Minute

// Follow turns the keys where no query does, until ctx is done: a key that nobody needs is not to be had from memory either.
func (k *Keys) Follow(ctx context.Context, now func() time.Time) {
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = k.Turn(now()) // without a new key, the next query tries again
		case <-ctx.Done():
			return
		}
	}
}

// Configs returns ObliviousDoHConfigs with the key that queries are to be sealed to, and for how long it is offered. They are the same
// for all who ask: a key of one's own would be a name.
func (k *Keys) Configs(now time.Time) (configs []byte, fresh time.Duration, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.turn(now); err != nil {
		return nil, 0, err
	}
	return appendConfigs(nil, k.current.private.PublicKey()), Lifetime - now.Sub(k.current.made), nil
}

// An Answer seals the response to one query.
type Answer struct{ answering }

// Open returns the DNS message that was sealed to one of the keys, and what seals the response to it. The error is ErrKey or ErrMessage.
func (k *Keys) Open(now time.Time, sealed []byte) (query []byte, a *Answer, err error) {
	m, ok := readMessage(sealed)
	if !ok || m.kind != kindQuery || len(m.boxed) < encapsulation+tagLength {
		return nil, nil, ErrMessage
	}
	own := k.find(now, m.id)
	if own == nil {
		return nil, nil, ErrKey
	}
	recipient, err := hpke.NewRecipient(m.boxed[:encapsulation], own.private, kdf, aead, []byte(labelQuery))
	if err != nil {
		return nil, nil, ErrMessage
	}
	plain, err := recipient.Open(m.bound(), m.boxed[encapsulation:])
	if err != nil {
		return nil, nil, ErrMessage
	}
	secret, err := recipient.Export(labelResponse, keyLength)
	if err != nil {
		return nil, nil, ErrMessage
	}
	if query, ok = unpack(plain); !ok {
		clear(plain)
		return nil, nil, ErrMessage
	}
	return append([]byte(nil), query...), &Answer{answering{secret, plain}}, nil
}

func (k *Keys) find(now time.Time, id []byte) *key {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.turn(now)
	for _, own := range []*key{k.current, k.older} {
		if own != nil && subtle.ConstantTimeCompare(own.id, id) == 1 {
			return own
		}
	}
	return nil
}

// Seal seals the response, padded to a multiple of block. The Answer has served its purpose then: it is cleared.
func (a *Answer) Seal(answer []byte, block int) ([]byte, error) {
	defer a.clear()
	return a.seal(answer, block)
}
