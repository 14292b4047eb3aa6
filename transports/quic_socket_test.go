package transports

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/ipv4"
)

// What was in a buffer before is not there while a packet is waited for, nor behind the packet that comes.
func TestQUICSocketClearsBuffers(t *testing.T) {
	opened, err := openSocket(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	client, err := net.Dial("udp4", opened.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	messages := make([]ipv4.Message, 2)
	for i := range messages {
		messages[i].Addr = client.LocalAddr()
		messages[i].Buffers = [][]byte{bytes.Repeat([]byte("old"), 100)}
	}
	if n, err := opened.(*quicSocket).ReadBatch(messages, 0); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for i := range messages {
		if bytes.Contains(messages[i].Buffers[0], []byte("old")) {
			t.Errorf("buffer %d still holds %q", i, messages[i].Buffers[0])
		}
	}
	if messages[1].Addr != nil {
		t.Error("who sent the one before is still there")
	}
}
