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
	var listen, tls, https string
	var port uint16
	c := &cobra.Command{
		Use:   "lab",
		Short: "A small internet on this machine, with tacit in front of it",
		Long: "Lab starts a root server, three TLDs and two dozen zones on loopback addresses, and a tacit that resolves from them,\n" +
			"over plain DNS, TLS, HTTPS and QUIC. It needs no network and no privilege. It prints what to ask and what each question shows.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := lab.Options{Port: port}
			for _, x := range []struct {
				at         *netip.AddrPort
				flag, text string
			}{{&o.Listen, "listen", listen}, {&o.TLS, "tls", tls}, {&o.HTTPS, "https", https}} {
				var err error
				if *x.at, err = netip.ParseAddrPort(x.text); err != nil {
					return fmt.Errorf("--%s takes an address and port such as 127.0.0.1:5335", x.flag)
				}
			}
			return runLab(cmd, o)
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:5335", "`ADDRESS:PORT` of the tacit in front")
	c.Flags().StringVar(&tls, "tls", "127.0.0.1:8853", "`ADDRESS:PORT` where it speaks DNS over TLS and QUIC")
	c.Flags().StringVar(&https, "https", "127.0.0.1:8443", "`ADDRESS:PORT` where it speaks DNS over HTTPS")
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
	err = l.WriteGuide(out, lab.FrontOf(s), tool, programName())
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
