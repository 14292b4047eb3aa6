// Package interop compares tacit with Unbound, and both with the truth, over real name servers. Its tests (build tag
// interop, root needed, run by `make interop`) put themselves into a network namespace of their own, write a root zone,
// five TLDs and 200 zones from a seed, serve them with NSD and knotd on addresses of the loopback interface, ask tacit
// and Unbound the same 2,000 questions, one resolver after the other, and compare RCODE and answer RRsets with each
// other and with what the zone data say. Meanwhile a packet socket notes what the name servers are told, and every label
// that a root or TLD server hears without needing it (RFC 9156) is a failure. A control run of an Unbound that does not
// minimise and that lies about one name shows that both measurements can fail. tacit is asked everything three times, so that
// answers that had to be found, that RRsets made up and that were finished are compared, and all of it again without the last.
//
// A second world is signed, by dnssec-signzone and kzonesign, with every algorithm and every kind of denial, below a root
// whose key both resolvers are given: 5,000 questions, in whose answers RCODE, records and AD have to be what the zone
// data and the chain of trust say, and what Unbound says wherever its policy is ours; delv, asking through tacit, is a
// witness of another make. In a third world each zone is broken in one way, and the extended errors are compared.
//
// In a fourth world clients of other makes ask tacit over each transport: kdig, dig, curl, h2load and ngtcp2's client; stubby,
// Unbound, dnsdist, dnsmasq and systemd-resolved as servers in front of it; Chromium and Firefox, which have to show a page
// whose name they can learn from tacit alone. Each transport has addresses of its own, so that no client falls back to
// another unseen, and each client that looks at certificates has to refuse a wrong name and an authority that it was not
// given. A table says who was answered.
//
// In a fifth, tacit is the one who knows: 20 zone files, with all that makes answers of authority hard, are served by tacit, knotd and
// NSD, and 2,000 questions without RD compared in RCODE, AA and the records of all sections with their TTLs. Where an RFC leaves a
// choice, a rule says how the other's answer becomes tacit's; rules are counted and printed, and nothing else may differ.
//
// In a sixth, tacit serves a zone with proxied records, and others have copies of it: kdig transfers it over TCP and TLS, knotd and
// NSD follow it by NOTIFY and IXFR, and nsupdate and knsupdate change it, as far as their key may. The origins are looked for in the
// octets of transfers and in all that the secondaries have written. Another zone is changed by those for whom updates are made: lego and
// certbot, who prove to an ACME authority that asks tacit that its names are theirs, libdns (Caddy) and external-dns. In a seventh, knotd
// is told of tacit's catalog alone, and has to serve what is in it: at first, when a zone comes, changes and goes, and when tacit has
// started again.
//
// In a seventh, tacit has copies of zones of knotd and NSD, over TCP with TSIG and over TLS, which NSD speaks itself and knotd behind a
// terminator: it has to answer as they do, follow their changes by NOTIFY and IXFR, and go on without them, after a restart, too.
//
// In an eighth, authoritative servers can be asked encrypted: NSD over TLS, a tacit over QUIC. Of what another tacit asks of them when it is
// warm, 95 % have to be encrypted, by its own counters and by NSD's, and a packet socket must find no name in it.
//
// Oblivious DoH is spoken with a client, a proxy and a target made of odoh-go (internal/interop/oblivious), by tacit in each role: what the
// target is shown must hold nothing of the client, and what the proxy is shown no name.
//
// Programs needed: those of the list in main_test.go, which names their Debian packages, and systemd-resolved, unpacked
// where TACIT_INTEROP_RESOLVED says; all that make interop builds is named by variables of that kind. TACIT_BIN, an absolute path,
// names the binary to test; without it the package builds one.
//
// Limitations: of what is resolved TTLs are not compared, and types that only servers ask for (ANY, AXFR) are left out of comparisons.
// Keys are new in each run and shared by zones. h2load and ngtcp2's client look at no certificate. Linux only.
package interop
