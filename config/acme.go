package config

import (
	"errors"
	"net/url"
	"strings"
)

var (
	errOrdered   = errors.New("is not a host name such as dns.example.com; a name with an asterisk, or an address, cannot be ordered")
	errDirectory = errors.New("is not a URL such as https://acme-v02.api.letsencrypt.org/directory")
	errMail      = errors.New("is not a mail address such as hostmaster@example.com")
)

// parseOrdered takes what an ACME authority gives certificates for: host names below a top-level domain, without an asterisk,
// which would have to be proven by DNS.
func parseOrdered(s string) (string, error) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	if n, err := parseHost(s); err != nil || n.IsRoot() || !strings.Contains(s, ".") {
		return "", errOrdered
	}
	return s, nil
}

func parseDirectory(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return "", errDirectory
	}
	return s, nil
}

// parseMail takes the empty text as none.
func parseMail(s string) (string, error) {
	if before, after, ok := strings.Cut(s, "@"); s != "" && (!ok || before == "" || after == "" || strings.ContainsAny(s, " ,<>:?")) {
		return "", errMail
	}
	return s, nil
}

// setACMENames refuses doubles: each would be an order.
func setACMENames(k *checker, v value) {
	names := all(k, v, parseOrdered)
	for i, name := range names {
		for _, before := range names[:i] {
			if name != "" && name == before {
				k.fail(v.elements[i].at, "is listed twice")
			}
		}
	}
	k.config.TLS.ACME.Names = names
}

func setACMEHTTP(k *checker, v value) {
	if v.text != "" {
		k.config.TLS.ACME.HTTP = allListen(k, value{elements: []value{v}})
	}
}
