package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tacit/admin"
	"tacit/certificate"
	"tacit/config"
	"tacit/discovery"
	"tacit/internal/server"
)

func newClient() *cobra.Command {
	var path, protocol string
	c := &cobra.Command{
		Use:   "client [NAME]",
		Short: "Print what a client is to be told",
		Long: "Client prints settings for a program, a device or a router, filled in from the configuration: files to save,\n" +
			"commands to run, or what to type where. Without NAME it lists the names.\n\n" +
			"What a configuration does not serve is refused with the option that is missing. The addresses of a listener on all\n" +
			"addresses are those that this machine has now: run it on the machine that tacit runs on.",
		Example: "  tacit client kdig                          lines to try\n  tacit client apple > tacit.mobileconfig    a profile for iOS and macOS",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fail(listClients(cmd.OutOrStdout()))
			}
			return writeClient(cmd.Context(), cmd.OutOrStdout(), args[0], path, discovery.Protocol(protocol))
		},
	}
	for _, known := range discovery.Clients() {
		c.ValidArgs = append(c.ValidArgs, cobra.CompletionWithDesc(known.Name, known.About))
	}
	c.Flags().StringVar(&protocol, "protocol", "", "`PROTOCOL` of an apple profile, https or tls; default https where it is served")
	addConfigFlag(c, &path)
	return c
}

func listClients(w io.Writer) error {
	t := newTable(w)
	for _, c := range discovery.Clients() {
		t.row(c.Name, c.About)
	}
	return t.Flush()
}

func writeClient(ctx context.Context, w io.Writer, name, path string, p discovery.Protocol) error {
	client, ok := discovery.FindClient(name)
	if !ok {
		return fmt.Errorf("no client is called %q: it is one of %s", name, clientNames())
	}
	c, err := load(path)
	if err != nil {
		return err
	}
	var b strings.Builder
	service := server.Describe(c, shownCertificates(ctx, c))
	if err := client.Write(&b, &service, p); err != nil {
		return &configError{err}
	}
	_, err = io.WriteString(w, b.String())
	return fail(err)
}

// shownCertificates asks the running tacit, which alone knows a certificate that it has made itself, and else reads the files.
func shownCertificates(ctx context.Context, c *config.Config) []certificate.Status {
	if path := server.FindControl(c); path != "" {
		if s, err := admin.NewClient(path).Status(ctx); err == nil {
			return certificatesOf(s)
		}
	}
	return server.ReadCertificates(c, time.Now())
}

// certificatesOf leaves out what is in a state that this build does not know: the running tacit may be another.
func certificatesOf(s admin.Status) []certificate.Status {
	var list []certificate.Status
	for _, c := range s.Certificates {
		if state, ok := certificate.ParseState(c.State); ok {
			list = append(list, certificate.Status{
				Names: c.Names, File: c.File, NotAfter: c.Until, State: state, Pin: c.Pin, SelfSigned: c.SelfSigned,
			})
		}
	}
	return list
}

func clientNames() string {
	var names []string
	for _, c := range discovery.Clients() {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}
