package testnet

import "time"

// defaultIdle is how long a server leaves an idle TCP connection open.
const defaultIdle = 10 * time.Second

// A link is the manners of a server below the level of messages.
type link struct {
	latency        time.Duration
	loss           float64
	refuses        bool
	idle           time.Duration
	answers        int
	noIPv4, noIPv6 bool
}

// Latency is the round trip to this server, instead of the internet's.
func Latency(roundTrip time.Duration) Behaviour {
	return Behaviour{link: func(l *link) { l.latency = roundTrip }}
}

// Loss loses this share of the datagrams, from 0 to 1, in each direction. Which ones follows from the internet's seed.
func Loss(share float64) Behaviour { return Behaviour{link: func(l *link) { l.loss = share }} }

// TCPRefused refuses connections.
func TCPRefused() Behaviour { return Behaviour{link: func(l *link) { l.refuses = true }} }

// ClosesIdle closes connections that were idle for this long; the default is 10 s.
func ClosesIdle(after time.Duration) Behaviour {
	return Behaviour{link: func(l *link) { l.idle = after }}
}

// ClosesAfter closes each connection after so many answers.
func ClosesAfter(answers int) Behaviour {
	return Behaviour{link: func(l *link) { l.answers = answers }}
}

// IPv4Only makes a World give the server no IPv6 address. It counts when the server is made.
func IPv4Only() Behaviour { return Behaviour{link: func(l *link) { l.noIPv6 = true }} }

// IPv6Only makes a World give the server no IPv4 address. It counts when the server is made.
func IPv6Only() Behaviour { return Behaviour{link: func(l *link) { l.noIPv4 = true }} }

func (s *Server) roundTrip(usual time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link.latency > 0 {
		return s.link.latency
	}
	return usual
}

func (s *Server) loses(t Transport) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return t == UDP && s.link.loss > 0 && s.random.Float64() < s.link.loss
}

func (s *Server) refusesConnections() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link.refuses
}

func (s *Server) idleTime() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link.idle
}

func (s *Server) answersPerConnection() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link.answers
}

func (s *Server) families() (v4, v6 bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.link.noIPv4, !s.link.noIPv6
}
