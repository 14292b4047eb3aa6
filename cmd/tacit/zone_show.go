package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tacit/internal/wire"
	"tacit/zone"
)

func newZoneCheck() *cobra.Command {
	var path, name string
	var strict bool
	c := &cobra.Command{
		Use:   "check [FILE]...",
		Short: "Check zone files, and find what reveals an origin",
		Long: "Check lists every mistake in zone files, with its line, and ends with 2 if there is one. Without FILE, it checks those of the\n" +
			"configuration. A FILE is called like its zone, as in example.com.zone, or --zone names it.\n\n" +
			"It warns of records that reveal what a proxied record hides: another name or a wildcard with the same address, the mail\n" +
			"host, SPF, hints of HTTPS records, the reverse record, the target of a proxied CNAME record. With --strict these are\n" +
			"mistakes.",
		RunE: func(cmd *cobra.Command, args []string) error {
			z, err := openZones(path)
			if err != nil {
				return err
			}
			files := z.list
			if len(args) > 0 {
				if files, err = z.named(args, name); err != nil {
					return err
				}
			}
			return z.check(cmd, files, strict)
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "what reveals an origin is a mistake")
	c.Flags().StringVar(&name, "zone", "", "`ZONE` that is in FILE")
	addConfigFlag(c, &path)
	return c
}

var (
	errOneFile  = errors.New("--zone goes with one FILE")
	errFileName = errors.New("is not called like a zone, as in example.com.zone: name its zone with --zone")
)

// named returns the files that are named on the command line with their zones.
func (z *zoneFiles) named(args []string, name string) ([]zone.File, error) {
	if name != "" && len(args) > 1 {
		return nil, errOneFile
	}
	var files []zone.File
	for _, arg := range args {
		f := zone.File{Path: arg}
		text := name
		if i := slices.IndexFunc(z.list, func(f zone.File) bool { return sameFile(f.Path, arg) }); i >= 0 && name == "" {
			text = z.list[i].Origin.Reveal()
		}
		if text == "" {
			text = strings.TrimSuffix(filepath.Base(arg), ".zone")
		}
		var err error
		if f.Origin, err = wire.ParseName(text); err != nil {
			return nil, fmt.Errorf("%s: %w", arg, errFileName)
		}
		files = append(files, f)
	}
	return files, nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, other := os.Stat(b)
	return err == nil && other == nil && os.SameFile(x, y)
}

func (z *zoneFiles) check(cmd *cobra.Command, files []zone.File, strict bool) error {
	var all zone.Problems
	var readable []*zone.MasterFile
	for _, f := range files {
		text, err := os.ReadFile(f.Path)
		if f.Replica && errors.Is(err, fs.ErrNotExist) { // it has not been transferred yet
			continue
		}
		if err != nil {
			return fail(err)
		}
		_, _, problems := zone.Build(&zone.Source{File: f.Path, Text: text, Origin: f.Origin, Replica: f.Replica}, time.Now(), &z.options)
		all = append(all, problems...)
		if m, _ := zone.ReadMasterFile(f.Path, text, f.Origin); m != nil {
			readable = append(readable, m)
		}
	}
	for _, p := range zone.Leaks(readable...) {
		p.Warning = !strict
		all = append(all, p)
	}
	slices.SortStableFunc(all, func(a, b zone.Problem) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) })
	for i := range all {
		reportProblem(cmd, &all[i])
	}
	if all.Grave() {
		return &configError{errZones}
	}
	text := "no mistakes"
	if len(all) > 0 {
		text += ", " + count(len(all), "warning", "warnings")
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", count(len(files), "zone", "zones"), text)
	return fail(err)
}

func newZoneList() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use: "list", Short: "List the zones of the configuration", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			z, err := openZones(path)
			if err != nil {
				return err
			}
			t := newTable(cmd.OutOrStdout())
			t.row("zone", "status", "records", "proxied", "file")
			for _, f := range z.list {
				t.row(describeZone(f)...)
			}
			return fail(t.Flush())
		},
	}
	addConfigFlag(c, &path)
	return c
}

// describeZone is a row of the list.
func describeZone(f zone.File) []any {
	m, err := readZone(f)
	if err != nil {
		status := "bad"
		if _, err := os.Stat(f.Path); f.Replica && errors.Is(err, fs.ErrNotExist) {
			status = "not transferred yet"
		}
		return []any{f.Origin.Reveal(), status, "-", "-", f.Path}
	}
	records, proxied := m.Records(), 0
	for i := range records {
		if records[i].Proxied {
			proxied++
		}
	}
	s := m.Settings()
	status := s.Status.String()
	if s.Paused {
		status += ", paused"
	}
	if s.Partial {
		status += ", partial"
	}
	if f.Replica {
		status += ", a copy"
	}
	return []any{f.Origin.Reveal(), status, len(records), proxied, f.Path}
}

func newZoneShow() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use: "show ZONE", Short: "Show the records of a zone, and which are proxied", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := readNamed(path, args[0])
			if err != nil {
				return err
			}
			t := newTable(cmd.OutOrStdout())
			t.row("name", "ttl", "type", "proxied", "content", "comment")
			records := m.Records()
			for i := range records {
				showRecord(t, m.Origin(), &records[i])
			}
			return fail(t.Flush())
		},
	}
	addConfigFlag(c, &path)
	return c
}

func showRecord(t table, origin wire.Name, r *zone.Record) {
	ttl, proxied := fmt.Sprint(r.TTL), ""
	if r.TTL == 1 {
		ttl = "auto"
	}
	if r.Proxied {
		proxied = "proxied"
	}
	t.row(shortName(r.Name, origin), ttl, zone.TypeText(r.Type), proxied, r.Content.RevealOrigin(), r.Comment)
}

func newZoneExport() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "export ZONE",
		Short: "Write a zone as Cloudflare exports it",
		Long: "Export writes the records of a zone, one on each line, with whole names. TTL 1 stands for Auto, and a comment says what is\n" +
			"proxied. Tacit zone import, and Cloudflare, read it.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := readNamed(path, args[0])
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(m.Export())
			return fail(err)
		},
	}
	addConfigFlag(c, &path)
	return c
}

func readNamed(path, name string) (*zone.MasterFile, error) {
	z, err := openZones(path)
	if err != nil {
		return nil, err
	}
	f, err := z.find(name)
	if err != nil {
		return nil, err
	}
	return readZone(f)
}
