package transports

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/http2"

	"tacit/internal/wire"
)

// post is a header block of a request with a body.
func post(more ...string) []byte {
	return headers(append([]string{":method", "POST", ":scheme", "https", ":path", Path, "content-type", messageType}, more...)...)
}

// begin sends the headers of a request whose body is to come.
func (c *http2Client) begin(t *testing.T, id uint32, block []byte) {
	t.Helper()
	if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true}); err != nil {
		t.Fatal(err)
	}
}

// send sends so many octets of a body, in frames of 16,000 at most.
func (c *http2Client) send(t *testing.T, id uint32, octets int) {
	t.Helper()
	for ; octets > 0; octets -= 16000 {
		if err := c.WriteData(id, false, make([]byte, min(octets, 16000))); err != nil {
			t.Fatal(err)
		}
	}
}

// trail ends a body with trailers.
func (c *http2Client) trail(t *testing.T, id uint32) {
	t.Helper()
	c.open(t, id, headers("x-sum", "1"))
}

// echo has a PING come back, and returns the frames that came before it by type.
func (c *http2Client) echo(t *testing.T) map[string]int {
	t.Helper()
	if err := c.WritePing(false, [8]byte{}); err != nil {
		t.Fatal(err)
	}
	before := map[string]int{}
	for {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatal("no echo: ", err)
		}
		kind := f.Header().Type.String()
		if kind == "PING" {
			return before
		}
		before[kind]++
	}
}

// An answer that waits is not copied for each octet of room.
func TestHTTP2PumpDoesNotAllocate(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	defer there.Close()
	s := newServer(Options{})
	defer s.front.cancel()
	h := newHTTP2Conn(&doh{front: s.front}, s.conns, newConnection(s.front, HTTPS, netip.Addr{}), there)
	waits := &http2Stream{blocked: make([]byte, maxMessage)}
	h.blocked = len(waits.blocked)
	h.out = make([]byte, 0, 100)
	if n := testing.AllocsPerRun(1000, func() {
		waits.window++
		if err := h.pump(1, waits); err != nil {
			t.Fatal(err)
		}
		h.out = h.out[:0]
	}); n != 0 {
		t.Errorf("%v allocations for one octet", n)
	}
	if len(waits.blocked) != h.blocked || h.blocked > maxMessage-1000 {
		t.Errorf("%d octets wait, %d are counted", len(waits.blocked), h.blocked)
	}
}

// RFC 9113 section 6.9: room on the connection comes back when a body is done with, and not before.
func TestHTTP2GivesRoomBackAfterBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialHTTP2(t, known)
		for _, id := range []uint32{1, 3, 5} {
			c.begin(t, id, post())
			c.send(t, id, 40000)
		}
		if before := c.echo(t); len(before) != 0 {
			t.Error("before the bodies are complete: ", before)
		}
		if err := c.WriteData(1, true, nil); err != nil {
			t.Fatal(err)
		}
		if f := c.skipTo(t, "WINDOW_UPDATE").(*http2.WindowUpdateFrame); f.StreamID != 0 || f.Increment != 40000 {
			t.Error(f)
		}
	})
}

// RFC 9113 section 6.9.1: no more than 256 KiB of bodies at a time, on whatever streams.
func TestHTTP2BoundsBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialHTTP2(t, known)
		for _, id := range []uint32{1, 3, 5, 7} {
			c.begin(t, id, post())
			c.send(t, id, http2ConnWindow/4-1024)
		}
		c.begin(t, 9, post())
		c.send(t, 9, 4096)
		c.echo(t)
		c.send(t, 9, 1)
		if code := c.goAway(t); code != http2.ErrCodeFlowControl {
			t.Error(code)
		}
		<-c.ended
	})
}

// RFC 7541 section 4.2: a table of headers that the client makes smaller is confirmed where the next block begins.
func TestHTTP2ConfirmsASmallerTable(t *testing.T) {
	for _, c := range []struct {
		name string
		size uint32
		want []byte // first octet of each block
	}{
		{"none", 0, []byte{tableOfNothing, status200, status200}},
		{"smaller", 4095, []byte{tableOfNothing, status200, status200}},
		{"the default", 4096, []byte{status200, status200}},
		{"larger", 65536, []byte{status200, status200}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := dialHTTP2(t, known, http2.Setting{ID: http2.SettingHeaderTableSize, Val: c.size})
				var got []byte
				for id := uint32(1); len(got) < len(c.want); id += 2 {
					client.open(t, id, get("a.example."))
					block := client.skipTo(t, "HEADERS").(*http2.HeadersFrame).HeaderBlockFragment()
					if got = append(got, block[0]); block[0] == tableOfNothing {
						got = append(got, block[1])
					}
				}
				if !bytes.Equal(got, c.want) {
					t.Errorf("blocks begin with %x, want %x", got, c.want)
				}
			})
		})
	}
}

