package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"tacit/internal/server"
)

func newAnchors() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "anchors",
		Short: "Show the trust anchors and what has become of them",
		Long: "Anchors lists the keys that validation starts from: those of the configuration, and those that tacit has learnt by\n" +
			"following the keys of their zones (RFC 5011). A pending key is trusted once its hold-down is over; a missing one is\n" +
			"trusted, but its zone did not show it last time; a revoked one is never trusted again.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load(path)
			if err != nil {
				return err
			}
			return fail(writeAnchors(cmd.OutOrStdout(), server.Anchors(c)))
		},
	}
	addConfigFlag(c, &path)
	return c
}

func writeAnchors(w io.Writer, r server.AnchorReport) error {
	t := newTable(w)
	t.row("zone", "tag", "algorithm", "state", "since", "held until", "source")
	for _, a := range r.Anchors {
		source := "learnt"
		if a.Configured {
			source = "configured"
		}
		t.row(a.Zone.Reveal(), a.Tag, a.Algorithm, a.State, date(a.Since), date(a.Until), source)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s\n", describeAnchorFile(r))
	return err
}

func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func describeAnchorFile(r server.AnchorReport) string {
	switch {
	case r.Static:
		return "They do not follow their zones: dnssec.anchor_updates is static."
	case r.File == "":
		return "No file keeps what a running tacit learns: dnssec.anchor_file is empty."
	case r.Problem != "":
		return r.File + " is not used: " + r.Problem
	case r.Fresh:
		return "Nothing has been learnt yet: " + r.File + " does not exist."
	default:
		return "Kept in " + r.File + "."
	}
}
