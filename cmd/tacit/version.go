package main

import (
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what tacit was built from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				info = &debug.BuildInfo{}
			}
			return fail(writeVersion(cmd.OutOrStdout(), info))
		},
	}
}

func writeVersion(w io.Writer, info *debug.BuildInfo) error {
	version := info.Main.Version
	if version == "" {
		version = "(devel)"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	commit := settings["vcs.revision"]
	if commit == "" {
		commit = "unknown"
	}
	if settings["vcs.modified"] == "true" {
		commit += ", modified"
	}
	_, err := fmt.Fprintf(w, "tacit %s\ncommit %s\n%s %s/%s\n", version, commit, info.GoVersion, settings["GOOS"], settings["GOARCH"])
	for _, d := range info.Deps {
		if err == nil {
			_, err = fmt.Fprintf(w, "%s %s\n", d.Path, d.Version)
		}
	}
	return err
}
