module tacit/internal/interop/oblivious

go 1.26

require (
	github.com/cisco/go-hpke v0.0.0-20230407100446-246075f83609
	github.com/miekg/dns v1.1.57
	github.com/sthorne/odoh-go v1.0.4
)

require (
	github.com/cisco/go-tls-syntax v0.0.0-20200617162716-46b0cfb76b9b // indirect
	github.com/cloudflare/circl v1.0.0 // indirect
	golang.org/x/crypto v0.14.0 // indirect
	golang.org/x/net v0.17.0 // indirect
	golang.org/x/sys v0.13.0 // indirect
)

// It asks for a module that no registry serves, and that is not used.
exclude github.com/cisco/go-hpke v0.0.0-20210215210317-01c430f1f302
