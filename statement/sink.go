package statement

// A Sink is one of all places that data of clients, or what looks like it, can go to. Which file of tacit leads to which of them is in
// internal/arch/sinks_test.go: who writes code that gets at such data, or lets something out of the process, decides there, and here.
type Sink uint8

// Sinks.
const (
	Messages      Sink = iota // buffers of queries and answers
	Connections               // open ones
	Limits                    // on what clients may take, and who has asked for what is shared
	FailingZones              // counted by client networks
	PopularZones              // counted by client networks
	Resolutions               // under way
	CacheMemory               // names and answers
	Authoritative             // servers that recursion asks
	Forwarders                // stubs and targets of Oblivious DoH: servers that the operator names
	FrontProxies              // reverse proxies and load balancers
	OwnTerminal               // what the operator asks for by a command
	DebugSessions             // watched names
	LogLines                  // standard error
	MetricCounts              // over HTTP
	StatusAnswers             // of the control socket
	ZonePartners              // primaries, secondaries and who updates zones
	Files                     // that tacit writes
	Authorities               // ACME
	Management                // API
	Pages                     // this statement, and what the resolver says of itself
	Host                      // the machine and its network
	sinkCount
)

var sinks = [sinkCount]Place{
	Messages:      {Name: "messages in flight", Holds: "address, question and answer", Lifetime: "until the answer is sent, at most some seconds; the buffers are cleared"},
	Connections:   {Name: "open connections", Holds: "address", Lifetime: "as long as the connection is open; idle ones are closed after 10 to 30 s"},
	Limits:        {Name: "limits for clients", Holds: "keyed hash of the /24 or /56; with cache.shared_after, keyed hashes of questions and of who has asked them, too", Lifetime: "at most an hour, when the key is replaced"},
	FailingZones:  {Name: "zones that fail", Holds: "keyed hash of the registrable domain and one bit for a /24 or /56; from 20 of them that have met the same failure on, the domain, which the operator is shown", Lifetime: "an hour, when the keys are replaced; a flush wipes it"},
	PopularZones:  {Name: "popular domains", Holds: "keyed hashes of the whole name and of the registrable domain and a bit for each /24 or /56; from 50 of them that have asked for it on, the domain, which the operator is shown once in an hour, with noise", Lifetime: "an hour, when the keys are replaced; what is shown, an hour more; a flush wipes both"},
	Resolutions:   {Name: "resolutions under way", Holds: "name and type, no address", Lifetime: "8 s at most"},
	CacheMemory:   {Name: "cache in memory", Holds: "names and answers, no address", Lifetime: "the TTL within the bounds of [cache], and as stale answers; a flush wipes it"},
	Authoritative: {Name: "authoritative servers", Holds: "name and type as far as each must know them, from tacit's own address", Lifetime: "theirs to decide"},
	Forwarders:    {Name: "servers named by the operator", Holds: "whole name and type, from tacit's own address; as a proxy of Oblivious DoH, what is sealed for another", Lifetime: "theirs to decide"},
	FrontProxies:  {Name: "reverse proxies and load balancers", Holds: "address; behind a reverse proxy question and answer, too", Lifetime: "theirs to decide; see fronted_by"},
	OwnTerminal:   {Name: "the operator's terminal", Holds: "what the operator has asked for by a command; no question of others", Lifetime: "the command"},
	DebugSessions: {Name: "debug sessions", Holds: "queries for one name, clients as c1, c2...", Lifetime: "30 min at most; on a terminal, in no file"},
	LogLines:      {Name: "log", Holds: "no name that was asked for and no client, at any level", Lifetime: "the operator's to decide"},
	MetricCounts:  {Name: "metrics", Holds: "counts under constant labels, of ten seconds each", Lifetime: "the operator's to decide"},
	StatusAnswers: {Name: "control socket", Holds: "counts, zones that the operator named, zones that fail for 20 client networks, and popular domains", Lifetime: "the command"},
	ZonePartners:  {Name: "partners of served zones", Holds: "contents of zones served here; no question", Lifetime: "theirs to decide"},
	Files:         {Name: "files", Holds: "zones, their keys, trust anchors and certificates; no question and no client", Lifetime: "the operator's to decide"},
	Authorities:   {Name: "certificate authority", Holds: "names of this resolver", Lifetime: "public"},
	Management:    {Name: "management API", Holds: "contents of zones served here; no question", Lifetime: "the request"},
	Pages:         {Name: "what the resolver tells of itself", Holds: "this statement, and how the resolver is reached", Lifetime: "public"},
	Host:          {Name: "the machine and its network", Holds: "packets with addresses and, in clear transports, questions", Lifetime: "see packet_capture; tacit forbids core dumps of itself"},
}

// Sinks lists all of them.
func Sinks() []Sink {
	list := make([]Sink, sinkCount)
	for i := range list {
		list[i] = Sink(i)
	}
	return list
}

// Places describes all sinks; on says which of them something can go to.
func Places(on func(Sink) bool) []Place {
	list := make([]Place, 0, sinkCount)
	for i, p := range sinks {
		p.On = on(Sink(i))
		list = append(list, p)
	}
	return list
}
