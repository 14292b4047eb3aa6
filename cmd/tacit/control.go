package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tacit/admin"
	"tacit/internal/server"
)

// A controlFlags says where the running tacit listens for commands.
type controlFlags struct{ config, path string }

func addControlFlags(c *cobra.Command, f *controlFlags) {
	addConfigFlag(c, &f.config)
	c.Flags().StringVar(&f.path, "control", "", "control socket `PATH` of the running tacit; default that of the configuration")
	c.MarkFlagsMutuallyExclusive("control", "config")
}

var errNoControl = errors.New("there is no control socket: set admin.control in the configuration of the running tacit, or name the socket with --control")

// client finds the running tacit.
func (f *controlFlags) client() (*admin.Client, error) {
	if f.path != "" {
		return admin.NewClient(f.path), nil
	}
	c, err := load(f.config)
	if err != nil {
		return nil, err
	}
	path := server.FindControl(c)
	if path == "" {
		return nil, &configError{errNoControl}
	}
	return admin.NewClient(path), nil
}

// do gives a command to the running tacit.
func (f *controlFlags) do(cmd *cobra.Command, give func(context.Context, *admin.Client) error) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	err = give(cmd.Context(), client)
	if e, ok := errors.AsType[*admin.Error](err); ok && e.Misuse {
		return &configError{err}
	}
	return fail(err)
}

func newFlush() *cobra.Command {
	var f controlFlags
	var subtree, all bool
	c := &cobra.Command{
		Use:   "flush [NAME]",
		Short: "Forget what the cache of a running tacit knows",
		Long: "Flush forgets a name: its records, failures and zone cut, and finished answers altogether, as any of them may have come\n" +
			"by an alias. When it returns nothing learnt before is given for the name, and the memory that held it has been wiped.",
		Example: "  tacit flush www.example.com\n  tacit flush example.com --subtree\n  tacit flush --all",
		Args: func(cmd *cobra.Command, args []string) error {
			if all {
				return cobra.NoArgs(cmd, args)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.do(cmd, func(ctx context.Context, client *admin.Client) error {
				if all {
					return client.FlushAll(ctx)
				}
				return client.Flush(ctx, args[0], subtree)
			})
		},
	}
	addControlFlags(c, &f)
	c.Flags().BoolVar(&subtree, "subtree", false, "all names below NAME, too")
	c.Flags().BoolVar(&all, "all", false, "everything")
	c.MarkFlagsMutuallyExclusive("subtree", "all")
	return c
}

func newNTA() *cobra.Command {
	c := &cobra.Command{
		Use:   "nta",
		Short: "Except zones from validation for a time (negative trust anchors)",
		Long: "A negative trust anchor (RFC 7646) has a zone answered as if it were not signed. It is for a zone whose owner has broken\n" +
			"it, when you have made sure that it is nothing worse. It lasts 7 days at most, also over a reload, and ends with tacit.\n" +
			"Those without an end stand in the configuration, in dnssec.negative_trust_anchors.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return errors.New("nta takes a command: list, add or remove") },
	}
	c.AddCommand(newNTAList(), newNTAAdd(), newNTARemove())
	return c
}

func newNTAList() *cobra.Command {
	var f controlFlags
	c := &cobra.Command{
		Use: "list", Short: "List the zones that are not validated", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.do(cmd, func(ctx context.Context, client *admin.Client) error {
				list, err := client.Exceptions(ctx)
				if err != nil {
					return err
				}
				return writeExceptions(cmd.OutOrStdout(), list)
			})
		},
	}
	addControlFlags(c, &f)
	return c
}

func newNTAAdd() *cobra.Command {
	var f controlFlags
	var lifetime time.Duration
	var reason string
	c := &cobra.Command{
		Use: "add ZONE --for TIME --reason TEXT", DisableFlagsInUseLine: true,
		Short:   "Except a zone from validation for a time",
		Example: "  tacit nta add example.com --for 24h --reason 'keys rolled too early, their hostmaster knows'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.do(cmd, func(ctx context.Context, client *admin.Client) error {
				return client.AddException(ctx, args[0], lifetime, reason)
			})
		},
	}
	addControlFlags(c, &f)
	c.Flags().DurationVar(&lifetime, "for", 0, "`TIME` until the zone is validated again, such as 24h; at most 168h")
	c.Flags().StringVar(&reason, "reason", "", "why, for those who look at the list later; `TEXT` of at most 200 octets")
	for _, name := range []string{"for", "reason"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // there is no such flag
		}
	}
	return c
}

