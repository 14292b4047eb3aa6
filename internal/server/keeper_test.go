package server

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"tacit/config"
)

const keeping = `
[[zone]]
name = "kept.example."
file = "kept.zone"
[edge]
addresses = ["203.0.113.10"]
[[key]]
name = "k.test."
secret_file = "k.key"
[[secondary]]
key = "k.test."
[[update]]
key = "k.test."
zones = ["kept.example."]
types = ["A", "TXT"]
`

var someSecret = base64.StdEncoding.EncodeToString([]byte("a secret that is for tests alone"))

// lay writes the files that the configuration names.
func (x *setting) lay(t *testing.T, mode fs.FileMode, secret string) {
	t.Helper()
	directory := filepath.Dir(x.path)
	for name, text := range map[string]string{
		"kept.zone": "@ SOA ns x 7 1 1 1 1\n@ NS ns\nblog A 192.0.2.1 ; cf_tags=cf-proxied:true\nshop A 198.51.100.2\n", "k.key": secret,
	} {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
}

func signedBy(m *dns.Msg, secret string) (*dns.Client, *dns.Msg) {
	m.SetTsig("k.test.", dns.HmacSHA256, 300, time.Now().Unix())
	return &dns.Client{Net: "tcp", TsigSecret: map[string]string{"k.test.": secret}, Timeout: 5 * time.Second}, m
}

// What a key may do reaches the Keeper, and what has changed is in the cache of answers at once; a reload takes rights away.
func TestKeepingZones(t *testing.T) {
	x := newSetting(t)
	x.lay(t, 0o600, someSecret)
	s, log := x.start(t, common+listenAnywhere+keeping)
	udp, tcp := s.Addrs()
	transfer := func() string {
		client, m := signedBy(new(dns.Msg).SetAxfr("kept.example."), someSecret)
		reply, _, err := client.Exchange(m, tcp[0].String())
		if err != nil {
			t.Fatal(err)
		}
		return reply.String()
	}
	if said := transfer(); !strings.Contains(said, "203.0.113.10") || !strings.Contains(said, "198.51.100.2") || strings.Contains(said, "192.0.2.1") {
		t.Error("the transfer:", said)
	}
	for range 3 {
		if r := ask(t, "udp", udp[0], "new.kept.example."); r.Rcode != dns.RcodeNameError {
			t.Error("before the update:", r)
		}
	}
	rr, _ := dns.NewRR("new.kept.example. 300 IN A 198.51.100.77")
	m := new(dns.Msg).SetUpdate("kept.example.")
	m.Insert([]dns.RR{rr})
	client, m := signedBy(m, someSecret)
	if r, _, err := client.Exchange(m, tcp[0].String()); err != nil || r.Rcode != dns.RcodeSuccess {
		t.Fatal(r, err)
	}
	expectAddress(t, ask(t, "udp", udp[0], "new.kept.example."), "198.51.100.77")
	client, m = signedBy(new(dns.Msg).SetIxfr("kept.example.", 7, ".", "."), someSecret)
	if r, _, err := client.Exchange(m, tcp[0].String()); err != nil || len(r.Answer) != 5 {
		t.Error("the difference:", r, err)
	}
	before, _, _ := strings.Cut(keeping, "[[secondary]]")
	x.write(t, common+listenAnywhere+before)
	if err := s.ReloadFile(t.Context(), x.path); err != nil {
		t.Fatal(err)
	}
	if said := transfer(); !strings.Contains(said, "REFUSED") {
		t.Error("after the key has lost its rights:", said)
	}
	before, _, _ = strings.Cut(before, "[[key]]")
	x.write(t, common+listenAnywhere+before)
	if err := s.ReloadFile(t.Context(), x.path); err != nil {
		t.Fatal(err)
	}
	r, _, err := (&dns.Client{Net: "tcp"}).Exchange(new(dns.Msg).SetAxfr("kept.example."), tcp[0].String())
	if err != nil || r.Rcode != dns.RcodeRefused {
		t.Error("without keys:", r, err)
	}
	if strings.Contains(log.String(), someSecret) || strings.Contains(log.String(), "192.0.2.1") {
		t.Error("the log has a secret:", log)
	}
}

// The catalog of a secondary is what the configuration calls it. Who does not sign is not answered from it, as if there were none.
func TestCatalogOfASecondary(t *testing.T) {
	x := newSetting(t)
	x.lay(t, 0o600, someSecret)
	text := strings.Replace(keeping, "[[secondary]]\n", "[[secondary]]\ncatalog = \"catalog.kept.example.\"\n", 1)
	s, log := x.start(t, common+listenAnywhere+text)
	udp, tcp := s.Addrs()
	client, m := signedBy(new(dns.Msg).SetAxfr("catalog.kept.example."), someSecret)
	r, _, err := client.Exchange(m, tcp[0].String())
	if err != nil || len(r.Answer) != 5 || !strings.Contains(r.String(), ".zones.catalog.kept.example.\t0\tIN\tPTR\tkept.example.") {
		t.Error("the catalog:", r, err)
	}
	client, m = signedBy(new(dns.Msg).SetQuestion("catalog.kept.example.", dns.TypeSOA), someSecret)
	client.Net = "udp"
	if r, _, err := client.Exchange(m, udp[0].String()); err != nil || len(r.Answer) != 1 || r.Answer[0].Header().Rrtype != dns.TypeSOA {
		t.Error("its serial:", r, err)
	}
	for _, kind := range []uint16{dns.TypeSOA, dns.TypeNS, dns.TypeA, dns.TypeANY} {
		m := new(dns.Msg).SetQuestion("catalog.kept.example.", kind)
		r, _, err := (&dns.Client{Net: "udp"}).Exchange(m, udp[0].String())
		if err != nil || r.Rcode != dns.RcodeNameError && kind != dns.TypeANY || strings.Contains(r.String(), "invalid.") {
			t.Error("without a key:", r, err)
		}
	}
	if strings.Contains(log.String(), "kept") {
		t.Error("the log has a zone:", log)
	}
}

// A zone in the directory that is called like a catalog is pointed out.
func TestZoneThatIsCalledLikeACatalog(t *testing.T) {
	x := newSetting(t)
	x.lay(t, 0o600, someSecret)
	text := strings.Replace(keeping, "[[secondary]]\n", "[zones]\ndirectory = \".\"\n[[secondary]]\ncatalog = \"catalog.example.\"\n", 1)
	c := x.load(t, common+listenAnywhere+text)
	if problems, err := CheckZones(c); err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	write(t, filepath.Join(filepath.Dir(x.path), "catalog.example.zone"), "www A 192.0.2.3\n")
	problems, err := CheckZones(c)
	if err != nil || problems.Grave() || !strings.Contains(problems.Error(), "warning: the zone is called like the catalog of a [[secondary]]") {
		t.Error(problems, err)
	}
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct {
		mode   fs.FileMode
		secret string
		fails  bool
	}{
		"its owner's":        {0o600, someSecret, false},
		"read by a group":    {0o640, someSecret + "\n", false},
		"read by everybody":  {0o644, someSecret, true},
		"written by a group": {0o660, someSecret, true},
		"not a secret":       {0o600, "not base64!", true},
		"easily guessed":     {0o600, "MTIz", true},
	} {
		t.Run(name, func(t *testing.T) {
			x := newSetting(t)
			x.lay(t, c.mode, c.secret)
			err := Check(x.load(t, common+listenAnywhere+keeping))
			if (err != nil) != c.fails || err != nil && strings.Contains(err.Error(), c.secret) {
				t.Error(err)
			}
		})
	}
	x := newSetting(t)
	if err := Check(x.load(t, common+listenAnywhere+keeping)); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	var none config.Config
	if err := checkKeys(&none); err != nil {
		t.Error(err)
	}
}
