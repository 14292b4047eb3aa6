package main

import (
	"io"

	"github.com/spf13/cobra"
)

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "tacit",
		Short: "A recursive DNS resolver that keeps nothing about who asked",
		Long: "tacit finds DNS answers itself, from the root down, tells every server on the way no more than it must know, and\n" +
			"keeps nothing about who asked.\n\n" +
			"Exit codes: 0 all is well, 1 something failed at run time, 2 the command line or the configuration is at fault.",
		Example:       "  tacit lab      a small internet on this machine, to learn and to try things\n  tacit serve    resolves the real one, on 127.0.0.1 port 5335",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(newServe(), newCheck(), newTrace(), newFlush(), newNTA(), newStatus(), newPrivacy(), newDebug(), newReload(), newAnchors(), newLab(),
		newClient(), newDevCert(), newZone(), newVersion(), newMan())
	return root
}

// addConfigFlag adds --config to a command.
func addConfigFlag(c *cobra.Command, path *string) {
	c.Flags().StringVarP(path, "config", "c", "", "configuration `FILE`; default /etc/tacit/tacit.toml if it exists")
}
