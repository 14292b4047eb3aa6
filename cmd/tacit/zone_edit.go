package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"tacit/internal/wire"
	"tacit/zone"
)

// A recordFlags is what zone set says of a record beyond its content.
type recordFlags struct {
	config, ttl, comment string
	proxied, add         bool
}

func newZoneSet() *cobra.Command {
	var f recordFlags
	c := &cobra.Command{
		Use:   "set ZONE NAME TYPE CONTENT",
		Short: "Set a record of a zone",
		Long: "Set gives NAME a record of TYPE. The only one that is there gets CONTENT; --add adds another one beside it. Where there are\n" +
			"several, it sets the one that has CONTENT. What no option says stays as it is.\n\n" +
			"NAME is @ for the zone itself, relative to the zone, or whole. Names in CONTENT are whole. CONTENT of TXT records needs no\n" +
			"quotation marks.",
		Example: "  tacit zone set example.com blog A 192.0.2.1 --proxied\n  tacit zone set example.com @ MX '10 mail.example.com'\n" +
			"  tacit zone set example.com @ TXT 'v=spf1 mx -all' --ttl 3600 --add",
		Args: cobra.ExactArgs(4),
		RunE: func(cmd *cobra.Command, args []string) error { return f.set(cmd, args) },
	}
	c.Flags().StringVar(&f.ttl, "ttl", "auto", "`SECONDS`, 30 to 86400, or auto")
	c.Flags().BoolVar(&f.proxied, "proxied", false, "the edge stands before an A, AAAA or CNAME record; --proxied=false: it does not")
	c.Flags().StringVar(&f.comment, "comment", "", "`TEXT` that is written behind the record")
	c.Flags().BoolVar(&f.add, "add", false, "beside the records of NAME and TYPE that are there")
	addConfigFlag(c, &f.config)
	return c
}

var (
	errTTL     = errors.New("--ttl takes a number of seconds, or auto")
	errSeveral = errors.New("there are several records of this name and type: --add adds another one, delete takes one away")
)

func (f *recordFlags) set(cmd *cobra.Command, args []string) error {
	z, err := openZones(f.config)
	if err != nil {
		return err
	}
	file, name, kind, err := z.subject(args)
	if err != nil {
		return err
	}
	ttl := uint64(1)
	if f.ttl != "auto" {
		if ttl, err = strconv.ParseUint(f.ttl, 10, 31); err != nil {
			return errTTL
		}
	}
	put := func(r *zone.Record) {
		r.Content = zone.NewContent(args[3])
		if cmd.Flags().Changed("ttl") {
			r.TTL = uint32(ttl)
		}
		if cmd.Flags().Changed("proxied") {
			r.Proxied = f.proxied
		}
		if cmd.Flags().Changed("comment") {
			r.Comment = f.comment
		}
	}
	done := "added"
	err = z.edit(cmd, file, func(m *zone.MasterFile) error {
		old, found := f.replaces(m, name, kind, args[3])
		switch {
		case found:
			done = "set"
			r := old
			put(&r)
			return m.Replace(old, r)
		case !f.add && len(m.At(name, kind)) > 1:
			return errSeveral
		}
		r := zone.Record{Name: name, Type: kind}
		put(&r)
		return m.Add(r)
	})
	if err != nil {
		return err
	}
	return tell(cmd, "%s %s: %s in %s", name.Reveal(), zone.TypeText(kind), done, file.Path)
}

// replaces finds the record that is set: the one with the content, or else the only one.
func (f *recordFlags) replaces(m *zone.MasterFile, name wire.Name, kind wire.Type, content string) (old zone.Record, found bool) {
	if same, err := m.Find(name, kind, zone.NewContent(content)); err == nil {
		return same, true
	}
	if there := m.At(name, kind); len(there) == 1 && !f.add {
		return there[0], true
	}
	return old, false
}

// subject finds what the first arguments name: a zone, a name in it, and a type.
func (z *zoneFiles) subject(args []string) (file zone.File, name wire.Name, kind wire.Type, err error) {
	if file, err = z.find(args[0]); err != nil {
		return file, name, kind, err
	}
	if name, err = zone.ParseNameIn(args[1], file.Origin); err != nil {
		return file, name, kind, &configError{err}
	}
	if kind, err = zone.ParseType(args[2]); err != nil {
		return file, name, kind, fmt.Errorf("%q %w", args[2], err)
	}
	return file, name, kind, nil
}

func tell(cmd *cobra.Command, format string, args ...any) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), format+"\n", args...)
	return fail(err)
}

