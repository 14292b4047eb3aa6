package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tacit/admin"
)

func newDebug() *cobra.Command {
	c := &cobra.Command{Use: "debug", Short: "Watch for a time what becomes of one name"}
	c.AddCommand(newDebugName())
	return c
}

func newDebugName() *cobra.Command {
	var f controlFlags
	var lifetime time.Duration
	var reason string
	c := &cobra.Command{
		Use:   "name NAME",
		Short: "Watch one exact name",
		Long: "Name shows questions for one exact name and the answers to them, as they come, on this terminal and nowhere else. Clients are\n" +
			"c1, c2 and so on, and others in the next session. There is one session at a time; it ends with its time, with this command,\n" +
			"or with tacit. That there was one, when, why, and how many questions it has shown, is for everybody to know; the name is not.",
		Example: `  tacit debug name www.example.com --for 10m --reason "SERVFAIL is reported"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.do(cmd, func(ctx context.Context, client *admin.Client) error {
				return client.Debug(ctx, args[0], lifetime, reason, func(e admin.DebugEvent) error {
					_, err := fmt.Fprintln(cmd.OutOrStdout(), describeEvent(e))
					return err
				})
			})
		},
	}
	addControlFlags(c, &f)
	c.Flags().DurationVar(&lifetime, "for", 0, "`TIME` to watch, such as 10m; at most 30m")
	c.Flags().StringVar(&reason, "reason", "", "why, which everybody may know; `TEXT` of at most 200 octets")
	for _, name := range []string{"for", "reason"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // there is no such flag
		}
	}
	return c
}

func describeEvent(e admin.DebugEvent) string {
	flags := ""
	if e.DO {
		flags += " do"
	}
	if e.CD {
		flags += " cd"
	}
	at := e.After.Round(time.Millisecond)
	if e.Client != "" {
		return fmt.Sprintf("%v %s asks for %s over %s%s", at, e.Client, e.Type, e.Transport, flags)
	}
	return strings.TrimSpace(fmt.Sprintf("%v the answer for %s over %s%s is %s %s", at, e.Type, e.Transport, flags, e.Rcode, strings.Join(e.Errors, "; ")))
}