// RFC 9113 section 5.1, closed: what was on its way on a stream that the server has ended is ignored, but for its room on the
// connection (section 6.9); the client has done nothing that could be held against it.
func TestHTTP2FramesInFlight(t *testing.T) {
	for _, c := range []struct {
		name    string
		block   []byte
		streams int // each with 32,000 octets, of which the connection has no room for nine
		code    http2.ErrCode
	}{
		{"after a 413", post("content-length", "70000"), maxResets + 50, http2.ErrCodeNo},
		{"after RST_STREAM", post("te", "gzip"), maxResets - 50, http2.ErrCodeProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := dialHTTP2(t, known)
				id := uint32(1)
				for range c.streams {
					client.begin(t, id, c.block)
					if f := client.skipTo(t, "RST_STREAM").(*http2.RSTStreamFrame); f.StreamID != id || f.ErrCode != c.code {
						t.Fatal(f)
					}
					client.send(t, id, 32000)
					client.trail(t, id)
					id += 2
				}
				if before := client.echo(t); before["RST_STREAM"] != 0 {
					t.Error("after the last: ", before)
				}
				client.open(t, id, get("a.example."))
				client.skipTo(t, "DATA")
			})
		})
	}
}

// RFC 9113 section 5.1, closed: nothing follows a RST_STREAM of the client's own, whether the server has ended the stream or not.
func TestHTTP2DataAfterTheClientsReset(t *testing.T) {
	for _, c := range []struct {
		name  string
		block []byte
		ended bool // by the server
	}{{"of an open stream", post(), false}, {"of one that has ended", post("content-length", "70000"), true}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := dialHTTP2(t, known)
				client.begin(t, 1, c.block)
				if c.ended {
					client.skipTo(t, "RST_STREAM")
				}
				if err := client.WriteRSTStream(1, http2.ErrCodeCancel); err != nil {
					t.Fatal(err)
				}
				client.send(t, 1, 1)
				if f := client.skipTo(t, "RST_STREAM").(*http2.RSTStreamFrame); f.StreamID != 1 || f.ErrCode != http2.ErrCodeStreamClosed {
					t.Error(f)
				}
			})
		})
	}
}

// Nobody waits for the answer on a connection that fails: what is resolved for it ends.
func TestHTTP2ClientIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		c := dialHTTP2(t, script{resolve: func(ctx context.Context, _ wire.Question) wire.Answer {
			<-ctx.Done()
			ended <- ctx.Err()
			return wire.Answer{}
		}})
		c.open(t, 1, get("a.example."))
		synctest.Wait()
		_ = c.served.conn.Close() // reading gives an error that is not EOF
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		<-c.ended
	})
}

// An answer too many is lost alone, whoever delivers it: those that wait are complete when the client takes them.
func TestHTTP2AnswerTooMany(t *testing.T) {
	const size = 500 // records: some 55 KiB, four of which may wait
	for _, c := range []struct {
		name string
		r    script
	}{
		{"that is known", script{recall: func(dst []byte, q *wire.Query) (wire.Answer, bool) {
			return wire.Answer{Packet: append(dst, records(q.Question(), size)...)}, true
		}}},
		{"that a job delivers", script{resolve: func(_ context.Context, q wire.Question) wire.Answer {
			return wire.Answer{Packet: records(q, size)}
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := dialHTTP2(t, c.r, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				for i := range 6 {
					client.open(t, uint32(1+2*i), get("a.example."))
				}
				for range 2 {
					if f := client.skipTo(t, "RST_STREAM").(*http2.RSTStreamFrame); f.ErrCode != http2.ErrCodeEnhanceYourCalm {
						t.Fatal(f)
					}
				}
				if err := errors.Join(client.WriteWindowUpdate(0, 1<<20),
					client.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: maxMessage})); err != nil {
					t.Fatal(err)
				}
				for ended := 0; ended < 4; {
					if client.skipTo(t, "DATA").(*http2.DataFrame).StreamEnded() {
						ended++
					}
				}
				client.open(t, 13, get("a.example."))
				client.skipTo(t, "DATA")
			})
		})
	}
}

