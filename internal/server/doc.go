// Package server is the composition root: a configuration and what the machine offers go in, running parts come out. It
// starts them, replaces them when the configuration changes, and lets them finish what they began. It decides nothing
// about DNS, and it is the one place that knows all the parts.
//
// Limitations: each listen address has limits of its own for what clients can hold. A reload that changes what is
// remembered or where answers come from (cache, stubs, forwards, root hints) starts with an empty cache.
package server
