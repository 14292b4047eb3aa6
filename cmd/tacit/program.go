package main

import (
	"os"
	"os/exec"
	"strings"
)

// firstTool is the program to ask with that this machine has. Both take the arguments that we print.
func firstTool() string {
	for _, tool := range []string{"kdig", "dig"} {
		if _, err := exec.LookPath(tool); err == nil {
			return tool
		}
	}
	return "kdig"
}

// programName is how this program is called from where it was called.
func programName() string {
	if strings.Contains(os.Args[0], "go-build") { // built by go run
		return "go run ./cmd/tacit"
	}
	return os.Args[0]
}
