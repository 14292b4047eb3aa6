// Package server is the composition root: a configuration and what the machine offers go in, running parts come out. It
// starts them, replaces them when the configuration changes, and lets them finish what they began. It decides nothing
// about DNS, and it is the one place that knows all the parts.
//
// Limitations: each listen address has limits of its own for TCP connections. A reload that changes what is remembered or
// where answers come from (cache, DNSSEC, stubs, forwards, root hints, port) starts with an empty cache.
package server
