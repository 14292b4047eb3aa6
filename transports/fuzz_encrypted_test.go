package transports

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	proxyproto "github.com/pires/go-proxyproto"

	"tacit/internal/wire"
)

// fuzzedDoH sends a request through the whole of DoH, and returns the answer.
func fuzzedDoH(t *testing.T, method, query string, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	s := newServer(Options{})
	defer s.front.cancel()
	s.front.responder, s.front.admitter = alternating, everybody{}
	c := newConnection(s.front, HTTPS, client1.Addr())
	defer c.stop()
	r := httptest.NewRequestWithContext(withConnection(context.Background(), c), method, "https://"+abuseName+Path, bytes.NewReader(body))
	r.URL.RawQuery = query
	if body != nil {
		r.Header.Set("Content-Type", messageType)
	}
	w := httptest.NewRecorder()
	(&doh{front: s.front}).ServeHTTP(w, r)
	s.front.resolutions.Wait()
	if s.Counters(HTTPS).Panics.Load() != 0 || inUse(s) != 0 || c.pending.Load() != 0 {
		t.Fatal("a panic, or something is left behind")
	}
	return w
}

// soundDoH holds an answer to a message: 200 with a message of the same ID, or 400 for what is no query.
func soundDoH(t *testing.T, w *httptest.ResponseRecorder, message []byte) {
	t.Helper()
	var q wire.Query
	if verdict := q.Parse(message); verdict == wire.Drop != (w.Code == http.StatusBadRequest) {
		t.Fatalf("verdict %v, status %d", verdict, w.Code)
	}
	if w.Code == http.StatusBadRequest {
		return
	}
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != messageType {
		t.Fatal(w.Code, w.Header())
	}
	if m := sound(t, w.Body.Bytes()); m.Id != binary.BigEndian.Uint16(message) {
		t.Fatal("the ID is another")
	}
}

// RFC 8484 section 4.1.1: the parameter dns is base64url without padding. Whatever is in it, it is decoded as encoding/base64
// does it, or refused, and what is decoded is answered.
func FuzzDoHGET(f *testing.F) {
	for _, message := range [][]byte{
		ask(0, "a.example."), ask(9, "ab.example.", edns(1232)), ask(0, "a.example.", func(m *dns.Msg) { m.Response = true }),
		make([]byte, 11), make([]byte, 12), make([]byte, 1536), make([]byte, 1537),
		bytes.Repeat([]byte{0xfb, 0xff, 0xfe}, 4),
	} {
		encoded := base64.RawURLEncoding.EncodeToString(message)
		f.Add(encoded)
		f.Add(base64.URLEncoding.EncodeToString(message))
		f.Add(base64.StdEncoding.EncodeToString(message))
		f.Add(encoded + "=&dns=" + encoded)
		f.Add(encoded[:len(encoded)/2] + "\n" + encoded[len(encoded)/2:])
	}
	f.Fuzz(func(t *testing.T, value string) {
		unpadded := strings.TrimRight(value, "=")
		want, err := base64.URLEncoding.DecodeString(unpadded + strings.Repeat("=", -len(strings.NewReplacer("\r", "", "\n", "").Replace(unpadded))&3))
		good := err == nil && len(want) >= wire.HeaderLength && len(value) <= maxGETValue
		got, err := decodeGET(value)
		if good != (err == nil) || good && !bytes.Equal(got, want) {
			t.Fatalf("%x, %v, want %x, %v", got, err, want, good)
		}
		query := url.Values{"dns": {value}}.Encode()
		r, status := readGET(query)
		if good != (status == http.StatusOK) || !bytes.Equal(r.message, got) {
			t.Fatalf("status %d, message %x, want %x", status, r.message, got)
		}
		w := fuzzedDoH(t, http.MethodGet, query, nil)
		if good {
			soundDoH(t, w, got)
		} else if w.Code != http.StatusBadRequest {
			t.Fatal(w.Code)
		}
		fuzzedDoH(t, http.MethodGet, value, nil) // the value as the whole query
	})
}

// RFC 8484 section 4.1: a POST's body is the message.
func FuzzDoHPOST(f *testing.F) {
	f.Add(ask(0, "a.example."))
	f.Add(ask(1, "ab.example.", edns(1232)))
	f.Add(ask(0, "a.example.", qtype(dns.TypeANY)))
	f.Add(make([]byte, 11))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) <= 1<<12 {
			soundDoH(t, fuzzedDoH(t, http.MethodPost, "", bytes.Clone(body)), body)
		}
	})
}

