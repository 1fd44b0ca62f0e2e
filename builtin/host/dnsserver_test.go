package host

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// nameServer is a small DNS server on loopback, over UDP.
type nameServer struct {
	conn  net.PacketConn
	asked atomic.Int64

	mu      sync.Mutex
	answers map[string]string // name with a dot: an IPv4 address
	mood    string            // "": well; "silent", "servfail", "nxdomain", "empty", "junk"
}

func newNameServer(t *testing.T, answers map[string]string) *nameServer {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &nameServer{conn: conn, answers: answers}
	done := make(chan struct{})
	go func() { defer close(done); s.serve() }()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return s
}

func (s *nameServer) address() string { return s.conn.LocalAddr().String() }

func (s *nameServer) turn(mood string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mood = mood
}

func (s *nameServer) serve() {
	buf := make([]byte, 1500)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		s.asked.Add(1)
		if answer := s.answer(buf[:n]); answer != nil {
			_, _ = s.conn.WriteTo(answer, from)
		}
	}
}

// answer is RFC 1035 as far as one question needs it.
func (s *nameServer) answer(ask []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var name strings.Builder
	at := 12
	for at < len(ask) && ask[at] != 0 {
		name.Write(ask[at+1 : at+1+int(ask[at])])
		name.WriteByte('.')
		at += 1 + int(ask[at])
	}
	kind := binary.BigEndian.Uint16(ask[at+1:])
	out := append([]byte(nil), ask[:at+5]...) // without what EDNS adds
	binary.BigEndian.PutUint16(out[2:], 0x8180)
	binary.BigEndian.PutUint16(out[6:], 0)
	binary.BigEndian.PutUint16(out[8:], 0)
	binary.BigEndian.PutUint16(out[10:], 0)
	address, known := s.answers[name.String()]
	switch {
	case s.mood == "silent":
		return nil
	case s.mood == "junk":
		return []byte("no answer to anything")
	case s.mood == "servfail":
		out[3] |= 2
	case s.mood == "nxdomain" || !known:
		out[3] |= 3
	case s.mood == "empty" || kind != 1:
	default:
		binary.BigEndian.PutUint16(out[6:], 1)
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4)
		out = append(out, netip.MustParseAddr(address).AsSlice()...)
	}
	return out
}
