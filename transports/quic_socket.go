package transports

import (
	"context"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
)

// A quicSocket is a UDP socket whose reader finds its buffers empty. The library decrypts packets where they were received, keeps
// the buffers as they are, and waits for the next packet with some of them in hand: each holds what a client asked, and beside it is
// where that client was.
type quicSocket struct {
	*net.UDPConn
	batch *ipv4.PacketConn // of both families
}

// ReadBatch clears what it is given, and receives into it. What was read before, the library has by then taken out.
func (s *quicSocket) ReadBatch(messages []ipv4.Message, flags int) (int, error) {
	for i := range messages {
		messages[i].Addr = nil
		for _, b := range messages[i].Buffers {
			clear(b)
		}
	}
	return s.batch.ReadBatch(messages, flags)
}

func openSocket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	var config net.ListenConfig
	conn, err := config.ListenPacket(ctx, family("udp", addr), addr.String())
	if err != nil {
		return nil, err
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return conn, nil
	}
	return &quicSocket{udp, ipv4.NewPacketConn(udp)}, nil
}
