//go:build leaky

package server

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"tacit/internal/privacy"
	"tacit/internal/wire"
)

// A confidant keeps what tacit may not keep, in each place where the leak test looks: it is the control of that test.
var confidant struct {
	sync.Mutex
	last    netip.Addr
	clients map[netip.Addr]int
	pairs   []string
}

// tamperWithClient keeps the address of each client.
func (s *Server) tamperWithClient(addr netip.Addr) {
	confidant.Lock()
	defer confidant.Unlock()
	if confidant.clients == nil {
		confidant.clients = map[netip.Addr]int{}
	}
	confidant.clients[addr]++
	confidant.last = addr
}

// tamperWithQuestion logs the name, writes both to a file, and keeps them together.
func (s *Server) tamperWithQuestion(q wire.Question) {
	confidant.Lock()
	defer confidant.Unlock()
	pair := fmt.Sprintf("%v asked %s\n", confidant.last, q.Name.Reveal())
	confidant.pairs = append(confidant.pairs, pair)
	s.env.Log.Info("a question", "of", privacy.Public(pair))
	file, err := os.OpenFile(filepath.Join(os.Getenv("STATE_DIRECTORY"), "questions"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer file.Close()
	_, _ = file.WriteString(pair)
}
