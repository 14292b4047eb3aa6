package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The key of this test signs nothing.
const exampleKey = "Private-key-format: v1.3\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"

func TestZoneDS(t *testing.T) {
	path := file(t, "[zones]\nkeys = 'keys'\n")
	_, stderr := call(t, exitRunTime, "zone", "ds", "-c", path, "example.com")
	expect(t, stderr, "keys/example.com.private is not there: the zone has not been signed yet")
	keys := filepath.Join(filepath.Dir(path), "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(keys, "example.com.private"), []byte(exampleKey), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, _ := call(t, exitGood, "zone", "ds", "-c", path, "Example.com")
	const want = "example.com. IN DS 8933 13 2 ACBFB71BDD7684EF4481743EB3907BC50156E509A2F9A38B00C45DC46F44B3A6\n" // as dnssec-dsfromkey has it
	if stdout != want {
		t.Error(stdout)
	}
	_, stderr = call(t, exitUsage, "zone", "ds", "-c", path, "example..com")
	expect(t, stderr, "empty label")
	_, stderr = call(t, exitRunTime, "zone", "ds", "-c", file(t, ""), "example.com")
	expect(t, stderr, "zones.keys")
}
