package main

import "github.com/spf13/cobra"

func newZone() *cobra.Command {
	c := &cobra.Command{Use: "zone", Short: "Zones served here"}
	c.AddCommand(zoneDS())
	return c
}
