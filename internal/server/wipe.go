package server

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
	"unsafe"

	"tacit/transports"
)

// Forget forgets all that was learned, and wipes it. It is for when tacit ends.
func (s *Server) Forget() {
	s.mu.Lock()
	s.cache.FlushAll()
	s.forgetCrowds()
	s.mu.Unlock()
	wipeMemory()
}

// Times of KeepClean.
const (
	lookEvery  = 400 * time.Millisecond // whether clients are quiet: those then do not wait for the processor
	restFor    = 4 * time.Second        // from one time to the next at least
	cleanAfter = 16 * time.Second       // or at the latest
	busy       = 1000                   // queries in a second, from which on memory is used again so soon that nothing is wiped
)

// KeepClean wipes what clients leave behind in memory, their addresses before all, when they are quiet and at the latest after 16 s,
// until ctx is done. What has come since the last time is not lost where more clients ask than it is worth to hold up: there the
// next ones take the places of those before.
func (s *Server) KeepClean(ctx context.Context) {
	settle()
	round := time.NewTicker(lookEvery)
	defer round.Stop()
	var before uint64
	var due int
	since := restFor
	for {
		select {
		case <-ctx.Done():
			return
		case <-round.C:
		}
		queries := s.countQueries()
		asked := queries - before
		before, since = queries, since+lookEvery
		if asked > 0 {
			due = 2 // the second time what was still in use at the first
		}
		late := since >= cleanAfter
		if due == 0 || since < restFor || asked > uint64(busy*lookEvery/time.Second) || !late && (asked > 0 || due == 1) {
			continue
		}
		wipeMemory()
		due, since = due-1, 0
	}
}

func (s *Server) countQueries() (sum uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		for _, t := range transports.Transports() {
			sum += l.Counters(t).Queries.Load()
		}
	}
	return sum
}

// wipeMemory has what nothing refers to any more leave the process: names that were forgotten, and what of clients calls have left.
// The collector frees and does not erase: what was freed stays as it is until its place is taken, and a place among others that are
// in use is not given back to the system either. So it collects, takes all places that are free, which writes zeros to
// them, and gives everything back. It does not reach what lies below the calls of goroutines that go on (transports.wipeStack
// does), nor what is in use, nor all of the pages that others take meanwhile. One processor
// is kept busy for some 50 ms; the others stand still, because each has a stock of free places of its own.
func wipeMemory() {
	wiping.Lock()
	defer wiping.Unlock()
	defer alone()()
	overwriteStack[[27 << 10]byte]() // the one that this runs on may have been another's
	runtime.GC()
	for range 3 { // what else runs may take pages, too, which looks as if all places were taken
		runtime.GC()                      // pools are emptied in the second cycle, and interned text is freed in the third
		debug.FreeOSMemory()              // two each time: the runtime has lists of places for odd cycles and for even ones, and this fills one kind
		percent := debug.SetGCPercent(-1) // else places become free behind the search
		overwritePages()
		overwriteHeap()
		overwriteStacks()
		debug.SetGCPercent(percent)
	}
	debug.FreeOSMemory()
	overwritePages() // what was put aside meanwhile
	debug.FreeOSMemory()
}

var wiping sync.Mutex

// settle has the runtime make what it will need for itself as long as all memory is clean: threads and collectors keep their stacks
// and use only the beginning of them, and what another had left there before would stay. The same goes for goroutines that run from the
// start: the collector halves a stack of which little is in use, each time that it runs.
func settle() {
	for range 4 {
		runtime.GC()
	}
	var locked, done sync.WaitGroup
	release := make(chan struct{})
	for range min(2*runtime.GOMAXPROCS(0)+moreThreads, maxThreads) {
		locked.Add(1)
		done.Go(func() {
			runtime.LockOSThread() // a thread that its goroutine keeps while it waits is none for others
			defer runtime.UnlockOSThread()
			locked.Done()
			<-release
		})
	}
	locked.Wait()
	close(release)
	done.Wait()
}

const (
	moreThreads = 8  // are in system calls at most, by experience
	maxThreads  = 32 // for machines with many processors, and few threads for each user
)

// alone has only one processor run until the function that it returns is called. That takes their stocks of free places away from
// the others.
func alone() (end func()) {
	before := runtime.GOMAXPROCS(1)
	return func() {
		if os.Getenv("GOMAXPROCS") == "" {
			runtime.SetDefaultGOMAXPROCS() // it follows the limits of a container, which a number does not
			return
		}
		runtime.GOMAXPROCS(before)
	}
}

