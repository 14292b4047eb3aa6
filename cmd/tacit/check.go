package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tacit/config"
	"tacit/internal/server"
)

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration",
		Long: "Check lists every mistake in a configuration, with its line and column, and ends with 2 if there is one. Without\n" +
			"FILE it is the configuration that serve would read.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := ""
			if len(args) == 1 {
				path = args[0]
			}
			return check(cmd, path)
		},
	}
}

func check(cmd *cobra.Command, path string) error {
	c, err := load(path)
	if err != nil {
		return err
	}
	warnings, err := server.CheckCertificates(c, time.Now())
	for _, w := range warnings {
		report(cmd.ErrOrStderr(), w)
	}
	if err := errors.Join(server.Check(c), server.CheckAnchors(c), err); err != nil {
		return &configError{err}
	}
	text := c.File + ": no mistakes"
	if c.File == "" {
		text = "no file at " + config.DefaultFile + ": the built-in configuration is used"
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
	return fail(err)
}
