package cache

import (
	"bytes"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// The records of these tests: fixed octets, the key, the rest.
const (
	testFixed = 5
	testKey   = 8
	testStart = testFixed + testKey
)

func keyOf(k uint64) []byte { return binary.BigEndian.AppendUint64(nil, k) }

func recordOf(k uint64, rest []byte) []byte {
	return append(append([]byte("fixed"), keyOf(k)...), rest...)
}

func keyAt(r *reader) uint64 {
	var key [testKey]byte
	r.read(key[:])
	return binary.BigEndian.Uint64(key[:])
}

func lookUp(s *store, k uint64) bool {
	shard, hash := s.locate(keyOf(k))
	shard.Lock()
	defer shard.Unlock()
	return shard.get(hash, keyOf(k), &reader{})
}

func insert(s *store, k uint64, size int, denies bool) bool {
	shard, hash := s.locate(keyOf(k))
	shard.Lock()
	defer shard.Unlock()
	return shard.put(hash, keyOf(k), recordOf(k, make([]byte, size)), denies)
}

// mapped returns the memory that a store takes from the system.
func (s *store) mapped() int64 {
	var sum int64
	for _, sh := range s.shards {
		sum += sh.arena.mapped() + sh.index.mapped()
	}
	return sum
}

// slack is what a store may take beyond its bytes: what is left of a chunk and of a page of the index, for each shard.
func (s *store) slack() int64 {
	return int64(len(s.shards)) * (int64(s.shards[0].arena.batch)*chunkSize + indexPage*slotSize)
}

// Whatever is put, asked for and removed: no shard and no queue is above its bytes, the memory is not above that of the store,
// the books are right, and each record holds what was last put.
func TestStoreStaysWithinItsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStore(rapid.Int64Range(1, 2<<20).Draw(t, "size"), testFixed)
		last := map[uint64][]byte{}
		fill := byte(0)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k := rapid.Uint64Range(0, 300).Draw(t, "key")
				size := rapid.OneOf(rapid.IntRange(0, 400), rapid.IntRange(0, maxRecord)).Draw(t, "bytes")
				fill++
				record := recordOf(k, bytes.Repeat([]byte{fill}, size))
				shard, hash := s.locate(keyOf(k))
				if shard.put(hash, keyOf(k), record, rapid.Bool().Draw(t, "denies")) {
					last[k] = record
				}
			},
			"get": func(t *rapid.T) { lookUp(s, rapid.Uint64Range(0, 300).Draw(t, "key")) },
			"remove": func(*rapid.T) {
				s.removeIf(func(r *reader) bool { return keyAt(r)%7 == 0 })
			},
			"clear": func(*rapid.T) { s.clear() },
			"": func(t *rapid.T) {
				for _, sh := range s.shards {
					checkShard(t, sh, last)
				}
				if s.mapped() > s.shards[0].capacity*int64(len(s.shards))+s.slack() {
					t.Fatalf("%d bytes of memory", s.mapped())
				}
			},
		})
	})
}

func readAll(a *arena, place uint32) []byte {
	var r reader
	a.open(place, 0, &r)
	b := make([]byte, r.left)
	r.read(b)
	return b
}

func checkShard(t *rapid.T, sh *shard, last map[uint64][]byte) {
	var total int64
	count := 0
	owner := map[uint32]bool{} // of blocks
	for name := range queues {
		q, sum, newer := sh.queues[name], int64(0), uint32(0)
		for i := q.newest; i != 0; i = sh.arena.head(i).older {
			h := sh.arena.head(i)
			if h.queue != name || h.newer != newer {
				t.Fatalf("place %d is linked wrongly", i)
			}
			got := readAll(&sh.arena, i)
			k := binary.BigEndian.Uint64(got[testFixed:])
			if !bytes.Equal(got, last[k]) {
				t.Fatalf("key %d holds %d octets, or others than the %d put", k, len(got), len(last[k]))
			}
			takeBlocks(t, sh, owner, i, blocksFor(len(got)))
			sum, newer, count = sum+h.cost(), i, count+1
		}
		if sum != q.bytes || sum > sh.room(name) {
			t.Fatalf("queue %d: %d bytes, says %d, may have %d", name, sum, q.bytes, sh.room(name))
		}
		total += sum
	}
	if total != sh.bytes || total > sh.capacity || count != sh.index.count {
		t.Fatalf("%d bytes, says %d, may have %d; %d records, %d in the index", total, sh.bytes, sh.capacity, count, sh.index.count)
	}
	checkIndex(t, sh)
	checkFree(t, sh, owner)
}

