// Package leak is the leak test: it plants names and addresses that exist nowhere else, has a tacit that runs as its users run it
// resolve them, and looks for them everywhere else. Its tests (build tag leak, root needed, run by `make leak`) put themselves
// into a network namespace of their own, in which name servers that note each query exactly play the Internet, and some
// 500 clients, each from an address of its own, ask over every transport. Then what tacit wrote, what its commands say, its memory,
// and what servers and clients were told are searched and counted, and held against bars. A deliberately leaking tacit
// (build tag leaky) has to be caught by the same search. docs/leak.md says what each row means.
//
// Programs needed: ip (iproute2) and strace. TACIT_BIN, an absolute path, names the binary to test; without it the package builds
// one, as it builds those with a tag.
//
// Limitations: Linux only. The memory of the kernel is not searched, nor the swap. What is overwritten in part is not found: a
// name counts if its 16 characters stand there in one piece, in any letter case, or in hexadecimal; an address if all of it does,
// as text, in hexadecimal, or as octets in either order.
package leak
