package statement

import (
	"cmp"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

// A section is a part of the statement for people.
type section struct {
	Title string
	Rows  []row
}

type row struct{ Key, Value string }

// sections are the statement in the order of RFC 8932 section 6.1.
func (s *Statement) sections() []section {
	p, o, a := &s.Policy, &s.Policy.Operator, &s.Accountability
	return []section{
		{"Policy", []row{
			{"client addresses", p.Addresses},
			{"collection", p.Collection},
			{"retention", p.Retention},
			{"sharing", p.Sharing},
			{"correlation", p.Correlation},
			{"exceptions", strings.Join(p.Exceptions, "; ")},
			{"result filtering", p.Filtering},
		}},
		{"Operator", []row{
			{"name", o.Name},
			{"jurisdiction", o.Jurisdiction},
			{"contact", o.Contact},
			{"partners", strings.Join(o.Partners, "; ")},
			{"packet capture", o.PacketCapture},
			{"fronted by", o.FrontedBy},
		}},
		{"Deviations", s.deviations()},
		{"Debug sessions of the last 30 days", s.sessions()},
		{"Where data of clients can go", s.places()},
		{"For clients", s.forClients()},
		{"Upstream", s.upstream()},
		{"Accountability", []row{
			{"version", a.Version},
			{"build", a.Build},
			{"configuration (SHA-256)", a.Configuration},
			{"leak audit", a.Audit},
			{"repeat it", a.Repeat},
			{"serial", fmt.Sprint(s.Serial)},
			{"digest (SHA-256)", s.Digest},
		}},
		{"Observed", s.observed()},
	}
}

var nothing = []row{{"none", ""}}

func (s *Statement) deviations() []row {
	var rows []row
	for _, d := range s.Practice.Deviations {
		text := d.About
		if d.Accepted {
			text += " (accepted by the operator)"
		}
		rows = append(rows, row{strings.TrimSpace(d.Key + " = " + d.Value), text})
	}
	if rows == nil {
		return nothing
	}
	return rows
}

func (s *Statement) sessions() []row {
	var rows []row
	for _, d := range s.Practice.DebugSessions {
		rows = append(rows, row{
			d.Since.UTC().Format(time.RFC3339) + " to " + d.Until.UTC().Format(time.RFC3339), fmt.Sprintf("%d queries matched: %s", d.Matched, d.Reason),
		})
	}
	if rows == nil {
		return nothing
	}
	return rows
}

func (s *Statement) places() []row {
	var rows []row
	for _, p := range s.Practice.Places {
		state := "off"
		if p.On {
			state = "on"
		}
		rows = append(rows, row{p.Name, fmt.Sprintf("%s. Holds: %s. For how long: %s.", state, p.Holds, p.Lifetime)})
	}
	return rows
}

func (s *Statement) forClients() []row {
	var rows []row
	for _, t := range s.Practice.Clients.Transports {
		text := "in clear"
		if t.Encrypted {
			text = fmt.Sprintf("TLS %s or later, padded to %d octets, session tickets: %s, 0-RTT: %s", t.TLS, t.Padding, yes(t.Tickets), yes(t.EarlyData))
		}
		rows = append(rows, row{t.Name, text})
	}
	for _, c := range s.Practice.Clients.Certificates {
		rows = append(rows, row{"certificate", fmt.Sprintf("%s, until %s, pin %s", strings.Join(c.Names, " "), c.Until.UTC().Format(time.RFC3339), c.Pin)})
	}
	return append(rows, row{"cache snooping", s.Practice.Clients.Snooping}, row{"DNS cookies", s.Practice.Clients.Cookies},
		row{"roles of Oblivious DoH", cmp.Or(strings.Join(s.Practice.Clients.Oblivious, ", "), "none")},
		row{"HTTP headers", strings.Join(s.Practice.Clients.HTTPHeaders, ", ")},
		row{"DNSSEC", "validated: " + yes(s.Practice.DNSSEC.Validated) + ", trust anchors: " + s.Practice.DNSSEC.Anchors})
}

func (s *Statement) upstream() []row {
	u := &s.Practice.Upstream
	rows := []row{
		{"QNAME minimisation", u.Minimisation},
		{"client subnet", u.ClientSubnet},
		{"copy of the root zone", yes(u.LocalRoot)},
		{"encryption to authoritative servers", u.Encryption},
		{"denials that are known answer", yes(u.Aggressive)},
		{"letter case", u.LetterCase},
		{"telemetry", u.Telemetry},
	}
	for _, f := range u.Forwards {
		what := "a zone of the operator's"
		if f.Everything {
			what = "everything, to " + strings.Join(f.To, " ")
		}
		rows = append(rows, row{"forwarded", what + "; encrypted: " + yes(f.Encrypted) + ", oblivious: " + yes(f.Oblivious)})
	}
	return rows
}

func (s *Statement) observed() []row {
	share := "not known"
	if e := s.Observed.EncryptedShare; e != nil {
		share = fmt.Sprintf("%.0f %%", 100**e)
	}
	return []row{
		{"at", s.Observed.At.UTC().Format(time.RFC3339)},
		{"there is a copy of the root zone", yes(s.Observed.RootCopied)},
		{"queries to other servers that were encrypted, in an hour", share},
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// WriteText writes the statement for a terminal.
func (s *Statement) WriteText(w io.Writer) error {
	var b strings.Builder
	for i, part := range s.sections() {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(part.Title + "\n")
		for _, r := range part.Rows {
			b.WriteString("  " + strings.TrimSuffix(r.Key+": "+r.Value, ": ") + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// page needs nothing else: no script, no style sheet, no image.
var page = template.Must(template.New("privacy").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Privacy statement</title></head>
<body><h1>Privacy statement of this resolver</h1>
<p>Made by the resolver from its running configuration, as RFC 8932 section 6 asks. For programs: <a href="/privacy.json">privacy.json</a>.</p>
{{range .}}<h2>{{.Title}}</h2>
<dl>{{range .Rows}}<dt><b>{{.Key}}</b></dt><dd>{{.Value}}</dd>
{{end}}</dl>
{{end}}</body></html>
`))

// HTML is the statement for a browser.
func (s *Statement) HTML() []byte {
	var b strings.Builder
	if err := page.Execute(&b, s.sections()); err != nil {
		panic("statement: " + err.Error()) // the template is ours
	}
	return []byte(b.String())
}
