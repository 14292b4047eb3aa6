package odoh

import (
	"bytes"
	"context"
	"crypto/hpke"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, time.November, 22, 12, 0, 0, 0, time.UTC)

func mustKeys(t testing.TB) *Keys {
	t.Helper()
	k, err := NewKeys(start)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustConfig(t testing.TB, k *Keys, now time.Time) Config {
	t.Helper()
	configs, _, err := k.Configs(now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseConfigs(configs)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustSeal(t testing.TB, c Config, query []byte) ([]byte, *Exchange) {
	t.Helper()
	sealed, x, err := c.Seal(query)
	if err != nil {
		t.Fatal(err)
	}
	return sealed, x
}

func TestRoundTrip(t *testing.T) {
	k := mustKeys(t)
	for _, size := range []int{1, 12, 128, 4096, 60000} {
		query, reply := bytes.Repeat([]byte{7}, size), bytes.Repeat([]byte{9}, size)
		sealed, x := mustSeal(t, mustConfig(t, k, start), query)
		if len(sealed) > size+Overhead || size > 12 && bytes.Contains(sealed, query) {
			t.Errorf("%d octets became %d", size, len(sealed))
		}
		opened, a, err := k.Open(start, sealed)
		if err != nil || !bytes.Equal(opened, query) {
			t.Fatalf("%d octets: %v", size, err)
		}
		response, err := a.Seal(reply, 468)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := x.Open(response); err != nil || !bytes.Equal(answer, reply) {
			t.Errorf("%d octets back: %v", size, err)
		}
	}
}

// The lengths of responses tell no more than on other encrypted transports (RFC 8467 section 4.1), whether or not the DNS message
// could be padded.
func TestResponsesArePadded(t *testing.T) {
	k := mustKeys(t)
	sizes := map[int]bool{}
	for size := 20; size <= 468; size++ {
		sealed, _ := mustSeal(t, mustConfig(t, k, start), []byte("query"))
		_, a, err := k.Open(start, sealed)
		if err != nil {
			t.Fatal(err)
		}
		response, err := a.Seal(make([]byte, size), 468)
		if err != nil {
			t.Fatal(err)
		}
		sizes[len(response)] = true
	}
	if len(sizes) != 1 {
		t.Errorf("%d lengths", len(sizes))
	}
}

// The same query twice is not the same octets: a proxy learns nothing from repetition.
func TestSealingIsRandom(t *testing.T) {
	c := mustConfig(t, mustKeys(t), start)
	one, _ := mustSeal(t, c, []byte("query"))
	other, _ := mustSeal(t, c, []byte("query"))
	prefix := 3 + len(c.id) + 2
	if len(one) != len(other) || bytes.Equal(one[prefix:prefix+encapsulation], other[prefix:prefix+encapsulation]) {
		t.Error("two sealed queries have something in common")
	}
}

// Reference row D11: a new key each day, and the old one is kept one day.
func TestKeysTurnDaily(t *testing.T) {
	k := mustKeys(t)
	first := mustConfig(t, k, start)
	sealed, _ := mustSeal(t, first, []byte("query"))
	for _, c := range []struct {
		after  time.Duration
		same   bool // the key that is offered is still the first
		opened error
	}{
		{0, true, nil},
		{Lifetime - time.Second, true, nil},
		{Lifetime, false, nil},
		{2*Lifetime - time.Second, false, nil},
		{2 * Lifetime, false, ErrKey},
		{9 * Lifetime, false, ErrKey},
	} {
		now := start.Add(c.after)
		if _, _, err := k.Open(now, sealed); !errors.Is(err, c.opened) {
			t.Errorf("after %v: %v, want %v", c.after, err, c.opened)
		}
		configs, fresh, err := k.Configs(now)
		offered := mustConfig(t, k, now)
		if same := bytes.Equal(offered.id, first.id); err != nil || same != c.same {
			t.Errorf("after %v the first key is offered: %v (%v)", c.after, same, err)
		}
		if fresh <= 0 || fresh > Lifetime || len(configs) != 46 {
			t.Errorf("after %v: %d octets, good for %v", c.after, len(configs), fresh)
		}
	}
}

// A key that was replaced late, as nobody had asked, is kept no longer for that.
func TestKeysThatTurnLate(t *testing.T) {
	k := mustKeys(t)
	sealed, _ := mustSeal(t, mustConfig(t, k, start), []byte("query"))
	for after, want := range map[time.Duration]error{3 * Lifetime / 2: nil, 2 * Lifetime: ErrKey} {
		late := &Keys{current: k.current}
		if err := late.Turn(start.Add(3 * Lifetime / 2)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := late.Open(start.Add(after), sealed); !errors.Is(err, want) {
			t.Errorf("after %v: %v, want %v", after, err, want)
		}
	}
}

// A clock that is set back keeps no key for longer.
func TestKeysOfTheFutureAreDropped(t *testing.T) {
	k := mustKeys(t)
	sealed, _ := mustSeal(t, mustConfig(t, k, start), []byte("query"))
	if _, _, err := k.Open(start.Add(-time.Hour), sealed); !errors.Is(err, ErrKey) {
		t.Errorf("opened with a key that is not made yet: %v", err)
	}
}

// A key whose time is over goes also where nobody asks.
func TestFollowDropsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, err := NewKeys(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		first := k.current
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			k.Follow(ctx, time.Now)
			close(done)
		}()
		held := func() int {
			synctest.Wait()
			k.mu.Lock()
			defer k.mu.Unlock()
			return slices.Index([]*key{k.current, k.older, first}, first)
		}
		for want, after := range []time.Duration{0, Lifetime + turnEvery, Lifetime} {
			time.Sleep(after) // of the bubble
			if at := held(); at != want {
				t.Errorf("after %v more the first key is number %d", after, at)
			}
		}
		cancel()
		<-done
	})
}

// RFC 9230 section 4.3: a key that does not match is one thing, everything else another.
func TestMessagesThatAreNotOpened(t *testing.T) {
	k := mustKeys(t)
	sealed, _ := mustSeal(t, mustConfig(t, k, start), []byte("query"))
	foreign, _ := mustSeal(t, mustConfig(t, mustKeys(t), start), []byte("query"))
	changed := func(at int) []byte {
		m := bytes.Clone(sealed)
		m[at] ^= 1
		return m
	}
	for _, c := range []struct {
		name   string
		sealed []byte
		want   error
	}{
		{"nothing", nil, ErrMessage},
		{"a query in clear", []byte("\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01"), ErrMessage},
		{"a response", changedKind(sealed, kindResponse), ErrMessage},
		{"another kind", changedKind(sealed, 3), ErrMessage},
		{"a key of another target", foreign, ErrKey},
		{"another key ID", changed(3), ErrKey},
		{"no key ID", message{kindQuery, nil, make([]byte, 64)}.append(nil), ErrKey},
		{"another encapsulated key", changed(3 + 32 + 2), ErrMessage},
		{"an encapsulated key of low order", message{kindQuery, k.current.id, make([]byte, 64)}.append(nil), ErrMessage},
		{"another box", changed(len(sealed) - 1), ErrMessage},
		{"a box that is too short", message{kindQuery, k.current.id, make([]byte, 47)}.append(nil), ErrMessage},
		{"cut off", sealed[:len(sealed)-1], ErrMessage},
		{"more than there should be", append(bytes.Clone(sealed), 0), ErrMessage},
		{"padding that is not zero", sealPlain(t, k, "\x00\x05query\x00\x02\x00\x01"), ErrMessage},
		{"no DNS message", sealPlain(t, k, "\x00\x00\x00\x00"), ErrMessage},
		{"no padding field", sealPlain(t, k, "\x00\x05query"), ErrMessage},
	} {
		if query, _, err := k.Open(start, c.sealed); !errors.Is(err, c.want) {
			t.Errorf("%s: opened as %x with %v, want %v", c.name, query, err, c.want)
		}
	}
	if query, _, err := k.Open(start, sealPlain(t, k, "\x00\x05query\x00\x02\x00\x00")); err != nil || string(query) != "query" {
		t.Errorf("padding of zeros: %q, %v", query, err)
	}
}

func changedKind(sealed []byte, kind byte) []byte { return append([]byte{kind}, sealed[1:]...) }

// sealPlain seals a plaintext that Seal would not make.
func sealPlain(t *testing.T, k *Keys, plain string) []byte {
	t.Helper()
	m := message{kind: kindQuery, id: k.current.id}
	encapsulated, sender, err := hpke.NewSender(k.current.private.PublicKey(), kdf, aead, []byte(labelQuery))
	if err != nil {
		t.Fatal(err)
	}
	box, err := sender.Seal(m.bound(), []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	m.boxed = append(encapsulated, box...)
	return m.append(nil)
}

// A response is for the one query that it was sealed for.
func TestResponsesThatAreNotOpened(t *testing.T) {
	k := mustKeys(t)
	c := mustConfig(t, k, start)
	sealed, x := mustSeal(t, c, []byte("query"))
	_, other := mustSeal(t, c, []byte("query"))
	_, a, err := k.Open(start, sealed)
	if err != nil {
		t.Fatal(err)
	}
	response, err := a.Seal([]byte("answer"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, octets := range map[string][]byte{
		"nothing": nil, "a query": sealed, "cut off": response[:len(response)-1], "another nonce": func() []byte {
			m := bytes.Clone(response)
			m[3] ^= 1
			return m
		}(), "a nonce that is too short": message{kindResponse, []byte{1}, make([]byte, 40)}.append(nil),
	} {
		if _, err := x.Open(octets); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := other.Open(response); !errors.Is(err, ErrMessage) {
		t.Errorf("opened by another client: %v", err)
	}
}

func TestWhatIsTooLong(t *testing.T) {
	k := mustKeys(t)
	c := mustConfig(t, k, start)
	for _, size := range []int{0, math.MaxUint16 - 10, math.MaxUint16 + 1} {
		if _, _, err := c.Seal(make([]byte, size)); err == nil {
			t.Errorf("sealed %d octets", size)
		}
	}
	sealed, _ := mustSeal(t, c, []byte("query"))
	for _, size := range []int{0, math.MaxUint16, math.MaxUint16 + 1} {
		_, a, err := k.Open(start, sealed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Seal(make([]byte, size), 468); err == nil {
			t.Errorf("sealed an answer of %d octets", size)
		}
	}
}

// RFC 9230 section 5: the first configuration that is understood counts.
func TestConfigs(t *testing.T) {
	k := mustKeys(t)
	own := appendConfigs(nil, k.current.private.PublicKey())[2:]
	draft := slices.Concat([]byte{0xff, 6}, own[2:])
	curve := bytes.Clone(own)
	curve[4+1] = 0x10 // the KEM of P-256
	short := slices.Concat([]byte{0, 1}, appendField(nil, appendField(appendSuite(nil), make([]byte, 31))))
	for _, c := range []struct {
		name string
		list []byte
		ok   bool
	}{
		{"one", own, true},
		{"behind one of another version", slices.Concat(draft, own), true},
		{"behind one of another suite", slices.Concat(curve, own), true},
		{"before another", slices.Concat(own, draft), true},
		{"none", nil, false},
		{"of another version", draft, false},
		{"of another suite", curve, false},
		{"a key of 31 octets", short, false},
		{"cut off", own[:len(own)-1], false},
		{"half a header", []byte{0, 1, 0}, false},
		{"one octet", []byte{0}, false},
	} {
		got, err := ParseConfigs(appendField(nil, c.list))
		if c.ok != (err == nil) || c.ok && !bytes.Equal(got.id, k.current.id) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, octets := range [][]byte{nil, {0}, append(appendField(nil, own), 0)} {
		if _, err := ParseConfigs(octets); !errors.Is(err, ErrConfigs) {
			t.Errorf("%x: %v", octets, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	k := mustKeys(f)
	sealed, x := mustSeal(f, mustConfig(f, k, start), []byte("query"))
	f.Add(sealed)
	f.Add(sealed[:40])
	f.Add(message{kindResponse, make([]byte, 16), make([]byte, 40)}.append(nil))
	f.Fuzz(func(t *testing.T, octets []byte) {
		query, a, err := k.Open(start, octets)
		if err == nil && (len(query) == 0 || a == nil) {
			t.Error("opened nothing")
		}
		if err != nil && !errors.Is(err, ErrKey) && !errors.Is(err, ErrMessage) {
			t.Error(err)
		}
		if _, err := x.Open(octets); err == nil {
			t.Error("forged a response")
		}
	})
}

func FuzzParseConfigs(f *testing.F) {
	k := mustKeys(f)
	f.Add(appendConfigs(nil, k.current.private.PublicKey()))
	f.Add([]byte{0, 4, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, octets []byte) {
		c, err := ParseConfigs(octets)
		if err != nil {
			return
		}
		if _, _, err := c.Seal([]byte("query")); err != nil && !isLowOrder(c) {
			t.Errorf("a configuration that cannot be used: %v", err)
		}
	})
}

// isLowOrder recognises keys with which no secret can be agreed upon (RFC 7748 section 6.1).
func isLowOrder(c Config) bool {
	_, _, err := hpke.NewSender(c.key, kdf, aead, nil)
	return err != nil
}

// BenchmarkOpen is what a sealed query costs the target before it is a query.
func BenchmarkOpen(b *testing.B) {
	k := mustKeys(b)
	sealed, _ := mustSeal(b, mustConfig(b, k, start), make([]byte, 128))
	for b.Loop() {
		_, a, err := k.Open(start, sealed)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := a.Seal(make([]byte, 468), 468); err != nil {
			b.Fatal(err)
		}
	}
}
