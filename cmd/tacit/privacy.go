package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"tacit/admin"
	"tacit/internal/server"
	"tacit/statement"
)

func newPrivacy() *cobra.Command {
	var f controlFlags
	var asJSON, checklist bool
	c := &cobra.Command{
		Use:   "privacy",
		Short: "Show the privacy statement",
		Long: "Privacy shows what becomes of the data of clients (RFC 8932 section 6), as the running tacit says it of itself. When none\n" +
			"runs, and with --config, it is what a tacit with that configuration would say, but for its certificates.",
		Example: "  tacit privacy --checklist\n  tacit privacy --config new.toml --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, text, err := f.statement(cmd)
			switch {
			case err != nil:
				return err
			case checklist && asJSON:
				return fail(json.NewEncoder(cmd.OutOrStdout()).Encode(s.Checklist()))
			case checklist:
				return fail(s.WriteChecklist(cmd.OutOrStdout()))
			case asJSON:
				return fail(writeWhole(cmd.OutOrStdout(), text)) // octet for octet what is served, for its hash
			}
			return fail(s.WriteText(cmd.OutOrStdout()))
		},
	}
	addControlFlags(c, &f)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object; its SHA-256 is in the TXT record at _privacy.resolver.arpa")
	c.Flags().BoolVar(&checklist, "checklist", false, "the mitigations of RFC 8932 section 5, and how each stands")
	return c
}

func writeWhole(w io.Writer, text []byte) error {
	_, err := w.Write(text)
	return err
}

// statement asks the running tacit, unless a configuration is named or none runs.
func (f *controlFlags) statement(cmd *cobra.Command) (*statement.Statement, []byte, error) {
	if f.path != "" {
		return askStatement(cmd, f.path)
	}
	c, err := load(f.config)
	if err != nil {
		return nil, nil, err
	}
	if path := server.FindControl(c); path != "" && f.config == "" {
		s, text, err := askStatement(cmd, path)
		if !errors.Is(err, admin.ErrNotRunning) {
			return s, text, err
		}
	}
	s := server.DescribePrivacy(c, time.Now())
	return s, s.JSON(), nil
}

func askStatement(cmd *cobra.Command, path string) (*statement.Statement, []byte, error) {
	text, err := admin.NewClient(path).Statement(cmd.Context())
	if err != nil {
		return nil, nil, fail(err)
	}
	var s statement.Statement
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, nil, fail(fmt.Errorf("the running tacit is of another version: %w", err))
	}
	return &s, text, nil
}
