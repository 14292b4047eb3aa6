//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package place

import "os"

func tryLock(*os.File) (taken bool, err error) { return true, nil }
