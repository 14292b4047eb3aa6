package certificate

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Store has the certificates of one configuration. Handshakes read from it without a lock.
type Store struct {
	options   Options
	current   atomic.Pointer[table]
	authority *authority         // nil without ACME
	told      map[string]telling // by source; Follow's alone

	mu    sync.Mutex // of all below; no handshake takes it
	pairs []*watched
	own   *own // nil until it is needed
}

// Options say where certificates come from. The zero value makes a self-signed one for no name.
type Options struct {
	// Pairs are the files of certificates. The first is shown to clients that ask for none of the others.
	Pairs []Pair
	// Names and Addresses are what a self-signed certificate is for. It is made when there are no Pairs, and with ACME stands in
	// until the first certificate has come.
	Names     []string
	Addresses []netip.Addr
	// ACME orders certificates. The zero value orders none.
	ACME ACME
	// Now tells the time by which certificates expire. Nil: time.Now.
	Now func() time.Time
	// Log hears of changed files, of orders, and of certificates that run out. Nil: nothing is logged.
	Log *slog.Logger
	// Panicked is told of each order that has panicked, while its stack is still there. Nil: nobody is.
	Panicked func()
}

// New reads all pairs, and what the ACME cache holds. An error names the file and what is wrong with it; that a certificate
// has expired is none.
func New(o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default; the server gives its own clock
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Panicked == nil {
		o.Panicked = func() {}
	}
	s := &Store{options: o, told: map[string]telling{}}
	for _, p := range o.Pairs {
		w, err := watch(p)
		if err != nil {
			return nil, err
		}
		s.pairs = append(s.pairs, w)
	}
	if len(o.ACME.Names) > 0 {
		a, err := newAuthority(o.ACME, o.Now(), o.Panicked)
		if err != nil {
			return nil, err
		}
		s.authority = a
	}
	return s, s.renew(o.Now())
}

// Certificate picks what is shown for a hello, as tls.Config.GetCertificate: by the server name, or without one by the
// address that the client has connected to. Who asks for what is not there is shown the first.
func (s *Store) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s.authority != nil && isChallenge(hello) {
		return s.authority.prove(hello)
	}
	return s.current.Load().choose(hello), nil
}

// renew makes the table of what there is now.
func (s *Store) renew(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var t table
	for _, w := range s.pairs {
		t.add(entry{certificate: w.certificate, file: w.CertFile})
	}
	if s.authority != nil {
		s.authority.addTo(&t)
	}
	if len(t.entries) == 0 {
		if err := s.standIn(now); err != nil {
			return err
		}
		t.add(entry{certificate: s.own.certificate})
	}
	t.complete()
	s.current.Store(&t)
	return nil
}

// standIn sees to a self-signed certificate that lasts.
func (s *Store) standIn(now time.Time) error {
	if s.own == nil {
		s.own = &own{names: slices.Concat(s.options.Names, s.options.ACME.Names), addresses: s.options.Addresses}
	}
	if err := s.own.renew(now); err != nil {
		return fmt.Errorf("self-signed certificate: %w", err)
	}
	return nil
}
