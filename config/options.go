package config

import (
	"crypto/tls"
	"log/slog"
	"math"
	"slices"
	"strconv"

	"tacit/dnssec"
	"tacit/zone"
)

// Forms of texts, as the manual and the messages of parse name them.
const (
	formListen   = "address and port"
	formServer   = "address, perhaps with a port"
	formPrefix   = "prefix or address"
	formName     = "domain name"
	formSize     = "size"
	formDuration = "time"
	formPath     = "file name"
	formHost     = "host name"
	formPlain    = "address and port, or file name"
	formUpstream = "upstream"
	formAddress  = "address"
	formPrimary  = "primary"

	formOblivious = "https://address/path"
)

// options is the table of all options, in the order of the manual.
var options = slices.Concat(topOptions, tableOptions, operatorOptions)

// topOptions stand above the first table.
var topOptions = []option{
	{
		key: acceptKey, kind: listKind, form: "key that gives up privacy", standard: `[]`,
		about: "Keys whose values give up privacy, and shall. listen.http, tls.min_version, admin.listen and stats.top are refused with such a value " +
			"unless they are named here; of others the privacy statement and tacit check tell.",
		set: func(k *checker, v value) { k.config.Accepted = all(k, v, parseWeakening) },
	},
}

var tableOptions = []option{
	{
		table: "listen", key: "udp", kind: listKind, form: formListen, standard: `["127.0.0.1:5335"]`,
		about: "Addresses and ports for DNS over UDP. A port alone, \":53\", means all addresses.",
		set:   func(k *checker, v value) { k.config.Listen.UDP = allListen(k, v) },
	},
	{
		table: "listen", key: "tcp", kind: listKind, form: formListen, standard: `["127.0.0.1:5335"]`,
		about: "Addresses and ports for DNS over TCP, which is not optional (RFC 7766): list here what udp lists.",
		set:   func(k *checker, v value) { k.config.Listen.TCP = allListen(k, v) },
	},
	{
		table: "listen", key: "tls", kind: listKind, form: formListen, standard: `[]`,
		about: "Addresses and ports for DNS over TLS (RFC 7858); 853 is what clients expect.",
		set:   func(k *checker, v value) { k.config.Listen.TLS = allListen(k, v) },
	},
	{
		table: "listen", key: "https", kind: listKind, form: formListen, standard: `[]`,
		about: "Addresses and ports for DNS over HTTPS (RFC 8484): HTTP/1.1 and 2 on TCP, HTTP/3 on UDP, path /dns-query.",
		set:   func(k *checker, v value) { k.config.Listen.HTTPS = allListen(k, v) },
	},
	{
		table: "listen", key: "quic", kind: listKind, form: formListen, standard: `[]`,
		about: "Addresses and ports for DNS over QUIC (RFC 9250). May share a UDP port with HTTP/3.",
		set:   func(k *checker, v value) { k.config.Listen.QUIC = allListen(k, v) },
	},
	{
		table: "listen", key: "http", kind: listKind, form: formPlain, standard: `[]`,
		about: "Where DNS over HTTPS is served in clear, to a reverse proxy that has the certificate: addresses and ports, or absolute paths of Unix " +
			"sockets. A socket is made for tacit's own user and group. The client is the last address in X-Forwarded-For; a request without one is told 403.",
		set: func(k *checker, v value) { k.config.Listen.HTTP = all(k, v, parsePlain) },
	},
	{
		table: "listen", key: "http_proxies", kind: listKind, form: formPrefix, standard: `["127.0.0.0/8", "::1/128"]`,
		about: "Reverse proxies that are served at the addresses of http. Others are told 403.",
		set:   func(k *checker, v value) { k.config.Listen.HTTPProxies = all(k, v, parsePrefix) },
	},
	{
		table: "listen", key: "proxies", kind: listKind, form: formPrefix, standard: `[]`,
		about: "Load balancers that begin each connection over TCP, TLS and HTTPS, and each datagram over UDP, with a header of version 2 of the PROXY protocol. " +
			"From them, what comes without one is not answered; from others, one is no query.",
		set: func(k *checker, v value) { k.config.Listen.Proxies = all(k, v, parsePrefix) },
	},
	{
		table: "listen", key: "name", kind: textKind, form: formHost, standard: `""`,
		about: "The name under which clients know this resolver (authentication domain name, RFC 9499), and which its certificate has. " +
			"Empty: it has only addresses, and is not announced (RFC 9462, RFC 9463).",
		set: func(k *checker, v value) { k.config.Listen.Name = one(k, v, parseHost) },
	},
	{
		table: "listen", key: "info_url", kind: textKind, form: "URL, https://...", standard: `""`,
		about: "A page for people about this resolver, which RESINFO names (RFC 9606).",
		set:   func(k *checker, v value) { k.config.Listen.InfoURL = one(k, v, parseInfoURL) },
	},
	{
		table: "listen", key: "cookies", kind: boolKind, standard: `true`,
		about: "Gives DNS cookies (RFC 7873, RFC 9018) to clients over UDP and TCP that ask for them. Nothing is stored; the secret is another one each day.",
		set:   func(k *checker, v value) { k.config.Listen.Cookies = v.flag },
	},
	{
		table: "listen", key: "alt_svc", kind: boolKind, standard: `false`,
		about: "Tells clients of HTTPS in each answer that there is HTTP/3 (RFC 7838). They remember it for a day, so it is one more way to know them again; " +
			"those that discover the resolver are told anyway (RFC 9462).",
		set: func(k *checker, v value) { k.config.Listen.AltSvc = v.flag },
	},

	{
		table: "tls", key: "cert_file", kind: textKind, form: formPath, standard: `""`,
		about: "The certificate chain in PEM. Neither this nor key_file: a self-signed certificate is made in memory. " +
			"The files are watched: a new pair is in use within seconds, and one that cannot be used leaves the old one in use.",
		set: func(k *checker, v value) { k.config.TLS.CertFile = k.config.resolvePath(v.text) },
	},
	{
		table: "tls", key: "key_file", kind: textKind, form: formPath, standard: `""`,
		about: "The certificate's private key in PEM.",
		set:   func(k *checker, v value) { k.config.TLS.KeyFile = k.config.resolvePath(v.text) },
	},
	{
		table: "tls", key: "min_version", kind: textKind, standard: `"1.3"`, words: []string{"1.3", "1.2"},
		about: "The oldest version of TLS that is spoken; QUIC has 1.3 always. 1.2 is for old clients (RFC 9325).",
		set:   func(k *checker, v value) { k.config.TLS.MinVersion = tlsVersions[v.text] },
	},
	{
		table: "tls", key: "acme_names", kind: listKind, form: formHost, standard: `[]`,
		about: "Names for which certificates are ordered by ACME (RFC 8555), one for each; to list one is to agree to the authority's " +
			"terms. The authority must reach this machine under the name, on port 443 (listen.https) or 80 (acme_http).",
		set: setACMENames,
	},
	{
		table: "tls", key: "acme_directory", kind: textKind, form: "URL", standard: `"https://acme-v02.api.letsencrypt.org/directory"`,
		about: "The ACME authority. The default is Let's Encrypt.",
		set:   func(k *checker, v value) { k.config.TLS.ACME.Directory = one(k, v, parseDirectory) },
	},
	{
		table: "tls", key: "acme_mail", kind: textKind, form: "mail address", standard: `""`,
		about: "Where the ACME authority writes to when something is wrong. Empty: it is not told.",
		set:   func(k *checker, v value) { k.config.TLS.ACME.Mail = one(k, v, parseMail) },
	},
	{
		table: "tls", key: "acme_cache", kind: textKind, form: formPath, standard: `""`,
		about: "The directory that keeps the ACME account, its certificates and their keys; only its owner may look into it. " +
			"Empty: acme in the directory that STATE_DIRECTORY names, as systemd sets it.",
		set: func(k *checker, v value) { k.config.TLS.ACME.Cache = k.config.resolvePath(v.text) },
	},
	{
		table: "tls", key: "acme_http", kind: textKind, form: formListen, standard: `""`,
		about: "Address and port where the ACME authority verifies names by HTTP-01, such as \":80\". Empty: by TLS-ALPN-01 only.",
		set:   setACMEHTTP,
	},

	{
		table: "certificate", key: "cert_file", kind: textKind, form: formPath,
		about: "The certificate chain in PEM.",
		set:   func(k *checker, v value) { last(k.config.Certificates).CertFile = k.config.resolvePath(v.text) },
	},
	{
		table: "certificate", key: "key_file", kind: textKind, form: formPath,
		about: "The certificate's private key in PEM.",
		set:   func(k *checker, v value) { last(k.config.Certificates).KeyFile = k.config.resolvePath(v.text) },
	},

	{
		table: "access", key: "allow", kind: listKind, form: formPrefix,
		standard: `["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "169.254.0.0/16", "fe80::/10"]`,
		about:    "Clients that are served. The default is loopback, private (RFC 1918, RFC 4193) and link-local networks.",
		set:      func(k *checker, v value) { k.config.Access.Allow = all(k, v, parsePrefix) },
	},
	{
		table: "access", key: "refuse", kind: listKind, form: formPrefix, standard: `[]`,
		about: "Clients that are not served although allow has them.",
		set:   func(k *checker, v value) { k.config.Access.Refuse = all(k, v, parsePrefix) },
	},

	{
		table: "recursion", key: "root_hints", kind: textKind, form: formPath, standard: `""`,
		about: "A file with the names and addresses of root servers, in zone-file form; the path is taken from where this file is. " +
			"Empty: the root hints of IANA, built in. They are only where priming starts (RFC 9609).",
		set: func(k *checker, v value) { k.config.Recursion.RootHints = k.config.resolvePath(v.text) },
	},
	{
		table: "recursion", key: "qname_minimisation", kind: textKind, standard: `"strict"`,
		words: []string{string(Strict), string(Relaxed), string(Off)},
		about: "How much of a name the servers on the way are shown (RFC 9156). strict: one label more at a time, and for long names, " +
			"which would take more than 10 steps, several at once (section 2.3). " +
			"relaxed: the whole name to servers that fail on less. off: the whole name to everybody.",
		set: func(k *checker, v value) { k.config.Recursion.Minimisation = Minimisation(v.text) },
	},
	{
		table: "recursion", key: "ipv4", kind: boolKind, standard: `true`,
		about: "Whether name servers are asked over IPv4.",
		set:   func(k *checker, v value) { k.config.Recursion.IPv4 = v.flag },
	},
	{
		table: "recursion", key: "ipv6", kind: boolKind, standard: `true`,
		about: "Whether name servers are asked over IPv6. Where IPv6 does not work this is found out quickly.",
		set:   func(k *checker, v value) { k.config.Recursion.IPv6 = v.flag },
	},
	{
		table: "recursion", key: "port", kind: numberKind, standard: `53`,
		about: "The port asked at authoritative servers that recursion finds; another one than 53 is for test networks.",
		set:   setPort,
	},
	{
		table: "recursion", key: "local_root", kind: boolKind, standard: `true`,
		about: "Keeps a copy of the root zone, verified by its signatures and digest, and answers from it in place of the root servers (RFC 8806). " +
			"Without effect where root_hints names other root servers, validation is off, or everything is forwarded.",
		set: func(k *checker, v value) { k.config.Recursion.LocalRoot = v.flag },
	},
	{
		table: "recursion", key: "case_randomisation", kind: boolKind, standard: `true`,
		about: "Sends names in random letter case, which a forged reply has to guess (0x20).",
		set:   func(k *checker, v value) { k.config.Recursion.CaseRandomisation = v.flag },
	},
	{
		table: "recursion", key: "encrypt", kind: textKind, standard: `"opportunistic"`,
		words: []string{"off", "opportunistic"},
		about: "Whether authoritative servers are tried over QUIC and TLS, once they have answered and in the background, and asked encrypted where that works (RFC 9539). " +
			"Their certificates are not looked at: it is against those who listen, not against those who interfere.",
		set: func(k *checker, v value) { k.config.Recursion.Encrypt = v.text == "opportunistic" },
	},
	{
		table: "recursion", key: "encrypt_strict", kind: listKind, form: "zone name or address", standard: `[]`,
		about: "Zones, with all below them, and addresses of servers that are never asked in clear: if they cannot be asked encrypted, the answer is SERVFAIL. " +
			"The servers of the zones above still see of a name what leads there.",
		set: setEncryptStrict,
	},
	{
		table: "recursion", key: "allow_special_addresses", kind: boolKind, standard: `false`,
		about: "Lets loopback, private and zero addresses be used as name servers; for test networks.",
		set:   func(k *checker, v value) { k.config.Recursion.AllowSpecialAddresses = v.flag },
	},

	{
		table: "dnssec", key: "validate", kind: boolKind, standard: `true`,
		about: "Whether signatures are checked and answers that fail are withheld.",
		set:   func(k *checker, v value) { k.config.DNSSEC.Validate = v.flag },
	},
	{
		table: "dnssec", key: "trust_anchors", kind: listKind, form: "DS or DNSKEY record", standard: `[]`,
		about: "Where trust starts. Empty: the root's keys of 2017 and 2024, built in.",
		set:   func(k *checker, v value) { k.config.DNSSEC.TrustAnchors = all(k, v, dnssec.ParseTrustAnchor) },
	},
	{
		table: "dnssec", key: "anchor_updates", kind: textKind, standard: `"rfc5011"`, words: []string{"rfc5011", "static"},
		about: "Whether trust anchors follow the keys of their zones (RFC 5011). " +
			"static: only trust_anchors count, for images that are replaced as a whole.",
		set: func(k *checker, v value) { k.config.DNSSEC.StaticAnchors = v.text == "static" },
	},
	{
		table: "dnssec", key: "anchor_file", kind: textKind, form: formPath, standard: `""`,
		about: "Where what is known of trust anchors is kept, so that the 30 days which a new key waits go on after a restart. " +
			"Empty: the file trust-anchors in the directory that STATE_DIRECTORY names, as systemd sets it; without one it is kept in memory.",
		set: func(k *checker, v value) { k.config.DNSSEC.AnchorFile = k.config.resolvePath(v.text) },
	},
	{
		table: "dnssec", key: "negative_trust_anchors", kind: listKind, form: formName, standard: `[]`,
		about: "Zones that are not validated (RFC 7646).",
		set:   func(k *checker, v value) { k.config.DNSSEC.NegativeTrustAnchors = all(k, v, parseName) },
	},
	{
		table: "dnssec", key: "aggressive_nsec", kind: boolKind, standard: `true`,
		about: "Answers from denials that are known already (RFC 8198).",
		set:   func(k *checker, v value) { k.config.DNSSEC.Aggressive = v.flag },
	},
	{
		table: "dnssec", key: "sha1", kind: textKind, standard: `"insecure"`, words: []string{"insecure", "verify"},
		about: "What becomes of signatures of algorithms 5 and 7 and of SHA-1 digests. insecure: as if unsigned (RFC 9905).",
		set:   func(k *checker, v value) { k.config.DNSSEC.VerifySHA1 = v.text == "verify" },
	},
	{
		table: "dnssec", key: "validation_time", kind: textKind, form: "time of RFC 3339", standard: `""`,
		about: "A fixed clock for signatures; for tests. Empty: the clock of the machine.",
		set:   func(k *checker, v value) { k.config.DNSSEC.ValidationTime = one(k, v, parseTime) },
	},

	{
		table: "cache", key: "size", kind: textKind, form: formSize, standard: `"256MiB"`,
		about: "Bytes of memory for what is remembered, 1MiB or more. The process needs some more for itself.",
		set:   func(k *checker, v value) { k.config.Cache.Size = one(k, v, parseSize) },
	},
	{
		table: "cache", key: "min_ttl", kind: textKind, form: formDuration, standard: `"0s"`,
		about: "Keeps records at least that long, whatever their TTL. Above 0s it breaks the word of zones.",
		set:   func(k *checker, v value) { k.config.Cache.MinTTL = one(k, v, parseTTL) },
	},
	{
		table: "cache", key: "max_ttl", kind: textKind, form: formDuration, standard: `"24h"`,
		about: "Keeps records at most that long.",
		set:   func(k *checker, v value) { k.config.Cache.MaxTTL = one(k, v, parseTTL) },
	},
	{
		table: "cache", key: "serve_stale", kind: boolKind, standard: `true`,
		about: "Gives an expired answer, marked as stale, when nobody can be reached (RFC 8767).",
		set:   func(k *checker, v value) { k.config.Cache.ServeStale = v.flag },
	},
	{
		table: "cache", key: "prefetch", kind: boolKind, standard: `true`,
		about: "Refreshes what is asked for again shortly before it expires.",
		set:   func(k *checker, v value) { k.config.Cache.Prefetch = v.flag },
	},
	{
		table: "cache", key: "packets", kind: boolKind, standard: `true`,
		about: "Whether finished answers are kept beside the RRsets that they are made of; false makes every question take the whole path.",
		set:   func(k *checker, v value) { k.config.Cache.Packets = v.flag },
	},
	{
		table: "cache", key: "ttl_blur", kind: boolKind, standard: `true`,
		about: "Shortens TTLs by up to a tenth, so that they do not tell when somebody else asked. Those of zones served here are exact.",
		set:   func(k *checker, v value) { k.config.Cache.BlurTTLs = v.flag },
	},
	{
		table: "cache", key: "shared_after", kind: numberKind, standard: `0`,
		about: "From how many client networks (/24, /56) a question has to come within an hour before those after them are answered with what was found " +
			"for others. Until then, a network's first question is found out once more, so that the time it takes does not tell that somebody else asked. " +
			"0: shared at once.",
		set: setSharedAfter,
	},

	{
		table: "forward", key: "zone", kind: textKind, form: formName,
		about: "The zone, \".\" for everything.",
		set:   func(k *checker, v value) { last(k.config.Forwards).Zone = one(k, v, parseName) },
	},
	{
		table: "forward", key: "upstreams", kind: listKind, form: formUpstream,
		about: "Recursive resolvers. An address alone is asked over plain DNS. tls://ADDRESS, https://ADDRESS/dns-query and " +
			"quic://ADDRESS are asked over DNS over TLS, HTTPS (HTTP/2) and QUIC, and never in clear; odoh://ADDRESS/dns-query is a target of " +
			"Oblivious DoH, asked through proxy. The port is 53, 853, 443, 853 or 443 when left out. What stands behind #, separated by commas, is what the server has to prove: a name that its " +
			"certificate has, as in tls://192.0.2.53#dns.example, a pin of its key, sha256/ and base64, or both. Without a name or " +
			"pin, its certificate must be for the address.",
		set: func(k *checker, v value) { last(k.config.Forwards).Upstreams = some(k, v, parseUpstream) },
	},
	{
		table: "forward", key: "proxy", kind: textKind, form: formOblivious, standard: `""`,
		about: "The proxy of Oblivious DoH (RFC 9230) that takes questions to the upstreams odoh://, written as an upstream: " +
			"https://ADDRESS/dns-query, and behind # what it has to prove. It sees this machine but no question, and the upstream the question but not " +
			"this machine, if the two are not run by the same people. Only the key that questions are sealed to is had from the upstream itself, at most twice a day.",
		set: func(k *checker, v value) { last(k.config.Forwards).Proxy = one(k, v, parseOblivious) },
	},
	{
		table: "forward", key: "ca_file", kind: textKind, form: formPath, standard: `""`,
		about: "PEM certificates of the authorities that vouch for these upstreams and the proxy, in place of the system's.",
		set:   func(k *checker, v value) { last(k.config.Forwards).CAFile = k.config.resolvePath(v.text) },
	},
	{
		table: "forward", key: "first", kind: boolKind, standard: `false`,
		about: "Whether recursion is tried when all upstreams fail: with plain DNS, however the upstreams are asked.",
		set:   func(k *checker, v value) { last(k.config.Forwards).First = v.flag },
	},

	{
		table: "stub", key: "zone", kind: textKind, form: formName,
		about: "The zone.",
		set:   func(k *checker, v value) { last(k.config.Stubs).Zone = one(k, v, parseName) },
	},
	{
		table: "stub", key: "servers", kind: listKind, form: formServer,
		about: "Its authoritative servers; the port is 53 when left out.",
		set:   func(k *checker, v value) { last(k.config.Stubs).Servers = some(k, v, parseServer) },
	},

	{
		table: "odoh", key: "target", kind: boolKind, standard: `false`,
		about: "Whether questions that are sealed to a key of ours are answered, at the addresses of listen.https and listen.http. The key is made at " +
			"the start and anew each day, the former one is good for one day more, and both are in memory alone. Who is served (access.allow) is the " +
			"proxy that brings the questions; the key at /.well-known/odohconfigs is for everybody.",
		set: func(k *checker, v value) { k.config.ODoH.Target = v.flag },
	},
	{
		table: "odoh", key: "proxy", kind: boolKind, standard: `false`,
		about: "Whether clients (access.allow) are taken what they have sealed to the targets below, with nothing added to it.",
		set:   func(k *checker, v value) { k.config.ODoH.Proxy = v.flag },
	},
	{
		table: "odoh", key: "proxy_targets", kind: listKind, form: formOblivious, standard: `[]`,
		about: "The targets that the proxy goes to, written as upstreams are: https://ADDRESS/dns-query#NAME. A client must name NAME (with :PORT where " +
			"that is not 443) and the path, exactly so; without a name, the address. Nothing is looked up for it. This tacit cannot be one of them: " +
			"it would know who asks and what.",
		set: func(k *checker, v value) { k.config.ODoH.Targets = all(k, v, parseOblivious) },
	},
	{
		table: "odoh", key: "proxy_ca_file", kind: textKind, form: formPath, standard: `""`,
		about: "PEM certificates of the authorities that vouch for the targets of the proxy, in place of the system's.",
		set:   func(k *checker, v value) { k.config.ODoH.CAFile = k.config.resolvePath(v.text) },
	},

	{
		table: "zone", key: "name", kind: textKind, form: formName,
		about: "The zone.",
		set:   func(k *checker, v value) { last(k.config.Zones.Files).Origin = one(k, v, parseName) },
	},
	{
		table: "zone", key: "file", kind: textKind, form: formPath,
		about: "Its zone file (RFC 1035 section 5), in which records can be marked as proxied by the comment ; cf_tags=cf-proxied:true " +
			"behind them. It is followed: changes are served within seconds. With primaries, it is where tacit keeps the copy, in a " +
			"directory that it can write to, and need not be there.",
		set: func(k *checker, v value) { last(k.config.Zones.Files).Path = k.config.resolvePath(v.text) },
	},
	{
		table: "zone", key: "primaries", kind: listKind, form: formPrimary, standard: `[]`,
		about: "Servers to transfer the zone from, as a whole or what has changed (AXFR, IXFR). An address alone is asked in clear over TCP, " +
			"and tls://ADDRESS over TLS 1.3 (RFC 9103), never in clear; the port is 53 or 853 when left out. What stands behind #, a name " +
			"or a pin, is what the server has to prove, as in forward.upstreams. That there is something new is heard from them (NOTIFY, RFC 1996) if " +
			"they are served at all (access.allow). Empty: the zone is our own.",
		set: func(k *checker, v value) { last(k.config.Zones.Replicas).Primaries = all(k, v, parsePrimary) },
	},
	{
		table: "zone", key: "key", kind: textKind, form: formName, standard: `""`,
		about: "The name of a [[key]] that stands above: it signs what is said to the primaries, and all that they say must be signed with " +
			"it, NOTIFY too. Empty: nothing is signed, and in clear whoever is on the way can change the zone; NOTIFY is heard from the " +
			"addresses of the primaries.",
		set: func(k *checker, v value) {
			if r := last(k.config.Zones.Replicas); v.text != "" {
				r.Key, r.Signed = one(k, v, parseName), true
			}
		},
	},
	{
		table: "zone", key: "ca_file", kind: textKind, form: formPath, standard: `""`,
		about: "PEM certificates of the authorities that vouch for these primaries, in place of the system's.",
		set:   func(k *checker, v value) { last(k.config.Zones.Replicas).CAFile = k.config.resolvePath(v.text) },
	},

	{
		table: "zones", key: "directory", kind: textKind, form: formPath, standard: `""`,
		about: "Holds more zones: each file that ends in .zone and is called like a zone. It is followed, too. Empty: no more.",
		set:   func(k *checker, v value) { k.config.Zones.Directory = k.config.resolvePath(v.text) },
	},
	{
		table: "zones", key: "keys", kind: textKind, form: formPath, standard: `""`,
		about: "Keeps the private keys of zones whose files say that they are signed; tacit makes them. " +
			"Empty: zone-keys in the directory that STATE_DIRECTORY names, as systemd sets it.",
		set: func(k *checker, v value) { k.config.Zones.KeyFiles = k.config.resolvePath(v.text) },
	},
	{
		table: "zones", key: "nameservers", kind: listKind, form: formName, standard: `[]`,
		about: "The name servers of all zones, in place of the NS and SOA records in their files. Empty: those of the files.",
		set:   func(k *checker, v value) { k.config.Zones.Nameservers = all(k, v, parseName) },
	},
	{
		table: "zones", key: "min_ttl", kind: textKind, form: formDuration, standard: `"30s"`,
		about: "The least TTL that records get by tacit zone, the management API and updates, up to 24h. Zone files may say less.",
		set:   func(k *checker, v value) { k.config.Zones.MinTTL = uint32(one(k, v, parseLeastTTL).Seconds()) },
	},

	{
		table: "key", key: "name", kind: textKind, form: formName,
		about: "The name of the key, which both sides must give it.",
		set:   func(k *checker, v value) { last(k.config.Keys).Name = one(k, v, parseName) },
	},
	{
		table: "key", key: "algorithm", kind: textKind, standard: `"hmac-sha256"`, words: []string{"hmac-sha256", "hmac-sha384", "hmac-sha512"},
		about: "How is signed with it.",
		set:   func(k *checker, v value) { last(k.config.Keys).Algorithm = v.text },
	},
	{
		table: "key", key: "secret_file", kind: textKind, form: formPath,
		about: "A file with the secret in base64, and nothing else, that not everybody can read.",
		set:   func(k *checker, v value) { last(k.config.Keys).SecretFile = k.config.resolvePath(v.text) },
	},

	{
		table: "secondary", key: "key", kind: textKind, form: formName,
		about: "The name of a [[key]] that stands above.",
		set:   func(k *checker, v value) { last(k.config.Secondaries).Key = one(k, v, parseName) },
	},
	{
		table: "secondary", key: "zones", kind: listKind, form: formName, standard: `["."]`,
		about: "Which zones may be transferred: those at and below these names.",
		set:   func(k *checker, v value) { last(k.config.Secondaries).Zones = some(k, v, parseName) },
	},
	{
		table: "secondary", key: "notify", kind: listKind, form: formServer, standard: `[]`,
		about: "Who is told of changes (NOTIFY, RFC 1996), signed with the key; the port is 53 when left out.",
		set:   func(k *checker, v value) { last(k.config.Secondaries).Notify = all(k, v, parseServer) },
	},
	{
		table: "secondary", key: "catalog", kind: textKind, form: formName, standard: `""`,
		about: "The name of a catalog zone (RFC 9432, version 2) of all zones that may be transferred, by which servers of many makes serve them, and " +
			"those to come, without having each configured. Only who signs with the key gets it. Empty: there is none.",
		set: func(k *checker, v value) { last(k.config.Secondaries).Catalog = one(k, v, zone.ParseCatalog) },
	},

	{
		table: "update", key: "key", kind: textKind, form: formName,
		about: "The name of a [[key]] that stands above.",
		set:   func(k *checker, v value) { last(k.config.Grants).Key = one(k, v, parseName) },
	},
	{
		table: "update", key: "zones", kind: listKind, form: formName,
		about: "The zones that may be changed: those at and below these names.",
		set:   func(k *checker, v value) { last(k.config.Grants).Zones = some(k, v, parseName) },
	},
	{
		table: "update", key: "names", kind: listKind, form: "name in a zone, perhaps with *", standard: `["*"]`,
		about: "The names that may be changed, without the zone's. The label * stands for any number of labels, even none, and @ for the " +
			"zone's own name: \"_acme-challenge.*\" is _acme-challenge in a zone, and _acme-challenge.www.",
		set: func(k *checker, v value) { last(k.config.Grants).Names = some(k, v, zone.ParsePattern) },
	},
	{
		table: "update", key: "types", kind: listKind, form: "RR type", standard: `["TXT"]`,
		about: "The types that may be changed, \"ANY\" for all. SOA and what is made by signing never are.",
		set:   func(k *checker, v value) { last(k.config.Grants).Types = some(k, v, zone.ParseChangeable) },
	},
	{
		table: "update", key: "proxied", kind: boolKind, standard: `false`,
		about: "Addresses and CNAMEs that are added at a name that has none are proxied, but for glue; one that cannot be is refused. At a name " +
			"that has some, what is added is proxied if they are, with true and with false. That a name has been proxied is forgotten when " +
			"all its addresses are gone: with false, what is added after that is shown.",
		set: func(k *checker, v value) { last(k.config.Grants).Proxied = v.flag },
	},

	{
		table: "edge", key: "addresses", kind: listKind, form: formAddress, standard: `[]`,
		about: "Addresses given for records that are proxied, in place of theirs. A zone file can name others.",
		set:   func(k *checker, v value) { k.config.Zones.Edge.Addresses = all(k, v, parseAddress) },
	},
	{
		table: "edge", key: "alpn", kind: listKind, form: "protocol", standard: `[]`,
		about: "Protocols that the edge speaks beside HTTP/1.1, such as \"h3\" and \"h2\": proxied names get an HTTPS record that says " +
			"so (RFC 9460). Empty: they get none.",
		set: func(k *checker, v value) { k.config.Zones.Edge.ALPN = all(k, v, parseProtocol) },
	},
	{
		table: "edge", key: "origin_allow", kind: listKind, form: formPrefix, standard: `[]`,
		about: "Addresses that records may have that are proxied, although they are loopback, link-local, the edge's or tacit's own.",
		set:   func(k *checker, v value) { k.config.Zones.Edge.OriginAllow = all(k, v, parsePrefix) },
	},
	{
		table: "edge", key: "partial_suffix", kind: textKind, form: formName, standard: `"."`,
		about: "Below which the names of partial zones are served: www.example.org as www.example.org.SUFFIX, to which the zone that " +
			"is served elsewhere points by a CNAME. \".\": there are no partial zones.",
		set: func(k *checker, v value) { k.config.Zones.Edge.PartialSuffix = one(k, v, parseName) },
	},

	{
		table: "management", key: "listen", kind: textKind, form: formListen, standard: `""`,
		about: "Loopback address and port. Empty: off.",
		set:   setManagementListen,
	},
	{
		table: "management", key: "token_file", kind: textKind, form: formPath, standard: `""`,
		about: "A file with a token of at least 32 characters on each line, which clients send as a bearer token, and behind it, " +
			"perhaps, the only zones that it is for. Others must not be able to read it.",
		set: func(k *checker, v value) { k.config.Management.TokenFile = k.config.resolvePath(v.text) },
	},
	{
		table: "management", key: "max_requests", kind: numberKind, standard: `1200`,
		about: "How many requests a token may make in five minutes. 0: no limit.",
		set:   func(k *checker, v value) { k.config.Management.MaxRequests = limit(k, v) },
	},
	{
		table: "management", key: "max_exchanges", kind: numberKind, standard: `30`,
		about: "How many imports and exports a token may make in a minute: each is a whole zone. 0: no limit.",
		set:   func(k *checker, v value) { k.config.Management.MaxExchanges = limit(k, v) },
	},
	{
		table: "management", key: "max_batch", kind: numberKind, standard: `3500`,
		about: "How many edits one batch may hold. 0: as many as fit into 4 MiB.",
		set:   func(k *checker, v value) { k.config.Management.MaxBatch = limit(k, v) },
	},

	{
		table: "log", key: "level", kind: textKind, standard: `"info"`, words: []string{"error", "warn", "info", "debug"},
		about: "The least important messages that are still written. None holds a name that was asked for or a client, not even of debug.",
		set:   setLevel,
	},

	{
		table: "stats", key: "top", kind: boolKind, standard: `false`,
		about: "Counts from how many client networks (/24, /56) each registrable domain is asked for, and shows the operator (tacit status) once in an hour " +
			"those that at least 50 have asked for, with noise in their numbers.",
		set: func(k *checker, v value) { k.config.Stats.Top = v.flag },
	},

	{
		table: "admin", key: "listen", kind: textKind, form: formListen, standard: `""`,
		about: "Address and port for /metrics, /livez, /readyz and /privacy over HTTP. Empty: off.",
		set:   setAdminListen,
	},
	{
		table: "admin", key: "control", kind: textKind, form: formPath, standard: `""`,
		about: "Unix socket for the commands that talk to a running tacit (flush, nta, status, reload); only its owner may use it. " +
			"Empty: control.sock in the directory that RUNTIME_DIRECTORY names, as systemd sets it; without one there is no socket.",
		set: func(k *checker, v value) { k.config.Admin.Control = k.config.resolvePath(v.text) },
	},
}

