package transports

import (
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"tacit/internal/wire"
)

// The JSON form of DoH is no standard; it is what Google and Cloudflare agree on: parameters name, type, do and cd, and
// an answer of type application/dns-json. Unknown parameters are left alone.

const jsonType = "application/dns-json"

var errJSONQuery = errors.New("no question in name, type, do and cd")

// readJSON makes a message of the parameters.
func readJSON(values url.Values) ([]byte, error) {
	name, qtype := dns.Fqdn(values.Get("name")), typeByName(values.Get("type"))
	_, valid := dns.IsDomainName(name)
	do, doOK := flagByName(values.Get("do"))
	cd, cdOK := flagByName(values.Get("cd"))
	if len(name) > maxPresentation || !valid || qtype == dns.TypeNone || !doOK || !cdOK {
		return nil, errJSONQuery
	}
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.Id, m.AuthenticatedData, m.CheckingDisabled = 0, true, cd
	m.SetEdns0(udpSize, do)
	return m.Pack()
}

// maxPresentation is the longest name of 255 octets when each is written as \DDD.
const maxPresentation = 4 * wire.MaxNameLength

// typeByName reads a type as a mnemonic in any letter case, as TYPE123 or as a number; A when there is none.
func typeByName(text string) uint16 {
	text = strings.ToUpper(text)
	if t, ok := dns.StringToType[text]; ok {
		return t
	}
	if text == "" {
		return dns.TypeA
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "TYPE"), 10, 16)
	if err != nil {
		return dns.TypeNone
	}
	return uint16(n)
}

func flagByName(text string) (set, ok bool) {
	switch strings.ToLower(text) {
	case "", "0", "false":
		return false, true
	case "1", "true":
		return true, true
	default:
		return false, false
	}
}

// A jsonForm is an answer as JSON.
type jsonForm struct{}

type jsonAnswer struct {
	Status     int
	TC         bool
	RD         bool
	RA         bool
	AD         bool
	CD         bool
	Question   []jsonQuestion
	Answer     []jsonRecord `json:",omitempty"`
	Authority  []jsonRecord `json:",omitempty"`
	Additional []jsonRecord `json:",omitempty"`
	Errors     []jsonError  `json:"extended_dns_errors,omitempty"`
}

type jsonQuestion struct {
	Name string `json:"name"`
	Type uint16 `json:"type"`
}

type jsonRecord struct {
	Name string `json:"name"`
	Type uint16 `json:"type"`
	TTL  uint32
	Data string `json:"data"`
}

type jsonError struct {
	Code uint16 `json:"info_code"`
	Text string `json:"extra_text,omitempty"`
}

func (jsonForm) render(answer []byte) ([]byte, string, bool) {
	var m dns.Msg
	if m.Unpack(answer) != nil {
		return nil, "", false // RDATA that cannot be presented
	}
	body, err := json.Marshal(describe(&m))
	return padJSON(body), jsonType, err == nil
}

// padJSON appends white space, so that lengths say as little here as in the other form.
func padJSON(body []byte) []byte {
	return append(body, strings.Repeat(" ", (paddedTo-len(body)%paddedTo)%paddedTo)...)
}

func describe(m *dns.Msg) *jsonAnswer {
	a := &jsonAnswer{
		Status: m.Rcode, TC: m.Truncated, RD: m.RecursionDesired, RA: m.RecursionAvailable,
		AD: m.AuthenticatedData, CD: m.CheckingDisabled,
		Answer: describeRecords(m.Answer), Authority: describeRecords(m.Ns), Additional: describeRecords(m.Extra),
	}
	for _, q := range m.Question {
		a.Question = append(a.Question, jsonQuestion{q.Name, q.Qtype})
	}
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				a.Errors = append(a.Errors, jsonError{e.InfoCode, e.ExtraText})
			}
		}
	}
	return a
}

func describeRecords(records []dns.RR) []jsonRecord {
	var list []jsonRecord
	for _, rr := range records {
		h := rr.Header()
		if h.Rrtype == dns.TypeOPT {
			continue
		}
		data := strings.TrimPrefix(rr.String(), h.String())
		list = append(list, jsonRecord{h.Name, h.Rrtype, h.Ttl, data})
	}
	return list
}

var (
	_ form = messageForm{}
	_ form = jsonForm{}
)