// What readJSON accepts is a question for the name and the type that were meant, and its answer is JSON.
func FuzzJSON(f *testing.F) {
	f.Add("a.example", "", "", "", "name=a.example")
	f.Add("ab.example.", "AAAA", "1", "true", "name=a.example&type=255&name=b.example")
	f.Add(`\000\".exam\.ple`, "TYPE65535", "false", "0", "name=%00&type=TYPE0")
	f.Add(".", "65536", "x", "2", "name=.&do=1;cd=1")
	f.Add(strings.Repeat(`\001`, 63)+".example", "axfr", "", "", "name="+strings.Repeat("a.", 128))
	f.Add("bücher.example", "https", "", "", "dns=&name=a")
	f.Fuzz(func(t *testing.T, name, qtype, do, cd, query string) {
		values := url.Values{"name": {name}, "type": {qtype}, "do": {do}, "cd": {cd}}
		message, err := readJSON(values)
		w := fuzzedDoH(t, http.MethodGet, values.Encode(), nil)
		switch {
		case err != nil && w.Code != http.StatusBadRequest:
			t.Fatal("refused, but the status is ", w.Code)
		case err == nil:
			soundJSON(t, w, message, name)
		}
		if w := fuzzedDoH(t, http.MethodGet, query, nil); w.Code == http.StatusOK && w.Header().Get("Content-Type") == jsonType {
			soundJSON(t, w, nil, "")
		}
	})
}

// soundJSON holds an answer in JSON to the message that was made for it, if that is given.
func soundJSON(t *testing.T, w *httptest.ResponseRecorder, message []byte, name string) {
	t.Helper()
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != jsonType {
		t.Fatal(w.Code, w.Header())
	}
	var answer jsonAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%v: %q", err, w.Body)
	}
	if message == nil {
		return
	}
	var q wire.Query
	if q.Parse(message) == wire.Drop {
		t.Fatalf("no query: %x", message)
	}
	var m dns.Msg
	if err := m.Unpack(message); err != nil || len(m.Question) != 1 || m.Id != 0 {
		t.Fatal(err, m)
	}
	// Both spellings of a name make the same octets, or the question is not what was meant.
	want, got := make([]byte, 256), make([]byte, 256)
	n, err := dns.PackDomainName(dns.Fqdn(name), want, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	k, err := dns.PackDomainName(m.Question[0].Name, got, 0, nil, false)
	if err != nil || !bytes.Equal(want[:n], got[:k]) {
		t.Fatalf("asked for %q, and the message says %q", name, m.Question[0].Name)
	}
	if len(answer.Question) != 1 || answer.Question[0].Type != m.Question[0].Qtype {
		t.Fatalf("the answer is to another question: %s", w.Body)
	}
}

// Pieces is a stream that gives its octets in pieces of a size, and the end together with the last of them, or behind it.
type pieces struct {
	rest     []byte
	size     int
	together bool
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(len(p.rest), p.size)])
	if p.rest = p.rest[n:]; len(p.rest) == 0 && p.together {
		return n, io.EOF
	}
	return n, nil
}

// RFC 9250 section 4.2: a stream has one message behind its length, and its end; section 4.2.1: the ID is zero.
func FuzzDoQ(f *testing.F) {
	query := framed(ask(0, "a.example."))
	f.Add(query, 1, 0, false)
	f.Add(query, 1000, 1024, true)
	f.Add(query[:len(query)-1], 7, 5, true)
	f.Add(append(bytes.Clone(query), query...), 3, 2, false)
	f.Add(framed(ask(1, "a.example.")), 2, 3, true)
	f.Add(framed(make([]byte, 1022)), 999, 99, false) // as long as is taken, and longer
	f.Add(framed(make([]byte, 1023)), 999, 99, true)
	f.Add([]byte{0, 0}, 1, 1, true)
	f.Add([]byte{0, 1, 0}, 1, 1, true)
	f.Fuzz(func(t *testing.T, octets []byte, size, room int, together bool) {
		const most = 1 << 10 // in place of 64 KiB
		c := &connection{}
		stream := &pieces{rest: octets, size: 1 + size&0xff, together: together}
		got, err := readUpTo(stream, make([]byte, 0, room&0xfff), most, c)
		if held := c.bodies.Load(); held != 0 {
			t.Fatal("still counted: ", held)
		}
		if tooLong := len(octets) > most; tooLong {
			if !errors.Is(err, errTooLong) || !bytes.HasPrefix(octets, got) {
				t.Fatal("taken: ", len(got), err)
			}
			return
		}
		if err != nil || !bytes.Equal(got, octets) {
			t.Fatalf("%x, %v", got, err)
		}
		msg, ok := unframe(got)
		whole := len(octets) >= frameLength && int(binary.BigEndian.Uint16(octets)) == len(octets)-frameLength
		if ok != whole || ok && !bytes.Equal(msg, octets[frameLength:]) {
			t.Fatalf("message %x, %v", msg, ok)
		}
		if ok && mayComeByQUIC(msg) != (len(msg) >= 2 && binary.BigEndian.Uint16(msg) == 0) {
			t.Fatal("the ID is not looked at")
		}
	})
}