func newZoneDelete() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "delete ZONE NAME TYPE [CONTENT]",
		Short: "Delete records of a zone",
		Long:  "Delete takes away the record of NAME and TYPE with CONTENT, and without CONTENT all of that name and type.",
		Args:  cobra.RangeArgs(3, 4),
		RunE: func(cmd *cobra.Command, args []string) error {
			z, err := openZones(path)
			if err != nil {
				return err
			}
			file, name, kind, err := z.subject(args)
			if err != nil {
				return err
			}
			deleted := 0
			err = z.edit(cmd, file, func(m *zone.MasterFile) error {
				list := m.At(name, kind)
				if len(args) == 4 {
					list = []zone.Record{{Name: name, Type: kind, Content: zone.NewContent(args[3])}}
				} else if len(list) == 0 {
					list = []zone.Record{{Name: name, Type: kind}} // which is missing
				}
				for _, r := range list {
					if err := m.Delete(r); err != nil {
						return err
					}
					deleted++
				}
				return nil
			})
			if err != nil {
				return err
			}
			return tell(cmd, "%s %s: %s deleted in %s", name.Reveal(), zone.TypeText(kind), count(deleted, "record", "records"), file.Path)
		},
	}
	addConfigFlag(c, &path)
	return c
}

func newZoneProxy() *cobra.Command {
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Put the edge before a name, or take it away",
		Long: "Proxy marks the A, AAAA and CNAME records of a name, or takes the mark away. It is looked for in the zone of the configuration\n" +
			"with the longest name that covers it.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return errors.New("proxy takes a command: on or off") },
	}
	c.AddCommand(newZoneProxySwitch("on", "Answer a name with the edge's addresses", true),
		newZoneProxySwitch("off", "Answer a name with its own addresses", false))
	return c
}

func newZoneProxySwitch(use, short string, proxied bool) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use: use + " NAME", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			z, err := openZones(path)
			if err != nil {
				return err
			}
			name, err := wire.ParseName(args[0])
			if err != nil {
				return errors.New("takes a domain name")
			}
			file, err := z.covering(name)
			if err != nil {
				return err
			}
			if err := z.edit(cmd, file, func(m *zone.MasterFile) error { return m.SetProxied(name, proxied) }); err != nil {
				return err
			}
			return tell(cmd, "%s: proxy %s in %s", name.Reveal(), use, file.Path)
		},
	}
	addConfigFlag(c, &path)
	return c
}

var errTooLarge = fmt.Errorf("is larger than %d KiB: --force imports it all the same", zone.MaxImport>>10)

func newZoneImport() *cobra.Command {
	var path string
	var proxied, force bool
	c := &cobra.Command{
		Use:   "import ZONE FILE",
		Short: "Take the records of another zone file into a zone",
		Long: "Import adds the records of a zone file, such as an export of Cloudflare's or of tacit zone export, to a zone: all of them, or\n" +
			"none if one is wrong. A zone that the configuration does not have yet gets a file in zones.directory. SOA records and the NS\n" +
			"records of the zone itself are left out, and so is what is there already.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			z, err := openZones(path)
			if err != nil {
				return err
			}
			text, err := os.ReadFile(args[1])
			if err != nil {
				return fail(err)
			}
			if len(text) > zone.MaxImport && !force {
				return &configError{fmt.Errorf("%s: %w", args[1], errTooLarge)}
			}
			return z.take(cmd, args[0], zone.Import{File: args[1], Text: text, Proxied: proxied})
		},
	}
	c.Flags().BoolVar(&proxied, "proxied", false, "A, AAAA and CNAME records of which the file does not say it are proxied")
	c.Flags().BoolVar(&force, "force", false, "even if FILE is larger than 256 KiB")
	addConfigFlag(c, &path)
	return c
}

// take imports a file into a zone, which may be new.
func (z *zoneFiles) take(cmd *cobra.Command, name string, from zone.Import) error {
	save := saver(zone.Edit)
	file, err := z.find(name)
	if _, ok := errors.AsType[*configError](err); ok {
		file, err = z.place(name)
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(file.Path); errors.Is(err, fs.ErrNotExist) {
		save = zone.Create
	}
	var done zone.Imported
	err = z.save(cmd, file, save, func(m *zone.MasterFile) error {
		var problems zone.Problems
		if done, problems = m.Import(from, &z.options); len(problems) > 0 {
			return problems
		}
		return nil
	})
	if err != nil {
		return err
	}
	return tell(cmd, "%s: %s added to %s, %d were there", file.Origin.Reveal(), count(done.Added, "record", "records"), file.Path, done.Known)
}
