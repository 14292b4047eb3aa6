package server

import (
	"tacit/config"
	"tacit/zone"
)

// ZoneOptions say how the zones of a configuration are made of their files, for who checks and edits them.
func ZoneOptions(c *config.Config) zone.Options { return zoneOptions(c, nil) }
