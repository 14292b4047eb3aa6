// Package server is the composition root: a configuration and what the machine offers go in, running parts come out. It
// starts them, replaces them when the configuration changes, and lets them finish what they began. It decides nothing
// about DNS, and it is the one place that knows all the parts.
//
// Limitations: each listen address has limits of its own for connections. A reload that changes what is remembered or
// where answers come from (cache, DNSSEC, stubs, forwards, root hints, port) starts with an empty cache. What is announced (DDR) is
// that of the start or the last reload: the certificate then shown, and the addresses of the machine where a listener is on all of them.
package server
