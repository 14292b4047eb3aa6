package resolver

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/internal/testnet"
	"tacit/internal/wire"
	"tacit/internal/work"
	"tacit/upstream"
)

// What is this resolver's own, or its network's, accuses no zone, however it was wrapped.
func TestWhatAccusesZones(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{errNoServer, true},
		{errLame, true},
		{errFailing, true},
		{errMalformed, true},
		{errCyclic, true},
		{errLoop, true},
		{errBogus, true},
		{errOldFailure, true},
		{errNoNetwork, false},
		{errJostled, false},
		{errTime, false},
		{errBusy, false},
		{errPanicked, false},
		{errStranger, false},
		{errUncovered, false},
		{&work.Exceeded{Kind: work.FailedLookup}, false},
	} {
		err := fail(stepAsk, wire.EDENoReachableAuthority, c.err)
		if got := failureOf(fmt.Errorf("in vain: %w", err)); got != (Failure{stepAsk, c.want}) {
			t.Errorf("%v: %+v, want %v", c.err, got, c.want)
		}
		if failureOf(forwarded(err)).Accuses {
			t.Errorf("%v of a forwarder accuses the zone", c.err)
		}
	}
	if got := failureOf(nil); got != (Failure{}) || failureOf(errors.New("another")) != (Failure{}) {
		t.Errorf("%+v", got)
	}
}

func (s *script) fault(ctx context.Context, name string) Failure {
	s.Helper()
	a, failed := s.r.Resolve(ctx, question(name, "A"))
	if a.Rcode() != wire.ServFail {
		s.Errorf("%s: %v", name, a.Rcode())
	}
	return failed
}

// What a zone is accused of it is accused of when it is told from memory, too; and so for what is none of its faults.
func TestZonesAreAccused(t *testing.T) {
	play(t, func(s *script) {
		s.Zone("refuses.example.", wwwRecord, testnet.Failing(dns.RcodeRefused))
		for range everyWay {
			if got := s.fault(s.Context(), "www.refuses.example."); got != (Failure{stepAsk, true}) {
				t.Errorf("a zone whose servers refuse: %+v", got)
			}
		}
		s.Zone("silent.example.", wwwRecord, testnet.Silent())
		ctx, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		if got := s.fault(ctx, "www.silent.example."); got.Accuses {
			t.Errorf("a client that does not wait: %+v", got)
		}
		dead := s.Server("dead.example.", testnet.Failing(dns.RcodeServerFailure))
		s.r.routes = newRoutes(&Options{Forwards: []Forward{{Zone: wire.MustName("corp.example."), Servers: []upstream.Server{{Addr: dead.Addresses()[0]}}}}})
		for range everyWay {
			if got := s.fault(s.Context(), "www.corp.example."); got != (Failure{stepAsk, false}) {
				t.Errorf("a forwarder that fails: %+v", got)
			}
		}
		s.Unreachable("0.0.0.0/0", syscall.ENETUNREACH)
		s.Unreachable("::/0", syscall.ENETUNREACH)
		for range everyWay {
			if got := s.fault(s.Context(), "www.unknown.example."); got.Accuses {
				t.Errorf("a network that is down: %+v", got)
			}
		}
	})
}
