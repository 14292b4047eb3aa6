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

var errZones = errors.New("a zone file has mistakes")

func check(cmd *cobra.Command, path string) error {
	c, err := load(path)
	if err != nil {
		return err
	}
	warnings, err := server.CheckCertificates(c, time.Now())
	for _, w := range warnings {
		report(cmd.ErrOrStderr(), w)
	}
	problems, unread := server.CheckZones(c)
	for i := range problems {
		report(cmd.ErrOrStderr(), problems[i].Error())
	}
	if err := errors.Join(server.Check(c), server.CheckAnchors(c), unread, err); err != nil {
		return &configError{err}
	}
	if problems.Grave() {
		return &configError{errZones}
	}
	for _, w := range c.Weaknesses {
		if w.Given && !w.Accepted {
			report(cmd.ErrOrStderr(), fmt.Sprintf("%s = %s gives up privacy: %s", w.Key, w.Value, w.About))
		}
	}
	text := c.File + ": no mistakes"
	if c.File == "" {
		text = "no file at " + config.DefaultFile + ": the built-in configuration is used"
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
	return fail(err)
}
