package config

import (
	"errors"
	"strings"
	"testing"
)

// Whatever a file holds, it is a configuration or a list of mistakes, each at a place inside the file.
func FuzzConfig(f *testing.F) {
	f.Add([]byte(exampleFile()))
	f.Add([]byte("[[forward]]\nzone = '.'\nupstreams = ['192.0.2.1', 'tls://a']\n[listen]\nudp = [':53', 1]"))
	f.Add([]byte("stub = [{ zone = 'a', servers = [] }, 1]\ncache.size = '1'\n[log.x]\n[[log]]\n"))
	f.Add([]byte("recursion.port = 0x10000\r\nxx = 2026-01-01\n\"listen\".'udp' = []"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Read("f", text)
		var c *Config
		if err == nil {
			c, err = file.Check()
		}
		if err == nil {
			if c == nil || c.Cache.Size < minCacheSize || c.Recursion.Port == 0 || len(c.Listen.UDP)+len(c.Listen.TCP) == 0 {
				t.Fatalf("accepted what cannot work: %+v", c)
			}
			return
		}
		problems, ok := errors.AsType[Problems](err)
		if !ok || len(problems) == 0 {
			t.Fatalf("not Problems: %v", err)
		}
		for _, p := range problems {
			if p.Place.Line < 1 || p.Column < 1 || p.Place.Line > 1+strings.Count(string(text), "\n") {
				t.Errorf("problem outside of the file: %v", p)
			}
			if p.Marked() == "" || p.Text == "" {
				t.Errorf("problem without a text")
			}
		}
	})
}
