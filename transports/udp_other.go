//go:build !linux

package transports

import (
	"context"
	"net"
	"net/netip"
)

// openUDP opens one socket: how the system would spread clients over several differs too much to rely on it.
func openUDP(ctx context.Context, addr netip.AddrPort, _ int) ([]*net.UDPConn, error) {
	var config net.ListenConfig
	conn, err := config.ListenPacket(ctx, family("udp", addr), addr.String())
	if err != nil {
		return nil, err
	}
	udp := conn.(*net.UDPConn)
	_ = udp.SetReadBuffer(receiveSize)
	return []*net.UDPConn{udp}, nil
}

func newPacketConn(conn *net.UDPConn) packetConn { return &singleConn{messageConn: conn} }

// replyControl says nothing about the address to send from.
func replyControl([]byte) []byte { return nil }
