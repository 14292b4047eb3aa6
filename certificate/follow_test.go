package certificate

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFollowTakesUpWhatChanges(t *testing.T) {
	p := kit{names: []string{"one.test"}, life: 3650 * day}.write(t)
	cert, key := kit{names: []string{"two.test"}, life: 3650 * day}.texts(t)
	synctest.Test(t, func(t *testing.T) {
		log, written := newLog()
		s := mustNew(t, Options{Pairs: []Pair{p}, Log: log, Now: time.Now})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.Follow(ctx); close(done) }()
		put(t, p.CertFile, cert)
		put(t, p.KeyFile, key)
		time.Sleep(3 * pollEvery) // of the bubble: it takes no time
		synctest.Wait()
		if got := shown(t, s, &tls.ClientHelloInfo{}); got != "two.test" {
			t.Errorf("shown %s", got)
		}
		cancel()
		<-done
		if !strings.Contains(written.String(), "a new certificate is in use") {
			t.Error(written)
		}
	})
}

// The whole life of a certificate of nine days, and two days more.
func TestWarningsComeOnceADay(t *testing.T) {
	p := kit{names: []string{"dns.test"}, life: 9 * day}.write(t)
	log, written := newLog()
	s := mustNew(t, Options{Pairs: []Pair{p}, Log: log})
	var told []string
	for now := noon.Add(-time.Hour); now.Before(noon.Add(11 * day)); now = now.Add(10 * time.Minute) {
		s.look(t.Context(), now)
		if text := written.take(); text != "" {
			told = append(told, now.Sub(noon).String()+" "+summary(text))
		}
	}
	want := []string{
		"-1h0m0s WARN not valid yet", "144h0m0s WARN days_left=3", "168h0m0s WARN days_left=2", "192h0m0s WARN days_left=1",
		"216h0m0s WARN days_left=0", "216h10m0s ERROR days_since=0", "240h10m0s ERROR days_since=1",
	}
	if got, want := strings.Join(told, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func summary(line string) string {
	level := strings.Fields(line[strings.Index(line, "level=")+len("level="):])[0]
	if strings.Contains(line, "not valid yet") {
		return level + " not valid yet"
	}
	return level + " " + line[strings.Index(line, "days_"):len(line)-1]
}

// What a client asks for is nobody's business but its own, even if nothing fits it.
func TestServerNamesAreNotLogged(t *testing.T) {
	p := kit{names: []string{"dns.test"}}.write(t)
	log, written := newLog()
	s := mustNew(t, Options{Pairs: []Pair{p}, Log: log})
	for _, protocols := range [][]string{nil, {"dot"}, {ChallengeProtocol}} {
		_ = shown(t, s, &tls.ClientHelloInfo{ServerName: "secret.example", SupportedProtos: protocols})
	}
	s.look(t.Context(), noon.Add(1000*day))
	if strings.Contains(written.String(), "secret") {
		t.Error(written)
	}
}
