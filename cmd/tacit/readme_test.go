package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tacit/internal/lab"
)

// A shown is a command that README shows, and the output below it.
type shown struct {
	command string
	output  []string
}

// repository is where the tests began; one of them goes elsewhere.
var repository = func() string {
	path, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return path
}()

var consoleBlock = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")

func readme(t *testing.T) []shown {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var list []shown
	for _, block := range consoleBlock.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimSuffix(line, "\n")
			command, ok := strings.CutPrefix(line, "$ ")
			switch {
			case ok:
				list = append(list, shown{command: command})
			case len(list) > 0:
				last := &list[len(list)-1]
				last.output = append(last.output, line)
			}
		}
	}
	return list
}

// find returns what README shows for the command that begins like this.
func find(t *testing.T, command string) shown {
	t.Helper()
	list := readme(t)
	i := slices.IndexFunc(list, func(s shown) bool { return strings.HasPrefix(s.command, command) })
	if i < 0 {
		t.Fatalf("README does not show %q", command)
	}
	return list[i]
}

func TestCommandsOfReadmeExist(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range readme(t) {
		words := strings.Fields(strings.TrimPrefix(s.command, "sudo "))
		switch {
		case words[0] == "tacit":
			parseCommand(t, words[1:])
		case strings.HasPrefix(s.command, "go run ./cmd/tacit "):
			parseCommand(t, words[3:])
		case words[0] == "make" && !strings.Contains(string(makefile), "\n"+words[1]+":"):
			t.Errorf("%s: no such target", s.command)
		}
	}
}

// parseCommand goes as far as running the command would before it does anything.
func parseCommand(t *testing.T, args []string) {
	t.Helper()
	c, rest, err := newRoot(io.Discard, io.Discard).Find(args)
	if err == nil {
		err = c.ParseFlags(rest)
	}
	if err == nil {
		err = c.ValidateArgs(c.Flags().Args())
	}
	if err != nil || !c.Runnable() {
		t.Errorf("tacit %v: %v", args, err)
	}
}

// guide is what the lab prints, as README shows it.
func guide(t *testing.T) ([]lab.Lesson, []string) {
	t.Helper()
	l, err := lab.New(lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	var b strings.Builder
	err = errors.Join(l.WriteGuide(&b, &lab.Front{Plain: l.Config().Listen.UDP[0]}, "kdig", "go run ./cmd/tacit"), l.WriteRootLine(&b, "kdig"))
	if err != nil {
		t.Fatal(err)
	}
	return l.Lessons(), strings.Split(b.String(), "\n")
}

var servedRow = regexp.MustCompile("(?m)^\\| `(kdig [^`]+)` \\| `([^`]+)` \\|")

// The table of proxied and other names is what the lab promises.
func TestReadmeShowsServedNames(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	lessons, lines := guide(t)
	rows := servedRow.FindAllStringSubmatch(string(text), -1)
	for _, row := range rows {
		i := slices.IndexFunc(lessons, func(x lab.Lesson) bool { return strings.HasSuffix(row[1], " "+x.Name+" "+x.Type) })
		if i < 0 || !slices.Contains(lines, row[1]) || !slices.Equal(lessons[i].Answer, []string{lessons[i].Type + " " + row[2]}) {
			t.Errorf("the lab does not say %s to %s", row[2], row[1])
		}
	}
	if len(rows) != 3 {
		t.Errorf("%d rows", len(rows))
	}
}

var zoneBlock = regexp.MustCompile("(?ms)^```zone\n(.*?)^```$")

// What README has of zone files is one.
func TestReadmeZoneIsGood(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := zoneBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatal("README shows no zone")
	}
	for _, block := range blocks {
		path := filepath.Join(t.TempDir(), "example.com.zone")
		config := filepath.Join(filepath.Dir(path), "tacit.toml")
		if err := errors.Join(
			os.WriteFile(path, []byte(block[1]), 0o600),
			os.WriteFile(config, []byte("[[zone]]\nname = 'example.com.'\nfile = 'example.com.zone'\n[edge]\naddresses = ['203.0.113.10']\n"), 0o600),
		); err != nil {
			t.Fatal(err)
		}
		if _, errs := call(t, 0, "check", config); errs != "" {
			t.Error(errs)
		}
	}
}

