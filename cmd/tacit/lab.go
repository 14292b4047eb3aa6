package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"

	"github.com/spf13/cobra"

	"tacit/internal/lab"
	"tacit/internal/server"
)

func newLab() *cobra.Command {
	var listen string
	var port uint16
	c := &cobra.Command{
		Use:   "lab",
		Short: "A small internet on this machine, with tacit in front of it",
		Long: "Lab starts a root server, three TLDs and two dozen zones on loopback addresses, and a tacit that resolves from them.\n" +
			"It needs no network and no privilege. It prints what to ask and what each question shows.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := netip.ParseAddrPort(listen)
			if err != nil {
				return errors.New("--listen takes an address and port such as 127.0.0.1:5335")
			}
			return runLab(cmd, lab.Options{Listen: at, Port: port})
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:5335", "`ADDRESS:PORT` of the tacit in front")
	c.Flags().Uint16Var(&port, "port", 5300, "`PORT` of all name servers of the lab")
	return c
}

func runLab(cmd *cobra.Command, o lab.Options) (err error) {
	l, err := lab.New(o)
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, fail(l.Close())) }()
	var env server.Env
	unreachable := l.Listen(cmd.Context())
	if unreachable != nil {
		env.Network = l.Network()
	}
	sent := catchSignals()
	defer sent.stop()
	s, err := start(cmd, l.Config(), env)
	if err != nil {
		return err
	}
	out, tool := cmd.OutOrStdout(), firstTool()
	err = l.WriteGuide(out, l.Config().Listen.UDP[0], tool, programName())
	if unreachable == nil {
		err = errors.Join(err, l.WriteRootLine(out, tool))
	} else {
		err = errors.Join(err, writeUnreachable(out, l, unreachable))
	}
	if err != nil {
		return errors.Join(fail(err), s.Shutdown(cmd.Context()))
	}
	return runUntil(cmd.Context(), sent, s, l.Config().File)
}

// writeUnreachable says why the lab's name servers cannot be asked directly. All else works: they are in memory.
func writeUnreachable(w io.Writer, l *lab.Lab, why error) error {
	if !errors.Is(why, lab.ErrNoAliases) {
		_, err := fmt.Fprintf(w, "\nThe lab's name servers stay in memory and cannot be asked directly: %v\n", why)
		return err
	}
	aliases := l.Aliases()
	_, err := fmt.Fprintf(w, "\nThe lab's name servers stay in memory: %v. To ask them directly, too, first do:\n%s\n",
		why, aliasCommand(runtime.GOOS, aliases[0], aliases[len(aliases)-1]))
	return err
}

// aliasCommand gives the loopback interface the addresses from first to last, which differ in their last octet.
func aliasCommand(system string, first, last netip.Addr) string {
	a, z := first.As4(), last.As4()
	command := "sudo ifconfig lo0 alias 127.53.0.$i up"
	if system == "linux" {
		command = "sudo ip address add 127.53.0.$i/32 dev lo"
	}
	return fmt.Sprintf("for i in $(seq %d %d); do %s; done", a[3], z[3], command)
}