func last[T any](list []T) *T { return &list[len(list)-1] }

// setEncryptStrict takes addresses and names: no name of a zone that there is looks like an address.
func setEncryptStrict(k *checker, v value) {
	r := &k.config.Recursion
	for _, either := range all(k, v, parseZoneOrAddress) {
		if either.address.IsValid() {
			r.EncryptedServers = append(r.EncryptedServers, either.address)
		} else {
			r.EncryptedZones = append(r.EncryptedZones, either.zone)
		}
	}
}

func setPort(k *checker, v value) {
	if v.number < 1 || v.number > 65535 {
		k.fail(v.at, "is not a port, 1 to 65535; it is %s", strconv.FormatInt(v.number, 10))
		return
	}
	k.config.Recursion.Port = uint16(v.number)
}

// limit reads a number that is a limit, or 0.
func limit(k *checker, v value) int {
	if v.number < 0 || v.number > math.MaxInt32 {
		k.fail(v.at, "is not a number from 0 to %d; it is %s", math.MaxInt32, strconv.FormatInt(v.number, 10))
		return 0
	}
	return int(v.number)
}

func setSharedAfter(k *checker, v value) {
	if v.number < 0 || v.number > 1000 {
		k.fail(v.at, "is not a number of networks, 0 to 1000; it is %s", strconv.FormatInt(v.number, 10))
		return
	}
	k.config.Cache.SharedAfter = int(v.number)
}

func setManagementListen(k *checker, v value) {
	if v.text == "" {
		return
	}
	at := one(k, v, parseListen)
	if at.IsValid() && !at.Addr().IsLoopback() {
		k.fail(v.at, "is not a loopback address: what is said there is not encrypted")
	}
	k.config.Management.Listen = at
}

func setAdminListen(k *checker, v value) {
	if v.text != "" {
		k.config.Admin.Listen = one(k, v, parseListen)
	}
}

var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

func setLevel(k *checker, v value) {
	if err := k.config.Log.Level.UnmarshalText([]byte(v.text)); err != nil {
		k.config.Log.Level = slog.LevelInfo // not reached: words lists the levels
	}
}
