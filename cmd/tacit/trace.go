package main

import (
	"encoding/json"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"tacit/config"
	"tacit/internal/lab"
	"tacit/internal/server"
)

// A traceCommand holds the flags of trace.
type traceCommand struct {
	config  string
	json    bool
	noColor bool
	lab     bool
}

func newTrace() *cobra.Command {
	var t traceCommand
	c := &cobra.Command{
		Use:   "trace NAME [TYPE]",
		Short: "Resolve one name and show every step",
		Long: "Trace resolves one name with an empty cache of its own and shows each step: which server was asked, which labels it\n" +
			"learned, how long it took, what came of it. At the end it counts what the servers of each zone learned. Nothing of\n" +
			"it is kept, and a running tacit is not involved.",
		Example: "  tacit trace example.com\n  tacit trace --lab shop.example.com\n  tacit trace --json example.com MX",
		Args:    cobra.RangeArgs(1, 2),
		RunE:    t.run,
	}
	addConfigFlag(c, &t.config)
	c.Flags().BoolVar(&t.json, "json", false, "one JSON object per line: the steps, then the summary")
	c.Flags().BoolVar(&t.noColor, "no-color", false, "no colours, also on a terminal")
	c.Flags().BoolVar(&t.lab, "lab", false, "resolve from the internet of tacit lab, which need not be running")
	c.MarkFlagsMutuallyExclusive("lab", "config")
	return c
}

func (t *traceCommand) run(cmd *cobra.Command, args []string) error {
	name, kind := args[0], "A"
	if len(args) == 2 {
		kind = args[1]
	}
	if !t.lab {
		c, err := load(t.config)
		if err != nil {
			return err
		}
		return t.trace(cmd, c, server.Env{}, name, kind)
	}
	l, err := lab.New(lab.Options{})
	if err != nil {
		return fail(err)
	}
	err = t.trace(cmd, l.Config(), server.Env{Network: l.Network()}, name, kind)
	return errors.Join(err, fail(l.Close()))
}

func (t *traceCommand) trace(cmd *cobra.Command, c *config.Config, env server.Env, name, kind string) error {
	var show shower = &printer{w: cmd.OutOrStdout(), color: t.isColoured()}
	if t.json {
		show = &jsonShower{json.NewEncoder(cmd.OutOrStdout())}
	}
	summary, err := server.Trace(cmd.Context(), c, env, name, kind, show.step)
	switch {
	case errors.Is(err, server.ErrTraceQuestion):
		return err
	case err != nil:
		return fail(err)
	}
	return fail(show.end(summary))
}

func (t *traceCommand) isColoured() bool {
	return !t.noColor && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(os.Stdout.Fd()))
}

// A shower shows a resolution as it goes.
type shower interface {
	step(s server.Step)
	end(s server.Summary) error
}

type jsonShower struct{ encoder *json.Encoder }

func (j *jsonShower) step(s server.Step) { _ = j.encoder.Encode(s) } // end fails in the same way

func (j *jsonShower) end(s server.Summary) error {
	return j.encoder.Encode(struct {
		Kind string `json:"step"`
		server.Summary
	}{"summary", s})
}
