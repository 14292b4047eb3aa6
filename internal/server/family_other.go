//go:build !unix

package server

func isNoFamily(error) bool { return false }
