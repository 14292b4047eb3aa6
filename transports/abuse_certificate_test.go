//go:build abuse && linux

package transports

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The certificate is swapped every few milliseconds while clients of all encrypted transports connect and ask: not one query
// fails, and both certificates are seen.
func TestAbuseCertificateSwappedUnderLoad(t *testing.T) {
	const swapEvery, loadFor, side = 3 * time.Millisecond, 5 * time.Second, 2
	certificates, trusted := abusePair(t)
	var current atomic.Pointer[tls.Certificate]
	current.Store(certificates[0])
	var shown [2]atomic.Int64
	s, err := abuseListen(func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		now := current.Load()
		if shown[0].Add(1); now == certificates[1] {
			shown[1].Add(1)
		}
		return now, nil
	}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s, known, everybody{})
	a := &abuseServer{trusted: trusted}
	for tr := range transportCount {
		a.Addrs[tr] = s.Addrs(tr)[0]
	}

	ctx, cancel := context.WithTimeout(t.Context(), loadFor)
	defer cancel()
	var asked, failed, swaps atomic.Int64
	var running sync.WaitGroup
	for i, w := range abuseWays[1:] { // not TCP in clear
		for j := range side {
			c := a.client(t, netip.AddrFrom4([4]byte{127, 0, 5, byte(1 + side*i + j)}).String())
			running.Go(func() {
				for ctx.Err() == nil {
					if _, err := c.ask(w); err != nil {
						failed.Add(1)
						t.Error(err)
					}
					asked.Add(1)
				}
			})
		}
	}
	running.Go(func() { // and a connection that outlives every swap
		asked.Add(askOn(ctx, t, a.client(t, "127.0.0.6")))
	})
	running.Go(func() {
		tick := time.NewTicker(swapEvery)
		defer tick.Stop()
		for i := 1; ctx.Err() == nil; i++ {
			current.Store(certificates[i%2])
			swaps.Add(1)
			<-tick.C
		}
	})
	running.Wait()
	t.Logf("%d queries, %d failed; %d swaps; shown %d times, %d of them the second",
		asked.Load(), failed.Load(), swaps.Load(), shown[0].Load(), shown[1].Load())
	if shown[1].Load() == 0 || shown[1].Load() == shown[0].Load() {
		t.Error("one certificate was never shown")
	}
}

// askOn asks on one connection over TLS until ctx is done.
func askOn(ctx context.Context, t *testing.T, c *abuseClient) (asked int64) {
	conn, err := c.dial(ctx, abuseWay{transport: TLS})
	if err != nil {
		t.Error(err)
		return 0
	}
	defer func() { _ = conn.Close() }()
	for ; ctx.Err() == nil; asked++ {
		_ = conn.SetDeadline(time.Now().Add(abuseGiveUp))
		if _, err := conn.Write(framed(ask(0, "a.example."))); err != nil {
			t.Error(err)
			return asked
		}
		if _, err := receiveFrame(conn); err != nil {
			t.Error(err)
			return asked
		}
	}
	return asked
}

// abusePair is two certificates for the same name, and a pool that trusts both.
func abusePair(t *testing.T) (certificates [2]*tls.Certificate, trusted *x509.CertPool) {
	t.Helper()
	trusted = x509.NewCertPool()
	for i := range certificates {
		certificate, _, err := abuseCertificate()
		if err != nil {
			t.Fatal(err)
		}
		certificates[i] = certificate
		trusted.AddCert(certificate.Leaf)
	}
	return certificates, trusted
}