// takeBlocks fails when a chain has other than so many blocks, or one that another chain has.
func takeBlocks(t *rapid.T, sh *shard, owner map[uint32]bool, place uint32, want int) {
	count := 0
	for i := place; i != 0; i = sh.arena.block(i).next {
		if owner[i] || i >= sh.arena.fresh {
			t.Fatalf("block %d is in two chains", i)
		}
		owner[i] = true
		count++
	}
	if count != want {
		t.Fatalf("%d blocks, want %d", count, want)
	}
}

func checkIndex(t *rapid.T, sh *shard) {
	found := 0
	for _, s := range sh.index.slots {
		if s.place == 0 {
			continue
		}
		found++
		if s.tag != sh.arena.head(s.place).tag {
			t.Fatalf("place %d has another tag", s.place)
		}
		for i := sh.index.home(s.tag); sh.index.slots[i].place != s.place; i = sh.index.after(i) {
			if sh.index.slots[i].place == 0 {
				t.Fatalf("place %d is behind a gap", s.place)
			}
		}
	}
	if found != sh.index.count {
		t.Fatalf("%d places in the index, says %d", found, sh.index.count)
	}
}

// checkFree fails when a block is neither used nor free, or free and not wiped.
func checkFree(t *rapid.T, sh *shard, owner map[uint32]bool) {
	for i := sh.arena.free; i != 0; i = sh.arena.block(i).next {
		if owner[i] || sh.arena.block(i).octets != [blockOctets]byte{} {
			t.Fatalf("free block %d is in use, or not wiped", i)
		}
		owner[i] = true
	}
	if len(owner) != int(sh.arena.fresh)-1 {
		t.Fatalf("%d blocks are lost", int(sh.arena.fresh)-1-len(owner))
	}
}

// Keys with the same hash are kept apart, whatever happens to the others: here there are three hashes, two of which search
// from the start of the table and one from its end.
func TestKeysWithTheSameHash(t *testing.T) {
	hashOf := func(k uint64) uint64 { return [...]uint64{0, 1 << 40, 1<<64 - 1}[k%3] }
	keys := rapid.Uint64Range(0, 40)
	rapid.Check(t, func(t *rapid.T) {
		sh := newStore(minShardSize, testFixed).shards[0]
		held := map[uint64]byte{}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, value := keys.Draw(t, "key"), rapid.Byte().Draw(t, "value")
				sh.put(hashOf(k), keyOf(k), recordOf(k, []byte{value}), false)
				held[k] = value
			},
			"remove": func(t *rapid.T) {
				k := keys.Draw(t, "key")
				var r reader
				if sh.find(hashOf(k), keyOf(k), &r) {
					sh.remove(r.place)
				}
				delete(held, k)
			},
			"": func(t *rapid.T) {
				for k := range uint64(41) {
					var r reader
					ok := sh.find(hashOf(k), keyOf(k), &r)
					value, want := held[k]
					if ok != want || ok && *r.octet() != value {
						t.Fatalf("key %d: %v, want %v", k, ok, want)
					}
				}
				checkIndex(t, sh)
			},
		})
	})
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
				s := newStore(minShardSize, testFixed)
				used := rapid.IntRange(1, 200).Draw(t, "in use")
				most := minShardSize * protectedShare / 100 / used / int(cost(0)/2) * blockOctets // octets in so many blocks
				size := rapid.IntRange(0, min(maxRecord, most-blockOctets)-testStart).Draw(t, "bytes")
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
						t.Fatalf("record %d of %d is gone", k, used)
					}
				}
			})
		})
	}
}

