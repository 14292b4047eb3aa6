package server

import (
	"context"
	"errors"
	"fmt"

	"tacit/config"
	"tacit/management"
)

// openManagement opens the API of a configuration, unless it is open already, and reads its tokens; nil where there is to be none.
func (s *Server) openManagement(ctx context.Context, c *config.Config) (*management.Server, management.Tokens, error) {
	tokens, err := readTokens(c)
	if err != nil || tokens == nil {
		return nil, nil, err
	}
	if old := s.current.Load(); old != nil && s.managed != nil && old.config.Management.Listen == c.Management.Listen {
		return s.managed, tokens, nil
	}
	m, err := management.Listen(ctx, c.Management.Listen, management.Options{
		Manager: manager{s}, Now: s.env.Now, Panicked: s.env.panics.report,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("management.listen: %w", err)
	}
	return m, tokens, nil
}

var errNoTokenFile = errors.New("management.token_file: names no file, and without tokens nobody could use the API")

// readTokens returns nil where there is no API.
func readTokens(c *config.Config) (management.Tokens, error) {
	if !c.Management.Listen.IsValid() {
		return nil, nil
	}
	if c.Management.TokenFile == "" {
		return nil, errNoTokenFile
	}
	text, err := readSecret(c.Management.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("management.token_file: %s: %w", c.Management.TokenFile, err)
	}
	tokens, err := management.ReadTokens(text)
	if err != nil {
		return nil, fmt.Errorf("management.token_file: %s: %w", c.Management.TokenFile, err)
	}
	return tokens, nil
}

// setManagement serves the API on one address instead of another; either may be nil, and they may be the same.
func (s *Server) setManagement(m *management.Server, tokens management.Tokens, limits management.Limits) {
	if m != nil {
		m.Allow(tokens, limits)
	}
	old := s.managed
	if old == m {
		return
	}
	s.managed = m
	if m != nil {
		s.retired.Go(func() {
			if err := m.Serve(); err != nil {
				s.env.Log.Error("the management API has failed")
			}
		})
	}
	if old != nil {
		s.retired.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), retireAfter)
			defer cancel()
			_ = old.Shutdown(ctx) // who still waits has lost the server
		})
	}
}
