// Command lego orders a certificate with lego and its provider for RFC 2136, which its environment describes as lego's manual says:
//
//	lego DIRECTORY NAME...
//
// DIRECTORY is that of an ACME authority. Whether the records that prove the names are there is asked of the server that is updated.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"os"

	"github.com/go-acme/lego/v4/certificate"
	"github.com/go-acme/lego/v4/challenge/dns01"
	"github.com/go-acme/lego/v4/lego"
	"github.com/go-acme/lego/v4/providers/dns/rfc2136"
	"github.com/go-acme/lego/v4/registration"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: lego DIRECTORY NAME...")
		os.Exit(2)
	}
	if err := order(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

// An account is whoever orders.
type account struct {
	key          crypto.PrivateKey
	registration *registration.Resource
}

func (a *account) GetEmail() string                        { return "" }
func (a *account) GetRegistration() *registration.Resource { return a.registration }
func (a *account) GetPrivateKey() crypto.PrivateKey        { return a.key }

func order(directory string, names []string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	a := &account{key: key}
	config := lego.NewConfig(a)
	config.CADirURL = directory
	client, err := lego.NewClient(config)
	if err != nil {
		return err
	}
	provider, err := rfc2136.NewDNSProvider()
	if err != nil {
		return err
	}
	err = client.Challenge.SetDNS01Provider(provider,
		dns01.AddRecursiveNameservers([]string{os.Getenv(rfc2136.EnvNameserver)}),
		dns01.DisableAuthoritativeNssPropagationRequirement(), dns01.RecursiveNSsPropagationRequirement())
	if err != nil {
		return err
	}
	a.registration, err = client.Registration.Register(registration.RegisterOptions{TermsOfServiceAgreed: true})
	if err != nil {
		return err
	}
	_, err = client.Certificate.Obtain(certificate.ObtainRequest{Domains: names})
	return err
}
