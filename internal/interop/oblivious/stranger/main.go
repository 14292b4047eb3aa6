// Command stranger plays a part of Oblivious DoH with other people's code: odoh-go over cisco/go-hpke, and net/http. As target and as
// proxy it writes all that it is shown to its standard output, one JSON object a line, and as client the answer.
//
//	stranger target LISTEN CERT KEY RESOLVER
//	stranger proxy LISTEN CERT KEY AUTHORITY
//	stranger client TARGET PROXY NAME AUTHORITY
//
// The target asks the resolver over plain DNS. The proxy takes messages wherever it is told to, if the authority vouches for who is there.
// The client is told a host, and a URL.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/miekg/dns"
	"github.com/sthorne/odoh-go"
)

const mediaType = "application/oblivious-dns-message"

// A shown is what one request showed.
type shown struct {
	From, Method, URI string
	Header            http.Header
	Body, Query       []byte // Query: as opened by the target
}

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: stranger target|proxy LISTEN CERT KEY RESOLVER|AUTHORITY, or stranger client TARGET PROXY NAME AUTHORITY")
		os.Exit(2)
	}
	if err := play(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func play(role string, args []string) error {
	if role == "client" {
		return ask(args[0], args[1], args[2], args[3])
	}
	handle, err := handler(role, args[3])
	if err != nil {
		return err
	}
	server := &http.Server{Addr: args[0], Handler: handle, ReadTimeout: 5 * time.Second}
	return server.ListenAndServeTLS(args[1], args[2])
}

// trusting is a client of HTTP/2 that the authority vouches to.
func trusting(authority string) (*http.Client, error) {
	text, err := os.ReadFile(authority)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	return &http.Client{Timeout: 5 * time.Second, Transport: transport}, nil
}

// ask asks for an address, with all that a careless client says of itself in its message.
func ask(target, proxy, name, authority string) error {
	client, err := trusting(authority)
	if err != nil {
		return err
	}
	response, err := client.Get("https://" + target + "/.well-known/odohconfigs")
	if err != nil {
		return err
	}
	octets, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	configs, err := odoh.UnmarshalObliviousDoHConfigs(octets)
	if err != nil || len(configs.Configs) == 0 {
		return fmt.Errorf("configurations: %w", err)
	}
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{
		&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 32, Address: net.IPv4(203, 0, 113, 77)},
		&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "c00c1ec00c1ec00c"},
	}
	query, err := m.Pack()
	if err != nil {
		return err
	}
	sealed, context, err := configs.Configs[0].Contents.EncryptQuery(odoh.CreateObliviousDNSQuery(query, 0))
	if err != nil {
		return err
	}
	where := url.Values{"targethost": {target}, "targetpath": {"/dns-query"}}
	response, err = client.Post(proxy+"?"+where.Encode(), mediaType, bytes.NewReader(sealed.Marshal()))
	if err != nil {
		return err
	}
	octets, err = io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != mediaType {
		return fmt.Errorf("%s %v: %w", response.Status, response.Header, err)
	}
	back, err := odoh.UnmarshalDNSMessage(octets)
	if err != nil {
		return err
	}
	answer, err := context.OpenAnswer(back)
	if err != nil {
		return err
	}
	if err := m.Unpack(answer); err != nil {
		return err
	}
	fmt.Println(m)
	return nil
}

func handler(role, other string) (http.Handler, error) {
	if role == "target" {
		seed := make([]byte, 32)
		rand.Read(seed)
		pair, err := odoh.CreateDefaultKeyPairFromSeed(seed)
		t := &target{pair: pair, resolver: other}
		return record(t.serve), err
	}
	onward, err := trusting(other)
	return record((&proxy{onward}).serve), err
}

// record has a request served, and writes down what it showed.
func record(serve func(s *shown) (status int, body []byte)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &shown{From: r.RemoteAddr, Method: r.Method, URI: r.URL.RequestURI(), Header: r.Header}
		s.Body, _ = io.ReadAll(io.LimitReader(r.Body, 1<<16))
		status, body := serve(s)
		line, _ := json.Marshal(s)
		_, _ = os.Stdout.Write(append(line, '\n'))
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	})
}

type target struct {
	pair     odoh.ObliviousDoHKeyPair
	resolver string
}

func (t *target) serve(s *shown) (status int, body []byte) {
	if s.Method == http.MethodGet {
		configs := odoh.CreateObliviousDoHConfigs([]odoh.ObliviousDoHConfig{t.pair.Config})
		return http.StatusOK, configs.Marshal()
	}
	body, err := t.answer(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return http.StatusBadRequest, nil
	}
	return http.StatusOK, body
}

func (t *target) answer(s *shown) ([]byte, error) {
	sealed, err := odoh.UnmarshalDNSMessage(s.Body)
	if err != nil {
		return nil, err
	}
	if len(sealed.EncryptedMessage) < 32 {
		return nil, errors.New("too short")
	}
	query, context, err := t.pair.DecryptQuery(sealed)
	if err != nil {
		return nil, err
	}
	s.Query = query.Message()
	m := new(dns.Msg)
	if err := m.Unpack(s.Query); err != nil {
		return nil, err
	}
	reply, _, err := (&dns.Client{Net: "tcp", Timeout: 4 * time.Second}).Exchange(m, t.resolver)
	if err != nil {
		return nil, err
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil, err
	}
	response, err := context.EncryptResponse(odoh.CreateObliviousDNSResponse(packed, 0))
	if err != nil {
		return nil, err
	}
	return response.Marshal(), nil
}

type proxy struct{ *http.Client }

func (p *proxy) serve(s *shown) (status int, body []byte) {
	r, err := http.NewRequest(http.MethodPost, s.URI, nil)
	if err != nil {
		return http.StatusBadRequest, nil
	}
	to := r.URL.Query()
	response, err := p.Post("https://"+to.Get("targethost")+to.Get("targetpath"), mediaType, bytes.NewReader(s.Body))
	if err != nil {
		return http.StatusBadGateway, nil
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		return http.StatusBadGateway, nil
	}
	return response.StatusCode, body
}