// The PROXY protocol, section 2.2: what is behind the header is the message, on a connection as in a datagram, and the client
// is where the header says.
func FuzzProxy(f *testing.F) {
	source, target := net.TCPAddrFromAddrPort(client1), net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.2:53"))
	source6 := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("[2001:db8::1]:5300"))
	message := ask(1, "a.example.")
	for _, h := range []*proxyproto.Header{
		proxyproto.HeaderProxyFromAddrs(2, source, target),
		proxyproto.HeaderProxyFromAddrs(1, source, target),
		proxyproto.HeaderProxyFromAddrs(2, source6, source6),
		{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC},
	} {
		header, err := h.Format()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(slices.Concat(header, message), 1)
		f.Add(bytes.Clone(header[:len(header)-1]), 100)
		header[15] += 9 // type-length-values
		f.Add(slices.Concat(header, message), 5)
	}
	f.Add(append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x08\x00"), make([]byte, 3<<10)...), 1000) // more than is buffered
	f.Fuzz(func(t *testing.T, octets []byte, size int) {
		proxy := netip.MustParseAddr("192.0.2.99")
		addr, msg, err := cutProxyHeader(bytes.Clone(octets), proxy)
		switch want, rest, ok := proxyHeaderByHand(octets, proxy); {
		case err == nil && (!ok || addr != want || !bytes.Equal(msg, rest)):
			t.Fatalf("client %v, message %x, want %v, %x, %v", addr, msg, want, rest, ok)
		case err != nil && ok && len(octets)-len(rest) == 16+int(octets[15]) && isPlainHeader(octets[:16]):
			t.Fatal("refused: ", err)
		}
		if header, e := proxyproto.Read(bufio.NewReader(bytes.NewReader(octets))); err == nil && (e != nil || header.Version != 2) {
			t.Fatal("taken, but no header of version 2")
		}
		fuzzProxiedConn(t, octets, 1+size&0xfff, addr, msg, err)
	})
}

// proxyHeaderByHand reads a header in the simplest way there is.
func proxyHeaderByHand(octets []byte, proxy netip.Addr) (addr netip.Addr, rest []byte, ok bool) {
	if len(octets) < 16 || string(octets[:12]) != "\r\n\r\n\x00\r\nQUIT\n" || octets[12]>>4 != 2 {
		return addr, nil, false
	}
	length := int(binary.BigEndian.Uint16(octets[14:]))
	if len(octets) < 16+length {
		return addr, nil, false
	}
	block := octets[16 : 16+length]
	switch family := octets[13] >> 4; {
	case octets[12]&15 == 0:
		return proxy, octets[16+length:], true
	case octets[12]&15 == 1 && family == 1 && len(block) >= 12:
		addr = netip.AddrFrom4([4]byte(block))
	case octets[12]&15 == 1 && family == 2 && len(block) >= 36:
		addr = netip.AddrFrom16([16]byte(block)).Unmap()
	default:
		return addr, nil, false
	}
	return addr, octets[16+length:], true
}

// isPlainHeader reports whether a header has just the addresses of TCP or UDP, and so has to be taken.
func isPlainHeader(header []byte) bool {
	protocol := header[13] & 15
	return header[12] == 0x21 && (protocol == 1 || protocol == 2) && header[14] == 0 &&
		(header[13]>>4 == 1 && header[15] == 12 || header[13]>>4 == 2 && header[15] == 36)
}

// fuzzProxiedConn reads the same octets from a connection: who serves it finds there what is behind the header, all of it.
func fuzzProxiedConn(t *testing.T, octets []byte, size int, addr netip.Addr, msg []byte, cutErr error) {
	server := newServer(Options{Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}})
	defer server.front.cancel()
	l := server.tcpListener(nil, TCP)
	l.proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
	s := l.admit(&tape{in: bytes.Clone(octets), piece: size})
	defer func() { _ = s.Close() }()
	err := s.readProxyHeader()
	if (err == nil) != (cutErr == nil) {
		t.Fatalf("on a connection %v, in a datagram %v", err, cutErr)
	}
	if err != nil {
		return
	}
	rest, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(rest, msg) {
		t.Fatalf("on a connection %x, in a datagram %x", rest, msg)
	}
	if local := octets[12]&15 == 0; !local && s.client() != addr {
		t.Fatalf("client %v, want %v", s.client(), addr)
	}
	if local := octets[12]&15 == 0; local && s.client() != netip.MustParseAddr("192.0.2.1") {
		t.Fatal("who speaks for itself is not where it is")
	}
}
