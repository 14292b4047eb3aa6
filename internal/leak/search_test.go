//go:build leak

package leak

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
)

// A kind is what is looked for.
type kind uint8

const (
	aName kind = iota
	anAddress
	aHeader
)

// A pattern is one form in which a name or an address may stand somewhere.
type pattern struct {
	kind   kind
	owner  *client
	octets []byte
	folded bool // letter case does not count
	bare   bool // four octets, which stand by chance somewhere in so much memory: what stands before them counts, too
	at     int  // where in octets the key is, four octets by which the pattern is found
}

// A searcher looks for all names and addresses at once.
type searcher struct {
	exact, folded map[uint32][]*pattern
	hint          []uint64 // a bit for each hash of a key, of either kind
}

// A hit is where something was found.
type hit struct {
	*pattern
	at int
}

const hintBits = 20

func newSearcher(lists ...[]*client) *searcher {
	s := &searcher{exact: map[uint32][]*pattern{}, folded: map[uint32][]*pattern{}, hint: make([]uint64, 1<<hintBits/64)}
	for _, list := range lists {
		for _, c := range list {
			s.addName(c)
			s.addAddress(c)
			s.add(aHeader, c, []byte(c.header), true, 0)
		}
	}
	return s
}

// addName adds the label, which stands in one piece in a message as in text, and its hexadecimal.
func (s *searcher) addName(c *client) {
	s.add(aName, c, []byte(c.marker), true, 0)
	s.add(aName, c, []byte(hex.EncodeToString([]byte(c.marker))), true, 12)
}

// addAddress adds the octets as the network has them, as netip.Addr does (two words, which most machines begin at the little
// end), text and hexadecimal.
func (s *searcher) addAddress(c *client) {
	octets, text := c.address.AsSlice(), []byte(c.address.String())
	s.add(anAddress, c, octets, false, len(octets)-4).bare = c.address.Is4()
	s.add(anAddress, c, inMemory(c.address), false, 0)
	s.add(anAddress, c, text, true, len(text)-4)
	s.add(anAddress, c, []byte(hex.EncodeToString(octets)), true, 2*len(octets)-4)
}

// inMemory is how netip.Addr holds an address; of IPv4, with the prefix that makes it one of IPv6 (RFC 4291 section 2.5.5.2).
func inMemory(a netip.Addr) []byte {
	all := a.As16()
	high, low := binary.BigEndian.Uint64(all[:]), binary.BigEndian.Uint64(all[8:])
	if a.Is4() {
		return binary.LittleEndian.AppendUint64(nil, low)[:6]
	}
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, high), low)
}

func (s *searcher) add(k kind, c *client, octets []byte, folded bool, at int) *pattern {
	p := &pattern{kind: k, owner: c, octets: octets, folded: folded, at: at}
	key, table := binary.LittleEndian.Uint32(octets[at:]), s.exact
	if folded {
		key, table = key|spaces, s.folded
	}
	table[key] = append(table[key], p)
	h := hintOf(key)
	s.hint[h/64] |= 1 << (h % 64)
	return p
}

// spaces makes a letter small, and leaves a digit, a dot and a colon what they are.
const spaces = 0x20202020

func hintOf(key uint32) uint32 { return key * 2654435769 >> (32 - hintBits) }

func (s *searcher) hinted(key uint32) bool {
	h := hintOf(key)
	return s.hint[h/64]&(1<<(h%64)) != 0
}

// find returns every hit in the octets.
func (s *searcher) find(octets []byte) []hit {
	var hits []hit
	for i := 0; i+4 <= len(octets); i++ {
		word := binary.LittleEndian.Uint32(octets[i:])
		if word == 0 {
			continue
		}
		if s.hinted(word) {
			hits = appendHits(hits, s.exact[word], octets, i)
		}
		if word |= spaces; s.hinted(word) {
			hits = appendHits(hits, s.folded[word], octets, i)
		}
	}
	return hits
}

func appendHits(hits []hit, list []*pattern, octets []byte, i int) []hit {
	for _, p := range list {
		start := i - p.at
		end := start + len(p.octets)
		if start < 0 || end > len(octets) {
			continue
		}
		if found := octets[start:end]; bytes.Equal(found, p.octets) || p.folded && bytes.EqualFold(found, p.octets) {
			hits = append(hits, hit{p, start})
		}
	}
	return hits
}

// A found is what a search of some octets came to, each name, address and pair counted once.
type found struct {
	names, addresses, pairs, headers map[*client]bool
	octets                           int
	around                           map[*client]string // the last place of each name, for whoever has to mend it
}

func newFound() *found {
	return &found{
		names: map[*client]bool{}, addresses: map[*client]bool{}, pairs: map[*client]bool{}, headers: map[*client]bool{},
		around: map[*client]string{},
	}
}

// near is how far apart a client's name and address stand at most to make a pair.
const near = 512

// look searches octets that lie together.
func (f *found) look(s *searcher, octets []byte) {
	f.octets += len(octets)
	names := map[*client][]int{}
	var addresses []hit
	for _, h := range s.find(octets) {
		switch h.kind {
		case aName:
			f.names[h.owner] = true
			names[h.owner] = append(names[h.owner], h.at)
			f.around[h.owner] = fmt.Sprintf("%q", octets[max(0, h.at-48):min(len(octets), h.at+64)])
		case anAddress:
			addresses = append(addresses, h)
		case aHeader:
			f.headers[h.owner] = true
		}
	}
	for _, h := range addresses {
		pair := slices.ContainsFunc(names[h.owner], func(name int) bool { return h.at-name < near && name-h.at < near })
		if pair {
			f.pairs[h.owner] = true
		}
		if pair || !h.bare || isAddress(octets, h.at) {
			f.addresses[h.owner] = true
		}
	}
}

// isAddress reports whether four octets stand where programs have an address of IPv4: behind the prefix that makes it one of IPv6,
// the family and port of a sockaddr_in, or the port of a syscall.SockaddrInet4; or in so little that nothing is chance.
func isAddress(octets []byte, at int) bool {
	const little = 1 << 20
	if len(octets) < little {
		return true
	}
	if at < 8 {
		return false
	}
	before := octets[at-8 : at]
	return before[6] == 0xff && before[7] == 0xff || before[4] == 2 && before[5] == 0 ||
		before[2]|before[3]|before[4]|before[5]|before[6]|before[7] == 0 && before[0]|before[1] != 0
}

// of counts those that are in a list.
func of(set map[*client]bool, list []*client) int {
	n := 0
	for _, c := range list {
		if set[c] {
			n++
		}
	}
	return n
}
