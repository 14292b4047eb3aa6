package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tacit/internal/server"
	"tacit/internal/wire"
)

func newZoneDS() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "ds ZONE",
		Short: "Print the DS record of a signed zone",
		Long: "Ds prints the DS record (SHA-256) that the parent of a zone shall have, once the zone is signed: its file says so, in a\n" +
			"comment at its top, \"; tacit: signed\", and tacit has made its key. It reads the key, in the directory zones.keys.",
		Example: "  tacit zone ds example.com",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := load(path)
			if err != nil {
				return err
			}
			origin, err := wire.ParseName(args[0])
			if err != nil {
				return err
			}
			ds, err := server.ZoneKeys(c).DS(origin)
			if err != nil {
				return fail(err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), ds)
			return fail(err)
		},
	}
	addConfigFlag(c, &path)
	return c
}
