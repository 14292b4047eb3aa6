package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"
)

// A conn is a connection to an address.
type conn struct {
	net.Conn
	local net.Addr
}

func (c conn) LocalAddr() net.Addr { return c.local }

func TestCertificateIsChosen(t *testing.T) {
	s := mustNew(t, Options{Pairs: []Pair{
		kit{names: []string{"a.first.test"}}.write(t),
		kit{names: []string{"b.second.test", "*.wild.test"}}.write(t),
		kit{names: []string{"c.third.test"}, addresses: []string{"192.0.2.3", "2001:db8::3"}}.write(t),
		kit{names: []string{"exact.wild.test"}}.write(t),
	}})
	to := func(ip string) net.Conn { return conn{local: &net.TCPAddr{IP: net.ParseIP(ip), Port: 853}} }
	const first, second, third = "a.first.test", "*.wild.test", "192.0.2.3" // each as subjects sorts it
	for _, c := range []struct {
		name  string
		hello tls.ClientHelloInfo
		want  string
	}{
		{"the first name", tls.ClientHelloInfo{ServerName: "a.first.test"}, first},
		{"another name", tls.ClientHelloInfo{ServerName: "b.second.test"}, second},
		{"in other letters", tls.ClientHelloInfo{ServerName: "B.Second.TEST"}, second},
		{"below an asterisk", tls.ClientHelloInfo{ServerName: "any.wild.test"}, second},
		{"exact before an asterisk", tls.ClientHelloInfo{ServerName: "exact.wild.test"}, "exact.wild.test"},
		{"two labels for an asterisk", tls.ClientHelloInfo{ServerName: "x.y.wild.test"}, first},
		{"none for an asterisk", tls.ClientHelloInfo{ServerName: "wild.test"}, first},
		{"an unknown name", tls.ClientHelloInfo{ServerName: "unknown.test", Conn: to("192.0.2.3")}, first},
		{"no name, and an address", tls.ClientHelloInfo{Conn: to("192.0.2.3")}, third},
		{"IPv4 in IPv6", tls.ClientHelloInfo{Conn: to("::ffff:192.0.2.3")}, third},
		{"IPv6", tls.ClientHelloInfo{Conn: to("2001:db8::3")}, third},
		{"over QUIC", tls.ClientHelloInfo{Conn: conn{local: &net.UDPAddr{IP: net.ParseIP("192.0.2.3"), Port: 853}}}, third},
		{"no name, and another address", tls.ClientHelloInfo{Conn: to("192.0.2.4")}, first},
		{"no name and no address", tls.ClientHelloInfo{Conn: conn{local: &net.UnixAddr{Name: "x"}}}, first},
		{"nothing", tls.ClientHelloInfo{}, first},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := shown(t, s, &c.hello); got != c.want {
				t.Errorf("shown %s, want %s", got, c.want)
			}
		})
	}
}

// handshake connects a client in memory and returns what it was shown.
func handshake(t *testing.T, s *Store, client *tls.Config) *x509.Certificate {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- tls.Server(far, &tls.Config{GetCertificate: s.Certificate}).Handshake() }()
	client.InsecureSkipVerify = true // what is shown is looked at by the test
	c := tls.Client(near, client)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	_, _ = near.Close(), far.Close()
	return c.ConnectionState().PeerCertificates[0]
}

// The same names may have a certificate with an RSA key for clients that know no other.
func TestCertificateSuitsTheClient(t *testing.T) {
	names := []string{"dns.test"}
	s := mustNew(t, Options{Pairs: []Pair{kit{names: names}.write(t), kit{names: names, key: rsaKey(t)}.write(t)}})
	old := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for _, c := range []struct {
		name   string
		client *tls.Config
		want   x509.PublicKeyAlgorithm
	}{
		{"both", &tls.Config{ServerName: "dns.test"}, x509.ECDSA},
		{"RSA only", &tls.Config{ServerName: "dns.test", MaxVersion: tls.VersionTLS12, CipherSuites: old}, x509.RSA},
		{"RSA only, of an unknown name", &tls.Config{ServerName: "x.test", MaxVersion: tls.VersionTLS12, CipherSuites: old}, x509.RSA},
		{"RSA only, without a name", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: old}, x509.RSA},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := handshake(t, s, c.client).PublicKeyAlgorithm; got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

func TestCertificateDoesNotAllocateMuch(t *testing.T) {
	s := mustNew(t, Options{Pairs: []Pair{kit{names: []string{"dns.test"}}.write(t)}})
	hello := &tls.ClientHelloInfo{ServerName: "dns.test"}
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Certificate(hello) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestStatus(t *testing.T) {
	pair := kit{names: []string{"dns.test"}, addresses: []string{"192.0.2.1"}, life: 90 * day}.write(t)
	s := mustNew(t, Options{Pairs: []Pair{pair}})
	for _, c := range []struct {
		name  string
		after time.Duration
		want  State
	}{
		{"from the future", -time.Second, Early},
		{"the first second", 0, Good},
		{"more than a third left", 60*day - time.Second, Good},
		{"a third left", 60 * day, Soon},
		{"the last second", 90 * day, Soon},
		{"over", 90*day + time.Second, Expired},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := s.Status(noon.Add(c.after))
			if len(list) != 1 || list[0].State != c.want {
				t.Errorf("%+v, want %v", list, c.want)
			}
		})
	}
	got := s.Status(noon)[0]
	if len(got.Names) != 2 || got.Names[0] != "192.0.2.1" || got.Names[1] != "dns.test" || got.File != pair.CertFile ||
		!got.SelfSigned || got.Made() || !got.NotAfter.Equal(noon.Add(90*day)) {
		t.Errorf("%+v", got)
	}
}