// RFC 9113 section 8.1.1: a malformed request is an error of its stream, with PROTOCOL_ERROR.
func TestHTTP2MalformedRequests(t *testing.T) {
	plain := []string{":method", "GET", ":scheme", "https", ":path", Path + "?name=a.example"}
	with := func(more ...string) []byte { return headers(slices.Concat(plain, more)...) }
	for _, c := range []struct {
		name  string
		block []byte
	}{
		{"section 8.2.1: NUL in a value", with("x-a", "b\x00c")},
		{"section 8.2.1: CR in a value", with("x-a", "b\rc")},
		{"section 8.2.1: LF in a value", with("x-a", "b\nc")},
		{"section 8.2.1: a blank in front of a value", with("x-a", " b")},
		{"section 8.2.1: a blank behind a value", with("x-a", "b\t")},
		{"section 8.3.1: a scheme that is not served", headers(":method", "GET", ":scheme", "ftp", ":path", Path+"?name=a.example")},
		{"section 8.1.1: content-length and no body", with("content-length", "5")},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := dialHTTP2(t, known)
				client.open(t, 1, c.block)
				client.open(t, 3, with("x-a", "b c"))
				if f := client.skipTo(t, "RST_STREAM").(*http2.RSTStreamFrame); f.StreamID != 1 || f.ErrCode != http2.ErrCodeProtocol {
					t.Error(f)
				}
				if f := client.skipTo(t, "DATA"); f.Header().StreamID != 3 {
					t.Error(f)
				}
			})
		})
	}
}

// RFC 9113 section 4.2: a frame that is too short for its fields ends the connection with FRAME_SIZE_ERROR.
func TestHTTP2ShortFrames(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    http2.FrameType
		flags   http2.Flags
		payload []byte
	}{
		{"section 6.1: DATA without its pad length", http2.FrameData, http2.FlagDataPadded, nil},
		{"section 6.2: HEADERS without all of its priority", http2.FrameHeaders, http2.FlagHeadersPriority | http2.FlagHeadersEndHeaders, []byte{0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := dialHTTP2(t, known)
				client.begin(t, 1, post())
				if err := client.WriteRawFrame(c.kind, c.flags, 1, c.payload); err != nil {
					t.Fatal(err)
				}
				if code := client.goAway(t); code != http2.ErrCodeFrameSize {
					t.Error(code)
				}
				<-client.ended
			})
		})
	}
}

// A stranger is told so once, and does not hold the connection.
func TestHTTP2Stranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, c := time.Now(), dialHTTP2(t, known)
		c.server.front.admitter = nobody{}
		c.open(t, 1, get("a.example."))
		if m := read(t, c.skipTo(t, "DATA").(*http2.DataFrame).Data()); m.Rcode != dns.RcodeRefused {
			t.Error(m)
		}
		if code := c.goAway(t); code != http2.ErrCodeNo {
			t.Error(code)
		}
		if <-c.ended; !time.Now().Equal(begin) {
			t.Error("it was held for ", time.Since(begin))
		}
	})
}

// An idle connection holds nothing of its last request: neither of a path nor of a body.
func TestHTTP2IdleHoldsNothing(t *testing.T) {
	query := ask(0, "hidden.example.", edns(1232))
	for _, c := range []struct {
		name string
		ask  func(t *testing.T, c *http2Client)
	}{
		{"GET", func(t *testing.T, c *http2Client) { c.open(t, 1, get("hidden.example.")) }},
		{"GET in two frames", func(t *testing.T, c *http2Client) {
			block := get("hidden.example.")
			half := len(block) - 20
			if err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:half], EndStream: true}); err != nil {
				t.Fatal(err)
			}
			if err := c.WriteContinuation(1, true, block[half:]); err != nil {
				t.Fatal(err)
			}
		}},
		{"POST", func(t *testing.T, c *http2Client) {
			c.begin(t, 1, post())
			if err := c.WriteData(1, true, query); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := dialHTTP2(t, known)
				c.ask(t, client)
				client.skipTo(t, "DATA")
				synctest.Wait()
				h := client.served
				if h.request != (http2Request{}) || len(h.streams) != 0 {
					t.Error("a request is left")
				}
				for name, buffer := range map[string][]byte{
					"the reader's":            h.in[:cap(h.in)],
					"the framer's for frames": hidden(h.framer, "readBuf"),
					"what is sent":            h.out[:cap(h.out)],
					"a block in parts":        h.block[:cap(h.block)],
					"the decoder's":           hidden(h.headers, "saveBuf.buf"),
					"the visit's":             h.visit.answer[:cap(h.visit.answer)],
				} {
					if strings.Trim(string(buffer), "\x00") != "" {
						t.Errorf("%s: %q", name, bytes.Trim(buffer, "\x00"))
					}
				}
				if bytes.Contains(hidden(h.framer, "wbuf"), []byte("hidden")) {
					t.Error("the framer's buffer for writing has the name")
				}
			})
		})
	}
}

// hidden is a buffer of a type of others, up to its capacity; path leads to the field.
func hidden(of any, path string) []byte {
	v := reflect.ValueOf(of).Elem()
	for field := range strings.SplitSeq(path, ".") {
		v = v.FieldByName(field)
	}
	return v.Slice(0, v.Cap()).Bytes()
}