func TestDenialsTakeAQuarterAtMost(t *testing.T) {
	s := newStore(16<<20, testFixed)
	for k := range uint64(100_000) {
		insert(s, k, 500, true)
	}
	c := s.stats()
	if quarter := c.Capacity / 4; c.Bytes > quarter || c.Bytes < quarter*9/10 {
		t.Errorf("%d bytes of denials, want just below %d", c.Bytes, quarter)
	}
}

// The memory of a store that was full of large records, and then of the smallest, is still within its bytes.
func TestMemoryStaysWithinTheBytes(t *testing.T) {
	const size = 8 << 20
	s := newStore(size, testFixed)
	key := uint64(0)
	for _, octets := range []int{60_000, 0, 200, 5000, 0} {
		for range 3 * size / cost(octets) {
			insert(s, key, octets, false)
			key++
		}
		if c := s.stats(); s.mapped() > size+s.slack() || c.Bytes < size*8/10 || c.Bytes > size {
			t.Errorf("records of %d octets: %d of memory, %d in the books, may be %d", octets, s.mapped(), c.Bytes, size)
		}
	}
	if s.clear(); s.mapped() != 0 {
		t.Errorf("%d octets are kept after a flush", s.mapped())
	}
}

func TestStoreRefusesWhatIsTooLarge(t *testing.T) {
	s := newStore(1<<20, testFixed)
	if !insert(s, 1, maxRecord-testStart, false) || !insert(s, 2, maxRecord-testStart, true) {
		t.Error("64 KiB are refused")
	}
	if insert(s, 3, maxRecord-testStart+1, false) || insert(newStore(1000, testFixed), 1, 2000, false) {
		t.Error("more than 64 KiB, or than there are, is taken")
	}
}

func TestWhatLeavesIsWiped(t *testing.T) {
	secret := bytes.Repeat([]byte("secret"), 30) // more than two blocks
	for _, c := range []struct {
		name  string
		leave func(*store)
	}{
		{"removed", func(s *store) { s.removeIf(func(r *reader) bool { return keyAt(r) == 1 }) }},
		{"replaced", func(s *store) { insert(s, 1, 3, false) }},
		{"evicted", func(s *store) {
			for k := range uint64(100) {
				insert(s, 100+k, 10_000, false)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStore(minShardSize, testFixed)
			sh, hash := s.locate(keyOf(1))
			sh.put(hash, keyOf(1), recordOf(1, secret), false)
			insert(s, 2, 3, false)
			if !holds(sh, "secret") {
				t.Fatal("there is nothing to wipe")
			}
			c.leave(s)
			if holds(sh, "ecre") { // a block may have cut it
				t.Error("left in memory")
			}
		})
	}
}

// holds reports whether text is anywhere in a shard's memory.
func holds(sh *shard, text string) bool {
	for _, m := range sh.arena.memories {
		if bytes.Contains(m.octets, []byte(text)) {
			return true
		}
	}
	return false
}

func TestStoreAfterAFlush(t *testing.T) {
	s := newStore(4<<20, testFixed)
	for k := range uint64(20_000) {
		insert(s, k, 80, false)
	}
	s.clear()
	if lookUp(s, 1) || !insert(s, 1, 80, false) || !lookUp(s, 1) {
		t.Error("not empty, or of no use any more")
	}
	s.removeIf(func(*reader) bool { return true })
	if s.mapped() != 0 || s.stats().Bytes != 0 {
		t.Errorf("%d octets are kept", s.mapped())
	}
}
