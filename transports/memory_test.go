package transports

import (
	"net"
	"net/netip"
	"reflect"
	"testing"
)

// An addressedConn is from an address that it gives out by reference, as net.TCPConn does.
type addressedConn struct {
	net.Conn
	addr *net.TCPAddr
}

func (c addressedConn) RemoteAddr() net.Addr { return c.addr }

func TestConnectionForgetsTheAddress(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	addr := &net.TCPAddr{IP: net.IP{192, 0, 2, 1}, Port: 4711}
	server := newServer(Options{})
	s := server.tcpListener(nil, TCP).admit(addressedConn{here, addr})
	if s.addr != netip.MustParseAddr("192.0.2.1") {
		t.Fatal("the connection is from elsewhere")
	}
	if text := s.RemoteAddr().String(); text != "[client]" {
		t.Error("who reads from it learns ", text)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s.addr.IsValid() {
		t.Error("the connection keeps the address")
	}
	if !addr.IP.IsUnspecified() {
		t.Error("the connection keeps the address")
	}
	if len(server.conns.open)+len(server.conns.perAddress) != 0 {
		t.Error("the table keeps the connection")
	}
}

// A map that grows leaves what it held in memory that is not cleared: no table of clients may have addresses in it.
func TestTablesHoldNoAddresses(t *testing.T) {
	address := reflect.TypeFor[netip.Addr]()
	for _, table := range []reflect.Type{reflect.TypeFor[connections](), reflect.TypeFor[Quota](), reflect.TypeFor[slots](), reflect.TypeFor[proven]()} {
		for f := range table.Fields() {
			if f.Type.Kind() == reflect.Map && (f.Type.Key() == address || f.Type.Elem() == address) {
				t.Errorf("%v.%s holds addresses", table, f.Name)
			}
		}
	}
}