func TestReadmeShowsTheLab(t *testing.T) {
	lessons, lines := guide(t)
	output := find(t, "go run ./cmd/tacit lab").output
	end := slices.Index(output, "...")
	if end < 5 || end > len(lines) || !slices.Equal(output[:end], lines[:end]) {
		t.Errorf("README shows %q, the lab begins with %q", output, lines[:min(len(lines), len(output))])
	}

	s := find(t, "kdig ")
	i := slices.IndexFunc(lessons, func(x lab.Lesson) bool { return strings.HasSuffix(s.command, " "+x.Name+" "+x.Type) })
	if i < 0 || !slices.Contains(lines, s.command) {
		t.Fatalf("the lab does not print %q", s.command)
	}
	var answer []string
	for _, line := range s.output {
		if f := strings.Fields(line); len(f) == 5 && f[2] == "IN" {
			answer = append(answer, f[3]+" "+f[4])
		}
	}
	if !slices.Equal(answer, lessons[i].Answer) {
		t.Errorf("README shows the answer %q, the lesson is %q", answer, lessons[i].Answer)
	}
}

var milliseconds = regexp.MustCompile(` *[0-9]+\.[0-9] ms`)

func TestReadmeShowsTheTrace(t *testing.T) {
	s := find(t, "go run ./cmd/tacit trace")
	stdout, _ := call(t, exitGood, strings.Fields(s.command)[3:]...)
	got := milliseconds.ReplaceAllString(strings.TrimSpace(stdout), " N ms")
	want := milliseconds.ReplaceAllString(strings.TrimSpace(strings.Join(s.output, "\n")), " N ms")
	if strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("README shows\n%s\nand it is\n%s", want, got)
	}
}

func TestReadmeShowsServe(t *testing.T) {
	at := freePort(t).String()
	path := file(t, "[listen]\nudp = ['"+at+"']\ntcp = ['"+at+"']\n")
	text := launch(t, "serve", "--config", path).wait(t, "Ctrl-C ends it.\n")
	_, port, _ := strings.Cut(at, ":")
	got := strings.NewReplacer(
		" dig @", " kdig @", path, "the built-in configuration", at, "127.0.0.1:5335", "-p "+port, "-p 5335",
		programName()+" trace", "go run ./cmd/tacit trace",
	).Replace(text)
	if want := strings.Join(find(t, "go run ./cmd/tacit serve").output, "\n") + "\n"; got != want {
		t.Errorf("README shows\n%s\nand it is\n%s", want, got)
	}
}

// What README shows of the encrypted transports works as it stands there, but for the ports: a certificate, a file beside it, a
// server, and a client that trusts the new authority.
func TestReadmeShowsTheEncrypted(t *testing.T) {
	t.Chdir(t.TempDir())
	call(t, exitGood, strings.Fields(find(t, "go run ./cmd/tacit dev-cert").command)[3:]...)
	serve := strings.Fields(find(t, "go run ./cmd/tacit serve --config").command)[3:]
	plain, dot, doh := freePort(t), freePort(t), freePort(t)
	text := strings.NewReplacer("127.0.0.1:8853", dot.String(), "127.0.0.1:8443", doh.String()).Replace(encryptedExample(t))
	text = strings.Replace(text, "[listen]\n", fmt.Sprintf("[listen]\nudp = ['%[1]v']\ntcp = ['%[1]v']\n", plain), 1)
	if err := os.WriteFile(serve[2], []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, serve...).wait(t, "Ctrl-C")
	ask := strings.Fields(find(t, "curl ").command)
	expect(t, get(t, ask[3], strings.NewReplacer("'", "", "8443", fmt.Sprint(doh.Port()), "example.com", "localhost").Replace(ask[4])),
		`"type":28,"TTL":`, `"data":"::1"`)
}

// encryptedExample is the first file of README that has a certificate.
func encryptedExample(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?ms)^```toml\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if strings.Contains(block[1], "cert_file") {
			return block[1]
		}
	}
	t.Fatal("no such file in README")
	return ""
}

// get asks over HTTPS and trusts one authority.
func get(t *testing.T, authority, url string) string {
	t.Helper()
	pem, err := os.ReadFile(authority)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
