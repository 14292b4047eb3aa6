//go:build unix

package server

import (
	"errors"
	"syscall"
)

func isNoFamily(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)
}
