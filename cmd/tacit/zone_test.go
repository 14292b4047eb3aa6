package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const zoneText = `; the example
$TTL 3600
@	SOA ns hostmaster 2026010100 7200 3600 1209600 300
@	NS ns
ns	A 192.0.2.53
blog	IN A 192.0.2.1 ; cf_tags=cf-proxied:true
shop	A 192.0.2.2 ; the shop
`

// zoneWorld writes a configuration with one zone, example.com, and a directory for others.
func zoneWorld(t *testing.T, text string) (configuration, zoneFile, directory string) {
	t.Helper()
	root := t.TempDir()
	directory = filepath.Join(root, "zones")
	if err := os.Mkdir(directory, 0o750); err != nil {
		t.Fatal(err)
	}
	zoneFile = filepath.Join(root, "example.com.zone")
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	write(zoneFile, text)
	configuration = filepath.Join(root, "tacit.toml")
	write(configuration, "[listen]\nudp = ['192.0.2.200:53']\n[edge]\naddresses = ['203.0.113.10']\n[zones]\ndirectory = 'zones'\n[[zone]]\nname = 'example.com'\nfile = 'example.com.zone'\n")
	return configuration, zoneFile, directory
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestZoneEdits(t *testing.T) {
	for _, test := range []struct {
		args     []string
		from, to string // what changes in the file besides the serial; none: nothing is added at the end
		out      string
	}{
		{
			[]string{"set", "example.com", "new", "A", "192.0.2.9", "--ttl", "60", "--comment", "a new one"},
			"", "new.example.com.\t60\tIN\tA\t192.0.2.9 ; a new one\n", "new.example.com. A: added in ",
		},
		{
			[]string{"set", "example.com.", "new.example.com", "CNAME", "host.example.net", "--proxied"},
			"", "new.example.com.\t1\tIN\tCNAME\thost.example.net. ; cf_tags=cf-proxied:true\n", "added",
		},
		{[]string{"set", "example.com", "@", "TXT", "v=spf1 mx -all"}, "", "example.com.\t1\tIN\tTXT\t\"v=spf1 mx -all\"\n", "example.com. TXT: added"},
		{[]string{"set", "example.com", "shop", "a", "192.0.2.3"}, "shop\tA 192.0.2.2 ;", "shop\tA 192.0.2.3 ;", "shop.example.com. A: set"},
		{[]string{"set", "example.com", "blog", "A", "192.0.2.1", "--proxied=false"}, "blog\tIN A 192.0.2.1 ; cf_tags=cf-proxied:true", "blog\t1\tIN\tA\t192.0.2.1", "set"},
		{[]string{"set", "example.com", "shop", "A", "192.0.2.3", "--add"}, "", "shop.example.com.\t1\tIN\tA\t192.0.2.3\n", "added"},
		{[]string{"delete", "example.com", "shop", "A"}, "shop\tA 192.0.2.2 ; the shop\n", "", "1 record deleted"},
		{[]string{"delete", "example.com", "shop", "A", "192.0.2.2"}, "shop\tA 192.0.2.2 ; the shop\n", "", "1 record deleted"},
		{[]string{"proxy", "off", "blog.example.com"}, " ; cf_tags=cf-proxied:true", "", "blog.example.com.: proxy off"},
		{[]string{"proxy", "on", "shop.example.com"}, "; the shop", "; the shop cf_tags=cf-proxied:true", "shop.example.com.: proxy on"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			configuration, path, _ := zoneWorld(t, zoneText)
			if err := os.Chmod(path, 0o604); err != nil {
				t.Fatal(err)
			}
			stdout, stderr := call(t, exitGood, append([]string{"zone", "-c", configuration}, test.args...)...)
			expect(t, stdout, test.out, path)
			want := strings.Replace(zoneText, test.from, test.to, 1)
			if test.from == "" {
				want = zoneText + test.to
			}
			got := fileText(t, path)
			if want = strings.Replace(want, "2026010100", "2026010101", 1); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if info, err := os.Stat(path); err != nil || info.Mode() != 0o604 {
				t.Error(info.Mode(), err)
			}
			if stderr != "" {
				t.Error(stderr)
			}
		})
	}
}

