package privacy

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"
	"unique"
)

// A Client stands for the network of a client, its /24 or /56, until the hour is over. Two Clients of the same hour
// are equal exactly when the networks are. It prints as [client] whatever the verb. The hash is behind a handle
// because fmt reflects past methods where a Client is an unexported field: what it finds there is a pointer.
type Client struct{ handle unique.Handle[uint64] }

const redactedClient = "[client]"

// String returns [client].
func (c Client) String() string { return redactedClient }

// GoString returns [client].
func (c Client) GoString() string { return redactedClient }

// Format writes [client] for every verb.
func (c Client) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redactedClient)) }

// LogValue is [client].
func (c Client) LogValue() slog.Value { return slog.StringValue(redactedClient) }

// MarshalText returns [client].
func (c Client) MarshalText() ([]byte, error) { return []byte(redactedClient), nil }

// Clients makes a Client of an address. Its key is random, replaced every hour and not kept: after that nobody, with
// the whole memory in hand, can say which network a Client stood for. The zero Clients is ready, and may be used by several
// goroutines.
type Clients struct {
	mu      sync.Mutex
	key     [32]byte
	expires time.Time
}

// Prefix lengths of a network (RFC 6177 for IPv6: a site has a /56 or a /48).
const (
	bitsIPv4 = 24
	bitsIPv6 = 56
)

const keyLifetime = time.Hour

// A Network is one of clients, as it goes into a keyed hash.
type Network [1 + 16]byte

// NetworkOf returns the network of an address, its /24 or /56. All zero addresses are of one.
func NetworkOf(addr netip.Addr) (n Network) {
	addr = addr.Unmap()
	bits := bitsIPv6
	if addr.Is4() {
		n[0], bits = 4, bitsIPv4
	}
	if prefix, err := addr.Prefix(bits); err == nil { // the zero Addr has none
		octets := prefix.Addr().As16()
		copy(n[1:], octets[:])
	}
	return n
}

// Of returns the Client that stands for the network of addr.
func (c *Clients) Of(addr netip.Addr, now time.Time) Client {
	var input [32 + len(Network{})]byte // of fixed length: a plain hash of key and text is a sound MAC then
	c.mu.Lock()
	if !now.Before(c.expires) {
		c.renew(now)
	}
	copy(input[:], c.key[:])
	c.mu.Unlock()
	network := NetworkOf(addr)
	copy(input[32:], network[:])
	sum := sha256.Sum256(input[:])
	clear(input[:])
	clear(network[:])
	return Client{unique.Make(binary.BigEndian.Uint64(sum[:]))}
}

func (c *Clients) renew(now time.Time) {
	_, _ = rand.Read(c.key[:]) // never fails (crypto/rand)
	c.expires = now.Add(keyLifetime)
}
