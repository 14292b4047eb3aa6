package zone_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tacit/internal/wire"
	"tacit/zone"
)

const crashVariable = "TACIT_CRASH_EDITOR"

var crashOrigin = wire.MustName("example.")

// The test binary is the editor, too: so it runs the code under test, and can be killed.
func init() {
	if path := os.Getenv(crashVariable); path != "" {
		fmt.Fprintln(os.Stderr, crashEdit(path))
		os.Exit(1)
	}
}

// crashEdit makes one edit after the other, and says so when each is done, until it is killed.
func crashEdit(path string) error {
	first, err := strconv.Atoi(os.Getenv(crashVariable + "_FROM"))
	if err != nil {
		return err
	}
	for n := first; ; n++ {
		err := zone.Edit(context.Background(), zone.File{Origin: crashOrigin, Path: path}, time.Now(), &zone.Options{}, func(m *zone.MasterFile) error {
			return crashChange(m, n)
		})
		if err != nil {
			return err
		}
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
}

// crashChange is the edit of a number: a record comes for each, and one that counts them is replaced.
func crashChange(m *zone.MasterFile, n int) error {
	counter := m.At(crashOrigin, wire.TypeTXT)[0]
	next := counter
	next.Content = zone.NewContent(strconv.Itoa(n))
	if err := m.Replace(counter, next); err != nil {
		return err
	}
	return m.Add(zone.Record{
		Name: crashName(n), Type: wire.TypeA, Content: zone.NewContent(fmt.Sprintf("192.0.2.%d", n%256)), Proxied: n%2 == 0,
	})
}

func crashName(n int) wire.Name { return wire.MustName(fmt.Sprintf("e%d.example.", n)) }

// Kill -9 at random moments during 1,000 edits: the file is always whole, each edit that was done is in it, and of what was not, at
// most the one that was being made.
func TestEditsSurviveKills(t *testing.T) {
	const edits = 1000
	path := filepath.Join(t.TempDir(), "example.zone")
	const start = "; kept\n@ SOA a. b. 7 1 2 3 4 ; kept, too\n@ TXT \"0\" ; the last edit\n; behind\n"
	if err := os.WriteFile(path, []byte(start), 0o600); err != nil {
		t.Fatal(err)
	}
	kills, inFlight := 0, 0
	for done := 0; done < edits; kills++ {
		told := crashRun(t, path, done+1, min(edits-done, rand.IntN(40)))
		there := crashCheck(t, path)
		if there < told || there > told+1 {
			t.Fatalf("%d edits were told, %d are there", told, there)
		}
		inFlight += there - told
		done = there
	}
	t.Logf("%d kills, %d of them behind an edit that was not told yet", kills, inFlight)
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 1 {
		t.Errorf("left behind: %q", left)
	}
}

// crashRun lets a process edit, kills it some time after it has told a number of edits, and returns the last that it told.
func crashRun(t *testing.T, path string, first, count int) (told int) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), crashVariable+"="+path, fmt.Sprintf("%s_FROM=%d", crashVariable, first))
	var said strings.Builder
	c.Stderr = &said
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	told = first - 1
	var kill *time.Timer
	for lines := bufio.NewScanner(out); ; {
		if told-first+1 >= count && kill == nil {
			kill = time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, func() { _ = c.Process.Kill() })
		}
		if !lines.Scan() {
			break
		}
		if told, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Wait(); err == nil || said.Len() > 0 {
		t.Fatalf("ended by itself: %v %s", err, &said)
	}
	kill.Stop()
	return told
}

// crashCheck reads the file as a server would, and returns how many edits are in it.
func crashCheck(t *testing.T, path string) (there int) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	z, _, problems := zone.Build(&zone.Source{File: "z", Text: text, Origin: crashOrigin}, time.Now(), &zone.Options{})
	m, _ := zone.ReadMasterFile("z", text, crashOrigin)
	if problems.Grave() || z == nil || m == nil {
		t.Fatalf("%v in\n%s", problems, text)
	}
	there, err = strconv.Atoi(strings.Trim(m.At(crashOrigin, wire.TypeTXT)[0].Content.RevealOrigin(), `"`))
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= there; n++ {
		if list := m.At(crashName(n), wire.TypeA); len(list) != 1 || list[0].Proxied != (n%2 == 0) {
			t.Fatalf("edit %d of %d is missing", n, there)
		}
	}
	if len(m.Records()) != there+2 || !strings.HasPrefix(string(text), "; kept\n") || !strings.Contains(string(text), "; the last edit\n; behind\n") {
		t.Fatalf("something else has changed:\n%s", text)
	}
	return there
}