// What is refused changes nothing, and is said with the file or the line.
func TestZoneRefusals(t *testing.T) {
	for _, test := range []struct {
		code int
		args []string
		want string
	}{
		{exitUsage, []string{"set", "example.com", "blog", "CNAME", "host.example.net"}, "already exists (code 81053)"},
		{exitUsage, []string{"set", "example.com", "x", "A", "192.0.2"}, "example.com.zone: the content must be a valid address: IPv4 for an A record, IPv6 for an AAAA record (code 9005)"},
		{exitUsage, []string{"set", "example.com", "x", "A", "192.0.2.1", "--ttl", "5"}, "(code 9021)"},
		{exitUsage, []string{"set", "example.com", "x", "A", "192.0.2.1", "--ttl", "x"}, "--ttl takes"},
		{exitUsage, []string{"set", "example.com", "x", "A", "203.0.113.10", "--proxied"}, "(code 9003)"},
		{exitUsage, []string{"set", "example.com", "x", "A", "192.0.2.200", "--proxied"}, "(code 9003)"},
		{exitUsage, []string{"set", "example.com", "x", "MX", "10 mail.example.net", "--proxied"}, "(code 9004)"},
		{exitUsage, []string{"set", "example.com", "a b", "A", "192.0.2.1"}, "(code 9000)"},
		{exitUsage, []string{"set", "example.com", "x", "RRSIG", "x"}, "is no type"},
		{exitUsage, []string{"set", "example.net", "x", "A", "192.0.2.1"}, "no zone of the configuration"},
		{exitUsage, []string{"set", "example.com", "*", "NS", "ns.example.net"}, "the record delegates a wildcard"},
		{exitUsage, []string{"delete", "example.com", "none", "A"}, "(code 81044)"},
		{exitUsage, []string{"delete", "example.com", "shop", "A", "192.0.2.7"}, "(code 81044)"},
		{exitUsage, []string{"proxy", "on", "none.example.com"}, "(code 81044)"},
		{exitUsage, []string{"proxy", "on", "example.com"}, "(code 9004)"},
		{exitUsage, []string{"proxy", "on", "www.example.net"}, "no zone of the configuration"},
		{exitUsage, []string{"proxy"}, "on or off"},
		{exitUsage, []string{"import", "example.net", "none"}, ""},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			configuration, path, _ := zoneWorld(t, zoneText)
			args := append([]string{"zone"}, test.args...)
			if len(test.args) > 1 {
				args = append(args, "-c", configuration)
			}
			if test.want == "" {
				test.code = exitRunTime
			}
			_, stderr := call(t, test.code, args...)
			expect(t, stderr, test.want)
			if got := fileText(t, path); got != zoneText {
				t.Errorf("the file has changed:\n%s", got)
			}
		})
	}
	configuration, path, _ := zoneWorld(t, zoneText+"bad A 1\n")
	_, stderr := call(t, exitUsage, "zone", "set", "example.com", "x", "A", "192.0.2.1", "-c", configuration)
	expect(t, stderr, path+":8: bad A A")
	configuration, path, _ = zoneWorld(t, zoneText+"blog CNAME x.example.net.\n")
	_, stderr = call(t, exitUsage, "zone", "set", "example.com", "x", "A", "192.0.2.1", "-c", configuration)
	expect(t, stderr, path+":8: is a CNAME beside addresses")
	call(t, exitGood, "zone", "delete", "example.com", "blog", "CNAME", "-c", configuration)
}

