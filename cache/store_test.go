package cache

import (
	"testing"

	"pgregory.net/rapid"
)

type bytesStore = store[uint64, []byte]

func newBytesStore(size int64) *bytesStore {
	return newStore[uint64](size, func(v *[]byte) { clear(*v) })
}

func lookUp(s *bytesStore, k uint64) bool {
	shard, hash := s.locate(k)
	shard.Lock()
	defer shard.Unlock()
	return shard.get(hash, k) != nil
}

func insert(s *bytesStore, k uint64, size int, denies bool) bool {
	shard, hash := s.locate(k)
	shard.Lock()
	defer shard.Unlock()
	return shard.put(hash, k, make([]byte, size), size, denies)
}

// Whatever is put, asked for and removed: no shard and no queue is above its bytes, and the books are right.
func TestStoreStaysWithinItsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newBytesStore(rapid.Int64Range(1, 2<<20).Draw(t, "size"))
		last := map[uint64]int{}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, size := rapid.Uint64Range(0, 300).Draw(t, "key"), rapid.IntRange(0, maxEntrySize+1).Draw(t, "bytes")
				if insert(s, k, size, rapid.Bool().Draw(t, "denies")) {
					last[k] = size
				}
			},
			"get":    func(t *rapid.T) { lookUp(s, rapid.Uint64Range(0, 300).Draw(t, "key")) },
			"remove": func(t *rapid.T) { s.removeIf(func(k *uint64, _ *[]byte) bool { return *k%7 == 0 }) },
			"": func(t *rapid.T) {
				for i := range s.shards {
					checkShard(t, &s.shards[i], last)
				}
			},
		})
	})
}

func checkShard(t *rapid.T, sh *shard[uint64, []byte], last map[uint64]int) {
	var total int64
	count := 0
	for name := range queues {
		q, sum, newer := sh.queues[name], int64(0), uint32(0)
		for i := q.newest; i != 0; i = sh.slots[i].older {
			e := &sh.slots[i]
			if e.queue != name || e.newer != newer || sh.places[e.hash] != i {
				t.Fatalf("slot %d is linked wrongly", i)
			}
			if len(e.value) != last[e.key] {
				t.Fatalf("key %d holds %d bytes, put were %d", e.key, len(e.value), last[e.key])
			}
			sum, newer, count = sum+int64(e.size), i, count+1
		}
		if sum != q.bytes || sum > sh.room(name) {
			t.Fatalf("queue %d: %d bytes, says %d, may have %d", name, sum, q.bytes, sh.room(name))
		}
		total += sum
	}
	if total != sh.bytes || total > sh.capacity || count != len(sh.places) {
		t.Fatalf("%d bytes, says %d, may have %d; %d entries, %d places", total, sh.bytes, sh.capacity, count, len(sh.places))
	}
}

// A flood of names that are hit once at most does not push out what was hit twice, as long as that takes no more than the
// protected share.
func TestScanSparesWhatWasAskedForTwice(t *testing.T) {
	for _, c := range []struct {
		name   string
		denies bool // what the flood brings
	}{{"of answers", false}, {"of denials", true}} {
		t.Run(c.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := newBytesStore(minShardSize)
				used := rapid.IntRange(1, 200).Draw(t, "in use")
				size := rapid.IntRange(0, min(maxEntrySize, minShardSize*protectedShare/100/used-400)).Draw(t, "bytes")
				for k := range uint64(used) {
					insert(s, k, size, false)
					lookUp(s, k)
					lookUp(s, k)
				}
				next := uint64(1000)
				for range rapid.IntRange(1, 4).Draw(t, "floods") {
					bytes, again := rapid.IntRange(0, 4000).Draw(t, "flood bytes"), rapid.Bool().Draw(t, "again")
					for range rapid.IntRange(1, 2000).Draw(t, "flood") {
						insert(s, next, bytes, c.denies)
						if again { // once more, which SIEVE alone would take for use
							lookUp(s, next)
						}
						next++
					}
				}
				for k := range uint64(used) {
					if !lookUp(s, k) {
						t.Fatalf("entry %d of %d is gone", k, used)
					}
				}
			})
		})
	}
}

func TestDenialsTakeAQuarterAtMost(t *testing.T) {
	s := newBytesStore(16 << 20)
	for k := range uint64(100_000) {
		insert(s, k, 500, true)
	}
	c := s.stats()
	if quarter := c.Capacity / 4; c.Bytes > quarter || c.Bytes < quarter*9/10 {
		t.Errorf("%d bytes of denials, want just below %d", c.Bytes, quarter)
	}
}

func TestStoreRefusesWhatIsTooLarge(t *testing.T) {
	s := newBytesStore(1 << 20)
	if !insert(s, 1, maxEntrySize, false) || !insert(s, 2, maxEntrySize, true) {
		t.Error("64 KiB are refused")
	}
	if insert(s, 3, maxEntrySize+1, false) || insert(newBytesStore(1000), 1, 2000, false) {
		t.Error("more than 64 KiB, or than there are, is taken")
	}
}

func TestWhatLeavesIsWiped(t *testing.T) {
	for _, c := range []struct {
		name  string
		leave func(*bytesStore)
	}{
		{"removed", func(s *bytesStore) { s.removeIf(func(*uint64, *[]byte) bool { return true }) }},
		{"replaced", func(s *bytesStore) { insert(s, 1, 3, false) }},
		{"evicted", func(s *bytesStore) {
			for k := range uint64(100) {
				insert(s, 2+k, 10_000, false)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newBytesStore(minShardSize)
			secret := []byte("secret")
			shard, hash := s.locate(1)
			shard.put(hash, 1, secret, len(secret), false)
			c.leave(s)
			if string(secret) != "\x00\x00\x00\x00\x00\x00" {
				t.Errorf("left in memory: %q", secret)
			}
		})
	}
}
