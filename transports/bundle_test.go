package transports

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// Outgoing stands in the place of a socket, and notes what leaves and in how many calls.
type outgoing struct {
	mu    sync.Mutex
	calls int
	left  map[netip.AddrPort]string
	was   []datagram // where it stood
}

func (o *outgoing) send(answers []datagram) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	for _, a := range answers {
		if o.left[a.peer] != "" {
			panic("sent twice")
		}
		o.left[a.peer] = fmt.Sprintf("%s %s %t", a.octets, a.control, a.edns)
		o.was = append(o.was, a)
	}
}

// finish has jobs end at about the same time, each with an answer of so many octets.
func (o *outgoing) finish(jobs, length int) {
	var b bundles
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	for i := range jobs {
		ready.Add(1)
		done.Go(func() {
			octets := bytes.Repeat([]byte{'a' + byte(i%26)}, length)
			peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(i+1))
			ready.Done()
			<-begin
			b.send(&datagram{octets, []byte(fmt.Sprint(i)), peer, i%2 == 0, false}, o.send)
			clear(octets) // the job is over
		})
	}
	ready.Wait()
	close(begin)
	done.Wait()
}

// Each answer leaves once, whole and to whom it is for, however many share a call, and nothing of it stays.
func TestAnswersOfJobsLeaveTogether(t *testing.T) {
	for _, c := range []struct{ jobs, length, bundles int }{
		{1, 100, 1}, {2, 1, 1}, {batchSize, 100, 1}, {10 * batchSize, 100, 10}, {100, udpSize, 8},
	} {
		for _, processors := range []int{1, 2} {
			before := runtime.GOMAXPROCS(processors)
			o := &outgoing{left: map[netip.AddrPort]string{}}
			o.finish(c.jobs, c.length)
			runtime.GOMAXPROCS(before)
			if len(o.left) != c.jobs {
				t.Fatalf("%+v: %d answers left", c, len(o.left))
			}
			for peer, got := range o.left {
				i := int(peer.Port()) - 1
				if want := fmt.Sprintf("%s %d %t", bytes.Repeat([]byte{'a' + byte(i%26)}, c.length), i, i%2 == 0); got != want {
					t.Fatalf("%+v: client %d got %.20q, want %.20q", c, i, got, want)
				}
			}
			if processors == 1 && o.calls > 2*c.bundles+1 { // the runtime may let others run in between
				t.Errorf("%+v: left in %d calls", c, o.calls)
			}
			pooled := bundlePool.Get().(*bundle)
			for _, was := range append(o.was, pooled.answers[:batchSize]...) {
				if bytes.Trim(was.octets, "\x00") != nil || bytes.Trim(was.control, "\x00") != nil {
					t.Fatalf("%+v: something stayed", c)
				}
			}
			if slices.ContainsFunc(pooled.answers[:batchSize], func(d datagram) bool { return d.peer.IsValid() }) {
				t.Fatalf("%+v: an address stayed", c)
			}
		}
	}
}