func newNTARemove() *cobra.Command {
	var f controlFlags
	c := &cobra.Command{
		Use: "remove ZONE", Short: "Have a zone validated again", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.do(cmd, func(ctx context.Context, client *admin.Client) error {
				return client.RemoveException(ctx, args[0])
			})
		},
	}
	addControlFlags(c, &f)
	return c
}

func newStatus() *cobra.Command {
	var f controlFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how a running tacit is",
		Long: "Status shows counts, trust anchors, and the state of the root zone copy. It holds no client, and no name that was\n" +
			"asked for but these: the registrable domain in which 20 client networks have met the same failure within the hour, and,\n" +
			"with stats.top, those that at least 50 have asked for.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.do(cmd, func(ctx context.Context, client *admin.Client) error {
				s, err := client.Status(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
				}
				return writeStatus(cmd.OutOrStdout(), s)
			})
		},
	}
	addControlFlags(c, &f)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return c
}

func newReload() *cobra.Command {
	var f controlFlags
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have a running tacit read its configuration again",
		Long: "Reload does what SIGHUP does, and says what came of it: with a mistake in the file the old configuration stays in\n" +
			"force, and each mistake is listed. Negative trust anchors that were set at run time stay.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.do(cmd, func(ctx context.Context, client *admin.Client) error { return client.Reload(ctx) })
		},
	}
	addControlFlags(c, &f)
	return c
}

// A table writes lines of columns, the error of which Flush has.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer) table { return table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

func (t table) row(columns ...any) {
	texts := make([]string, len(columns))
	for i, c := range columns {
		texts[i] = fmt.Sprint(c)
	}
	_, _ = fmt.Fprintln(t, strings.Join(texts, "\t"))
}

func writeExceptions(w io.Writer, list []admin.Exception) error {
	t := newTable(w)
	t.row("zone", "until", "reason")
	for _, e := range list {
		t.row(e.Zone, date(e.Until), e.Reason)
	}
	return t.Flush()
}

func writeStatus(w io.Writer, s admin.Status) error {
	source := s.Config
	if source == "" {
		source = "the built-in configuration"
	}
	t := newTable(w)
	t.row(fmt.Sprintf("tacit %s, up %v since %s, with %s", s.Version, time.Duration(s.Uptime)*time.Second, date(s.Started), source))
	t.row()
	t.row("transport", "queries", "recalled", "truncated", "dropped", "connections", "shed", "panics")
	for _, x := range s.Transports {
		t.row(x.Name, x.Queries, x.Recalled, x.Truncated, x.Dropped, x.Connections, x.Shed, x.Panics)
	}
	writeFailures(t, s.Transports)
	writeFailing(t, &s.Failing)
	if s.Popular != nil {
		writePopular(t, s.Popular)
	}
	if len(s.Certificates) > 0 {
		t.row()
		t.row("certificate", "state", "until", "pin")
	}
	for _, c := range s.Certificates {
		t.row(strings.Join(c.Names, " "), c.State, date(c.Until), c.Pin)
	}
	writeUpstream(t, &s.Upstream)
	t.row()
	t.row("cache", "entries", "bytes", "capacity", "hits", "misses", "evictions")
	for _, m := range s.Cache {
		t.row(m.Name, m.Entries, m.Bytes, m.Capacity, m.Hits, m.Misses, m.Evictions)
	}
	if len(s.Anchors) > 0 {
		t.row()
		t.row("trust anchor", "tag", "algorithm", "state", "since", "held until")
	}
	for _, a := range s.Anchors {
		t.row(a.Zone, a.Tag, a.Algorithm, a.State, date(a.Since), date(a.Until))
	}
	if len(s.Exceptions) > 0 {
		t.row()
		t.row("not validated", "until", "reason")
	}
	for _, e := range s.Exceptions {
		t.row(e.Zone, date(e.Until), e.Reason)
	}
	t.row()
	t.row(describeRoot(s.Root))
	if s.Zones != nil {
		t.row(describeZones(s.Zones))
	}
	if s.Panics > 0 {
		t.row(fmt.Sprintf("%d times something ended in a panic that was no query: please report what the log says.", s.Panics))
	}
	return t.Flush()
}

