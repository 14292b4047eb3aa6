package server

import (
	"context"
	"errors"

	"tacit/config"
	"tacit/internal/privacy"
)

// ReloadFile reads the configuration again and replaces the running one. When it has a mistake, what was running stays,
// and one line of the log says where the first mistake is.
func (s *Server) ReloadFile(ctx context.Context, path string) error {
	c, err := config.Load(path)
	if err == nil {
		err = s.Reload(ctx, c)
	}
	if err != nil {
		first, more := firstProblem(err)
		s.env.Log.Error("the configuration was not reloaded and the old one stays", "problem", first, "more", more)
		return err
	}
	s.env.Log.Info("configuration reloaded", "file", privacy.Public(path))
	return nil
}

// firstProblem takes text that comes from the operator's own file and from constants.
func firstProblem(err error) (text privacy.Public, more int) {
	if problems, ok := errors.AsType[config.Problems](err); ok {
		return privacy.Public(problems[0].Error()), len(problems) - 1
	}
	return privacy.Public(err.Error()), 0
}
