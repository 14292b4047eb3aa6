package management

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
)

// Tokens say who may do what. They are kept as hashes.
type Tokens []token

// A token opens the zones that it names, or all.
type token struct {
	hash  [sha256.Size]byte
	zones []string
	used  *usage
}

// Why a token file is none.
var (
	ErrNoTokens   = errors.New("the file holds no token")
	ErrShortToken = errors.New("a token has less than 32 characters")
)

const leastToken = 32

// ReadTokens reads a token from each line: the token, and then perhaps the names of the only zones that it is for. Empty lines and
// those that begin with # do not count.
func ReadTokens(text []byte) (Tokens, error) {
	var list Tokens
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words[0]) < leastToken {
			return nil, ErrShortToken
		}
		t := token{hash: sha256.Sum256([]byte(words[0])), used: new(usage)}
		for _, zone := range words[1:] {
			t.zones = append(t.zones, canonical(zone))
		}
		list = append(list, t)
	}
	if len(list) == 0 {
		return nil, ErrNoTokens
	}
	return list, nil
}

// find looks at all tokens, whether one has been found or not.
func (t Tokens) find(given string) (found *token) {
	hash := sha256.Sum256([]byte(given))
	for i := range t {
		if subtle.ConstantTimeCompare(t[i].hash[:], hash[:]) == 1 {
			found = &t[i]
		}
	}
	return found
}

func (t *token) opens(zone string) bool { return len(t.zones) == 0 || slices.Contains(t.zones, zone) }

// canonical is a name in lower case without its final dot.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