func writeUpstream(t table, u *admin.Upstream) {
	t.row()
	t.row("upstream", "queries")
	for _, sent := range u.Queries {
		t.row(sent.Transport, sent.Queries)
	}
	t.row(fmt.Sprintf("%.1f %% of the questions to authoritative servers were encrypted; of %d tries, %d found a way.", u.Encrypted, u.Probes, u.Found))
}

// writeFailures shows why questions could not be answered.
func writeFailures(t table, list []admin.Transport) {
	first := true
	for _, x := range list {
		for _, f := range x.Failures {
			if first {
				t.row()
				t.row("failed over", "cause", "stage", "answers")
				first = false
			}
			t.row(x.Name, f.Cause, f.Stage, f.Answers)
		}
	}
}

// writeFailing shows which zones fail for many, and says so where there is none: with few clients there never is.
func writeFailing(t table, f *admin.Failing) {
	t.row()
	for _, w := range f.Widespread {
		t.row(fmt.Sprintf("%d domains fail for one cause, %s (%d answers), and none is named for it: probably the reason is here, "+
			"this resolver, its line, its clock or its trust anchors.", w.Domains, w.Cause, w.Answers))
	}
	if len(f.Zones) == 0 {
		t.row(fmt.Sprintf("No failing zone is named: that takes %d client networks with the same failure within the hour; so far there were %d answers.", f.From, f.Others))
		return
	}
	t.row("failing zone", "cause", "answers", "networks")
	for _, z := range f.Zones {
		t.row(z.Zone, z.Cause, z.Answers, fmt.Sprintf("%d or more", z.Networks))
	}
	t.row(fmt.Sprintf("In other zones, %d answers have failed in this hour.", f.Others))
}

// writePopular shows what many ask for, and says so where there is nothing to be shown.
func writePopular(t table, p *admin.Popular) {
	t.row()
	if len(p.Zones) > 0 {
		t.row("popular domain", "networks")
	}
	for _, z := range p.Zones {
		t.row(z.Zone, fmt.Sprintf("about %d", z.Networks))
	}
	t.row(describePopular(p) + fmt.Sprintf(" Of the day's budget of 1, %.2f is left.", p.Budget))
}

func describePopular(p *admin.Popular) string {
	switch {
	case p.Exhausted:
		return "No popular domain is shown: the clock was set back, and there were as many lists as there are hours in a day."
	case p.At.IsZero():
		return "Popular domains are shown when the first hour is over."
	case len(p.Zones) == 0:
		return fmt.Sprintf("No domain was popular in the hour until %s: that takes %d client networks.", date(p.At), p.From)
	default:
		return fmt.Sprintf("These were popular in the hour until %s; the numbers have noise.", date(p.At))
	}
}

func describeZones(z *admin.Zones) string {
	text := fmt.Sprintf("%d zones are served, with %d records in %d octets.", z.Served, z.Records, z.Bytes)
	if z.Mistaken > 0 {
		text += fmt.Sprintf(" %d of their files have mistakes: %s", z.Mistaken, z.Problem)
	}
	return text
}

func describeRoot(r *admin.Root) string {
	switch {
	case r == nil:
		return "No copy of the root zone is kept."
	case !r.Copied && r.Problem != "":
		return "There is no copy of the root zone yet: " + r.Problem + "."
	case !r.Copied:
		return "There is no copy of the root zone yet."
	default:
		return fmt.Sprintf("The copy of the root zone has serial %d and %d records, was confirmed at %s, and lasts until %s.",
			r.Serial, r.Records, date(r.Checked), date(r.Until))
	}
}
