package server

import (
	"context"
	"fmt"
	"os"

	"tacit/config"
	"tacit/management"
)

// openManagement opens the API of a configuration, unless it is open already; nil where there is to be none.
func (s *Server) openManagement(ctx context.Context, c *config.Config) (*management.Server, error) {
	if !c.Management.Listen.IsValid() {
		return nil, nil
	}
	tokens, err := readTokens(c)
	if err != nil {
		return nil, err
	}
	if old := s.current.Load(); old != nil && s.managed != nil && old.config.Management.Listen == c.Management.Listen {
		s.managed.SetTokens(tokens)
		return s.managed, nil
	}
	m, err := management.Listen(ctx, c.Management.Listen, management.Options{
		Keeper: manager{s}, Tokens: tokens, Panicked: s.env.panics.report,
	})
	if err != nil {
		return nil, fmt.Errorf("management.listen: %w", err)
	}
	return m, nil
}

func readTokens(c *config.Config) (management.Tokens, error) {
	if !c.Management.Listen.IsValid() {
		return nil, nil
	}
	text, err := os.ReadFile(c.Management.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("management.token_file: %w", err)
	}
	tokens, err := management.ReadTokens(text)
	if err != nil {
		return nil, fmt.Errorf("management.token_file: %s: %w", c.Management.TokenFile, err)
	}
	return tokens, nil
}

// setManagement serves the API on one address instead of another; either may be nil, and they may be the same.
func (s *Server) setManagement(m *management.Server) {
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
