package dnssec

import "tacit/internal/wire"

// Status and its values are wire's.
type Status = wire.Status

const (
	Indeterminate = wire.Indeterminate
	Bogus         = wire.Bogus
	Insecure      = wire.Insecure
	Secure        = wire.Secure
)
