package management

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// What the API shows of RDATA, and what clients send, are two ways to say the same.
func TestContents(t *testing.T) {
	for _, test := range []struct {
		kind, presentation string
		content            string
		priority           int // -1: none
		data               string
	}{
		{"A", "192.0.2.1", "192.0.2.1", -1, ""},
		{"AAAA", "2001:db8::1", "2001:db8::1", -1, ""},
		{"CNAME", "www.example.com.", "www.example.com", -1, ""},
		{"NS", "ns.example.com.", "ns.example.com", -1, ""},
		{"MX", "10 mail.example.com.", "mail.example.com", 10, ""},
		{"MX", "0 .", ".", 0, ""},
		{"TXT", `"v=spf1 -all"`, `"v=spf1 -all"`, -1, ""},
		{"TXT", `"one" "two \" more"`, `"one" "two \" more"`, -1, ""},
		{"SRV", "10 20 5060 sip.example.com.", "20 5060 sip.example.com", 10, `{"priority":10,"weight":20,"port":5060,"target":"sip.example.com"}`},
		{"URI", `10 1 "https://example.com/"`, `1 "https://example.com/"`, 10, `{"priority":10,"weight":1,"target":"https://example.com/"}`},
		{"CAA", `0 issue "ca.example.net"`, `0 issue "ca.example.net"`, -1, `{"flags":0,"tag":"issue","value":"ca.example.net"}`},
		{"HTTPS", `1 . alpn="h2"`, `1 . alpn="h2"`, -1, `{"priority":1,"target":".","value":"alpn=\"h2\""}`},
		{"HTTPS", `0 www.example.com.`, `0 www.example.com`, -1, `{"priority":0,"target":"www.example.com","value":""}`},
		{"TLSA", "3 1 1 0123 4567", "3 1 1 0123 4567", -1, `{"usage":3,"selector":1,"matching_type":1,"certificate":"0123 4567"}`},
		{"SSHFP", "4 2 abcdef", "4 2 abcdef", -1, `{"algorithm":4,"type":2,"fingerprint":"abcdef"}`},
		{"DS", "1 13 2 00ff", "1 13 2 00ff", -1, `{"key_tag":1,"algorithm":13,"digest_type":2,"digest":"00ff"}`},
		{
			"NAPTR", `10 20 "S" "SIP+D2U" "" _sip._udp.example.com.`, `10 20 "S" "SIP+D2U" "" _sip._udp.example.com`, -1,
			`{"order":10,"preference":20,"flags":"S","service":"SIP+D2U","regex":"","replacement":"_sip._udp.example.com"}`,
		},
		{"TYPE65280", `\# 2 0102`, `\# 2 0102`, -1, ""},
		{"LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m", -1, ""},
	} {
		content, priority, data := shown(&Record{Type: test.kind, Content: test.presentation})
		if content != test.content || (priority == nil) != (test.priority < 0) || priority != nil && int(*priority) != test.priority {
			t.Errorf("%s %s is shown as %s, %v", test.kind, test.presentation, content, priority)
		}
		if back, err := presented(test.kind, content, priority, nil); err != nil || back != test.presentation {
			t.Errorf("%s %s comes back as %s, %v", test.kind, content, back, err)
		}
		var want, sent map[string]json.RawMessage
		got, _ := json.Marshal(data)
		if test.data == "" {
			if data != nil {
				t.Errorf("%s has data: %s", test.kind, got)
			}
			continue
		}
		if err := json.Unmarshal([]byte(test.data), &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &sent); err != nil || len(sent) != len(want) {
			t.Errorf("%s: data %s, want %s", test.kind, got, test.data)
		}
		for name := range want {
			if string(want[name]) != string(sent[name]) {
				t.Errorf("%s: %s is %s, want %s", test.kind, name, sent[name], want[name])
			}
		}
		if back, err := presented(test.kind, "", nil, want); err != nil || back != test.presentation {
			t.Errorf("%s: data come back as %s, %v", test.kind, back, err)
		}
	}
}

// What clients leave out or write as they please.
func TestSentContents(t *testing.T) {
	ten := uint16(10)
	for _, test := range []struct {
		kind, content string
		priority      *uint16
		data, want    string // want begins with "error" where it is refused
	}{
		{"TXT", "plain words", nil, "", `"plain words"`},
		{"TXT", strings.Repeat("x", 300), nil, "", `"` + strings.Repeat("x", 255) + `" "` + strings.Repeat("x", 45) + `"`},
		{"TXT", `say "this"`, nil, "", `"say \"this\""`},
		{"TXT", "ä", nil, "", `"\195\164"`},
		{"TXT", "", nil, "", `""`},
		{"MX", "mail.example.com.", &ten, "", "10 mail.example.com."},
		{"MX", "20 mail.example.com", nil, "", "20 mail.example.com."},
		{"MX", "mail.example.com", nil, "", "error"},
		{"SRV", "", &ten, `{"weight":"5","port":443,"target":"a.example."}`, "10 5 443 a.example."},
		{"SRV", "", nil, `{"weight":5,"port":443,"target":"a.example."}`, "error"},
		{"SRV", "", nil, `{"priority":1,"weight":5,"port":70000,"target":"a.example."}`, "error"},
		{"SRV", "", nil, `{"priority":1,"weight":5,"port":[],"target":"a.example."}`, "error"},
		{"CAA", "", nil, `{"flags":0,"tag":"issue","value":"a\"b"}`, `0 issue "a\"b"`},
	} {
		var data map[string]json.RawMessage
		if test.data != "" {
			if err := json.Unmarshal([]byte(test.data), &data); err != nil {
				t.Fatal(err)
			}
		}
		got, err := presented(test.kind, test.content, test.priority, data)
		if err != nil {
			got = "error"
		}
		if got != test.want {
			t.Errorf("%s %q %s: %s, want %s", test.kind, test.content, test.data, got, test.want)
		}
	}
}

// Times have microseconds, as clients know them.
func TestTimes(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 123456789, time.FixedZone("", 3600))
	text, err := json.Marshal(formOf(new(Zone), &Record{Modified: at}))
	if err != nil || strings.Count(string(text), `"2026-11-22T09:00:00.123456Z"`) != 2 {
		t.Errorf("%s, %v", text, err)
	}
}
