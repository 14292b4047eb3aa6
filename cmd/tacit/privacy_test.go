package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"tacit/statement"
)

func TestPrivacyOfAConfiguration(t *testing.T) {
	path := file(t, "[operator]\nname = 'Example Org'\n[recursion]\nlocal_root = false\n")
	stdout, stderr := call(t, exitGood, "privacy", "--config", path)
	expect(t, stdout, "  name: Example Org\n", "  packet capture: not declared\n", "  recursion.local_root = false: root servers learn")
	if stderr != "" {
		t.Error(stderr)
	}
	stdout, _ = call(t, exitGood, "privacy", "--config", path, "--json")
	var s statement.Statement
	if err := json.Unmarshal([]byte(stdout), &s); err != nil || s.Policy.Operator.Name != "Example Org" || len(s.Digest) != 64 {
		t.Errorf("%v\n%s", err, stdout)
	}
	stdout, _ = call(t, exitGood, "privacy", "--config", path, "--checklist")
	expect(t, stdout, "5.2.2    not declared captures are minimised", "RFC 8932 section 5: ")
	stdout, _ = call(t, exitGood, "privacy", "--config", path, "--checklist", "--json")
	var list []statement.Item
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list) < 15 {
		t.Errorf("%v, %d items", err, len(list))
	}
	call(t, exitUsage, "privacy", "--config", file(t, "[operator]\nnick = 'x'\n"))
	call(t, exitRunTime, "privacy", "--control", filepath.Join(os.TempDir(), "tacit-is-not-here.sock"))
}
