// Package config holds every option of tacit once: its key, default, sentence and check. Read takes a TOML file apart
// into a File, which says what stands where; Check makes a Config of it, which says what it means, or lists every
// mistake with its place. The reference manual, the example file and the JSON schema under docs are generated from the
// same table of options. It never opens a socket and never looks at a client.
//
// Limitations: options whose part of tacit does not exist yet parse, but only the value that leaves the part off is
// accepted.
package config

//go:generate go test -run TestGeneratedFilesAreFresh -update .