// overwriteHeap takes all free places of each size in which the heap is divided, with pointers and without.
func overwriteHeap() {
	sizes := []metrics.Sample{{Name: "/gc/heap/allocs-by-size:bytes"}}
	metrics.Read(sizes)
	if sizes[0].Value.Kind() != metrics.KindFloat64Histogram {
		return
	}
	heap := inUse("/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes")
	taken := sizes[0].Value.Float64Histogram()
	for i, count := range taken.Counts {
		size := int(min(taken.Buckets[i+1], maxPlace+1)) - 1
		if count == 0 || size > maxPlace { // of a size that nothing ever had there are no places, and the first would cost some KiB
			continue
		}
		plain := make([]*byte, 0, placesOf(size)) // if it grew, it would need pages itself
		fillPlaces(size, heap, func() bool {
			plain = append(plain, unsafe.SliceData(make([]byte, size)))
			return len(plain) < cap(plain)
		})
		runtime.KeepAlive(plain)
		linked := make([]**byte, 0, placesOf(size))
		fillPlaces(size, heap, func() bool {
			linked = append(linked, unsafe.SliceData(make([]*byte, (size-headerOf(size))/8)))
			return len(linked) < cap(linked)
		})
		runtime.KeepAlive(linked)
	}
}

// What is larger than maxPlace has pages of its own, which go back to the system. A place for pointers of more than 512 octets has a
// header that says where they are.
const (
	maxPlace   = 32 << 10
	pageOctets = 8 << 10
)

func headerOf(size int) int {
	if size > 512 {
		return 8
	}
	return 0
}

// placesOf returns how many places of a size may be free, and some more.
func placesOf(size int) int {
	return int(inUse("/memory/classes/heap/unused:bytes")())/size + 2*int(freshFor(size))/size + 2
}

// inUse returns what says how much memory something has taken of the system. It does not allocate: that would take memory, too.
func inUse(names ...string) func() uint64 {
	samples := make([]metrics.Sample, len(names))
	for i, name := range names {
		samples[i].Name = name
	}
	return func() (sum uint64) {
		metrics.Read(samples)
		for _, s := range samples {
			if s.Value.Kind() == metrics.KindUint64 {
				sum += s.Value.Uint64()
			}
		}
		return sum
	}
}

// fillPlaces takes places until the runtime has to get new pages for them, several times: then no free place is left.
func fillPlaces(size int, taken func() uint64, take func() (more bool)) {
	for full := taken() + freshFor(size); taken() < full; {
		for range max(1, pageOctets/size) {
			if !take() {
				return
			}
		}
	}
}

func freshFor(size int) uint64 { return uint64(4 * max(pageOctets, min(10*pageOctets, 4*size))) }

// overwritePages takes the free pages that a processor has put aside for itself, and which are not given back for that reason: at most
// 64, and those behind them are clean.
func overwritePages() {
	pages := make([]*byte, 0, 2*64)
	for range cap(pages) {
		pages = append(pages, unsafe.SliceData(make([]byte, pageOctets)))
	}
	runtime.KeepAlive(pages)
}

// overwriteStacks takes all free stacks of each size that the runtime keeps, and writes over them.
func overwriteStacks() {
	stacks := inUse("/memory/classes/heap/stacks:bytes")
	for _, overwrite := range []func(){
		overwriteStack[[2<<10 - margin]byte], overwriteStack[[4<<10 - margin]byte],
		overwriteStack[[8<<10 - margin]byte], overwriteStack[[16<<10 - margin]byte],
	} {
		var held sync.WaitGroup
		release := make(chan struct{})
		fillPlaces(pageOctets/2, stacks, func() bool {
			written := make(chan struct{})
			held.Go(func() {
				overwrite()
				close(written)
				<-release
			})
			<-written
			return true
		})
		close(release)
		held.Wait()
	}
}

// margin is how much smaller than a stack a room on it has to be: the runtime wants 928 octets below what a function uses, or takes a
// larger stack, and those who call need some. The last of it only functions may have that do not ask: all but some 250 octets.
const margin = 1200

// overwriteStack writes over a stack that a room just fits in.
//
//go:noinline
func overwriteStack[room any]() {
	var zeros room
	runtime.KeepAlive(&zeros)
	overwriteEnd()
}

//go:noinline
//go:nosplit
func overwriteEnd() {
	var room [740]byte
	runtime.KeepAlive(&room)
}