// Where there are several records, set is about the one with the content, and another one is asked for.
func TestZoneSetAmongSeveral(t *testing.T) {
	const several = "a A 192.0.2.1\na A 192.0.2.2\n"
	configuration, path, _ := zoneWorld(t, several)
	_, stderr := call(t, exitUsage, "zone", "set", "example.com", "a", "A", "192.0.2.3", "-c", configuration)
	expect(t, stderr, "there are several records")
	for range 2 { // the second time changes nothing
		call(t, exitGood, "zone", "set", "example.com", "a", "A", "192.0.2.2", "--comment", "two", "-c", configuration)
		call(t, exitGood, "zone", "set", "example.com", "a", "A", "192.0.2.3", "--add", "-c", configuration)
		if got, want := fileText(t, path), "a A 192.0.2.1\na A 192.0.2.2 ; two\na.example.com.\t1\tIN\tA\t192.0.2.3\n"; got != want {
			t.Errorf("got\n%s", got)
		}
	}
	call(t, exitGood, "zone", "delete", "example.com", "a", "A", "-c", configuration)
	if got := fileText(t, path); got != "" {
		t.Errorf("got\n%s", got)
	}
}

func TestZoneCheck(t *testing.T) {
	configuration, path, directory := zoneWorld(t, zoneText)
	stdout, stderr := call(t, exitGood, "zone", "check", "-c", configuration)
	if stdout != "1 zone: no mistakes\n" || stderr != "" {
		t.Errorf("%q, %q", stdout, stderr)
	}
	call(t, exitGood, "zone", "set", "-c", configuration, "example.com", "mail", "A", "192.0.2.1")
	other := filepath.Join(directory, "2.0.192.in-addr.arpa.zone")
	if err := os.WriteFile(other, []byte("1 PTR blog.example.com.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	leaks := []string{path + ":8: warning: gives the address that line 6 hides (192.0.2.1)\n", other + ":1: warning: is the reverse record of an address that line 6 of its zone hides (192.0.2.1)\n"}
	stdout, stderr = call(t, exitGood, "zone", "check", "-c", configuration)
	expect(t, stderr, leaks...)
	expect(t, stdout, "2 zones: no mistakes, 2 warnings\n")
	_, stderr = call(t, exitUsage, "zone", "check", "--strict", "-c", configuration)
	expect(t, stderr, path+":8: gives the address that line 6 hides")
	_, stderr = call(t, exitGood, "zone", "check", path)
	expect(t, stderr, leaks[0])
	call(t, exitUsage, "zone", "check", "--strict", path)

	odd := filepath.Join(t.TempDir(), "db.example")
	if err := os.WriteFile(odd, []byte("www.example.net. A 192.0.2.1\n\nwww A 192.0.2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr = call(t, exitUsage, "zone", "check", odd, "--zone", "example.net")
	expect(t, stderr, odd+":3: bad A A")
	_, stderr = call(t, exitUsage, "zone", "check", odd)
	expect(t, stderr, odd+":1: lies outside the zone")
}

func TestZoneListAndShow(t *testing.T) {
	configuration, path, directory := zoneWorld(t, "; tacit: status=pending paused\n"+zoneText)
	if err := os.WriteFile(filepath.Join(directory, "example.net.zone"), []byte("www A 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, _ := call(t, exitGood, "zone", "list", "-c", configuration)
	expect(t, stdout, "example.com.  pending, paused  5        1        "+path, "example.net.  bad")
	stdout, _ = call(t, exitGood, "zone", "show", "example.com", "-c", configuration)
	expect(t, stdout, "shop  3600  A     ", "192.0.2.2", "the shop", "blog  auto  A     proxied  192.0.2.1")
}

// A copy of a primary's zone is shown, and not changed; before it has come for the first time, nothing is wrong with that.
func TestZoneOfPrimaries(t *testing.T) {
	configuration, path, _ := zoneWorld(t, zoneText)
	text := strings.NewReplacer("file = 'example.com.zone'", "file = 'example.com.zone'\nprimaries = ['192.0.2.53']").Replace(fileText(t, configuration))
	text += "[[zone]]\nname = 'example.org'\nfile = 'example.org.zone'\nprimaries = ['192.0.2.53']\n"
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"set", "example.com", "x", "A", "192.0.2.1"},
		{"delete", "example.com", "shop", "A"},
		{"proxy", "off", "blog.example.com"},
		{"set", "example.org", "x", "A", "192.0.2.1"},
		{"import", "example.org", path},
		{"import", "example.com", path},
	} {
		_, stderr := call(t, exitUsage, append(append([]string{"zone"}, args...), "-c", configuration)...)
		expect(t, stderr, "the zone is a copy of its primaries', which alone can change it")
	}
	if got := fileText(t, path); got != zoneText {
		t.Errorf("the file has become\n%s", got)
	}
	stdout, _ := call(t, exitGood, "zone", "list", "-c", configuration)
	expect(t, stdout, "example.com.  active, a copy", "example.org.  not transferred yet")
	stdout, _ = call(t, exitGood, "zone", "check", "-c", configuration)
	expect(t, stdout, "no mistakes")
	call(t, exitGood, "check", configuration)
}

// A zone goes out as it came in, and a new one gets a file.
func TestZoneImportAndExport(t *testing.T) {
	configuration, _, directory := zoneWorld(t, zoneText)
	out, _ := call(t, exitGood, "zone", "export", "example.com", "-c", configuration)
	expect(t, out, "blog.example.com.\t1\tIN\tA\t192.0.2.1 ; cf_tags=cf-proxied:true\n", "shop.example.com.\t3600\tIN\tA\t192.0.2.2 ; the shop cf_tags=cf-proxied:false\n")
	file := filepath.Join(t.TempDir(), "x")
	text := strings.ReplaceAll(out, "example.com.", "example.net.") + "more.example.net. A 192.0.2.8\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, _ := call(t, exitGood, "zone", "import", "example.net", file, "--proxied", "-c", configuration)
	expect(t, stdout, "example.net.: 4 records added to "+filepath.Join(directory, "example.net.zone")+", 0 were there\n")
	stdout, _ = call(t, exitGood, "zone", "import", "example.net", file, "-c", configuration)
	expect(t, stdout, "0 records added", "4 were there")
	again, _ := call(t, exitGood, "zone", "export", "example.net", "-c", configuration)
	want := strings.Join(strings.SplitAfter(strings.ReplaceAll(out, "example.com.", "example.net."), "\n")[2:], "") +
		"more.example.net.\t1\tIN\tA\t192.0.2.8 ; cf_tags=cf-proxied:true\n"
	if again != want {
		t.Errorf("got\n%s\nwant\n%s", again, want)
	}
	if info, err := os.Stat(filepath.Join(directory, "example.net.zone")); err != nil || info.Mode() != 0o640 {
		t.Error(info.Mode(), err)
	}
	if err := os.WriteFile(file, []byte("a A 192.0.2.1\n\nb A 192.0.2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr := call(t, exitUsage, "zone", "import", "example.org", file, "-c", configuration)
	expect(t, stderr, file+":3: bad A A")
	if _, err := os.Stat(filepath.Join(directory, "example.org.zone")); err == nil {
		t.Error("a part of a bad file was imported")
	}
	if err := os.WriteFile(file, []byte("a A 192.0.2.1\n"+strings.Repeat(";\n", 128<<10)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr = call(t, exitUsage, "zone", "import", "example.org", file, "-c", configuration)
	expect(t, stderr, "is larger than 256 KiB")
	call(t, exitGood, "zone", "import", "example.org", file, "--force", "-c", configuration)
	_, stderr = call(t, exitUsage, "zone", "import", "../x", file, "--force", "-c", configuration)
	expect(t, stderr, "is not the name of a zone")
}
