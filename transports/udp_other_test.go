//go:build !linux

package transports

var openers = map[string]opener{"one at a time": openSingle}
