package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tacit/internal/server"
	"tacit/internal/wire"
	"tacit/zone"
)

func newZone() *cobra.Command {
	c := &cobra.Command{
		Use:   "zone",
		Short: "Check, show and edit the zones that are served here",
		Long: "Zone works on the zone files of the configuration. A running tacit takes up what changes in them by itself, so none needs\n" +
			"to run. Files are edited in place: comments, order and all other lines stay as they are, the serial of the SOA record goes\n" +
			"up, and a file is the old one or the new one whenever the machine stops.\n\n" +
			"A record that is proxied is answered with the addresses of the edge (edge.addresses), and the one that it leads to, its\n" +
			"origin, is in no answer. These commands show it: their output is for you alone.",
		Example: "  tacit zone set example.com blog A 192.0.2.1 --proxied\n  tacit zone proxy off blog.example.com\n  tacit zone check",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("zone takes a command: check, list, show, set, delete, proxy, import, export or ds")
		},
	}
	c.AddCommand(newZoneCheck(), newZoneList(), newZoneShow(), newZoneSet(), newZoneDelete(), newZoneProxy(), newZoneImport(), newZoneExport(), newZoneDS())
	return c
}

// A zoneFiles is where the zones of a configuration are.
type zoneFiles struct {
	list      []zone.File
	directory string
	options   zone.Options
}

func openZones(path string) (*zoneFiles, error) {
	c, err := load(path)
	if err != nil {
		return nil, err
	}
	if d := c.Zones.Directory; d != "" {
		if _, err := os.ReadDir(d); err != nil {
			return nil, &configError{fmt.Errorf("zones.directory: %w", err)}
		}
	}
	return &zoneFiles{list: zone.List(c.Zones.Files, c.Zones.Directory), directory: c.Zones.Directory, options: server.ZoneOptions(c)}, nil
}

var (
	errNoZone     = errors.New("no zone of the configuration has that name: tacit zone list shows them")
	errNoCovering = errors.New("no zone of the configuration has that name in it: tacit zone list shows them")
	errZoneName   = errors.New("is not the name of a zone, such as example.com")
)

// find returns the file of a zone.
func (z *zoneFiles) find(text string) (zone.File, error) {
	origin, err := wire.ParseName(text)
	if err != nil {
		return zone.File{}, errZoneName
	}
	for _, f := range z.list {
		if f.Origin == origin {
			return f, nil
		}
	}
	return zone.File{}, &configError{errNoZone}
}

// covering returns the file of the zone with the longest name at or above a name.
func (z *zoneFiles) covering(name wire.Name) (zone.File, error) {
	var best zone.File
	for _, f := range z.list {
		if name.Within(f.Origin) && (best.Path == "" || f.Origin.Below(best.Origin)) {
			best = f
		}
	}
	if best.Path == "" {
		return best, &configError{errNoCovering}
	}
	return best, nil
}

var errNoDirectory = errors.New("there is no place for a new zone: set zones.directory in the configuration")

// place returns where the file of a new zone goes.
func (z *zoneFiles) place(text string) (zone.File, error) {
	origin, err := wire.ParseName(text)
	name := strings.TrimSuffix(origin.Reveal(), ".")
	if err != nil || origin.IsRoot() || strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, ".") {
		return zone.File{}, errZoneName
	}
	if z.directory == "" {
		return zone.File{}, &configError{errNoDirectory}
	}
	return zone.File{Origin: origin, Path: filepath.Join(z.directory, name+".zone")}, nil
}

// readZone reads the file of a zone for what is shown of it.
func readZone(f zone.File) (*zone.MasterFile, error) {
	text, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, fail(err)
	}
	m, problems := zone.ReadMasterFile(f.Path, text, f.Origin)
	if m == nil {
		return nil, &configError{problems}
	}
	return m, nil
}

// editTime is how long an edit waits for another one.
const editTime = 10 * time.Second

// edit changes a file, and warns of what it tells of origins now.
func (z *zoneFiles) edit(cmd *cobra.Command, f zone.File, change func(*zone.MasterFile) error) error {
	return z.save(cmd, f, zone.Edit, change)
}

type saver func(context.Context, zone.File, time.Time, *zone.Options, func(*zone.MasterFile) error) error

func (z *zoneFiles) save(cmd *cobra.Command, f zone.File, save saver, change func(*zone.MasterFile) error) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), editTime)
	defer cancel()
	err := save(ctx, f, time.Now(), &z.options, change)
	if err != nil {
		return zoneError(f, err)
	}
	m, err := readZone(f)
	if err != nil {
		return err
	}
	problems := zone.Leaks(m)
	for i := range problems {
		reportProblem(cmd, &problems[i])
	}
	return nil
}

// zoneError says whose fault it is that a zone was not changed: that of the one who wanted it, or of the machine.
func zoneError(f zone.File, err error) error {
	if problems, ok := errors.AsType[zone.Problems](err); ok {
		return &configError{problems}
	}
	named := fmt.Errorf("%s: %w", f.Path, err)
	if _, ok := errors.AsType[*zone.Refusal](err); ok || errors.Is(err, errSeveral) {
		return &configError{named}
	}
	return fail(named)
}

// reportProblem shows a problem with what it is about, which is for the operator's own terminal.
func reportProblem(cmd *cobra.Command, p *zone.Problem) {
	text := p.Error()
	if detail := p.Detail.RevealOrigin(); detail != "" {
		text += " (" + detail + ")"
	}
	report(cmd.ErrOrStderr(), text)
}

func shortName(name, origin wire.Name) string {
	if name == origin {
		return "@"
	}
	text, of := name.Reveal(), origin.Reveal()
	if origin.IsRoot() {
		return text
	}
	return strings.TrimSuffix(text, "."+of)
}
