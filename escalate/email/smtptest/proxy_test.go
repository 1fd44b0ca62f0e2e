package smtptest

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// A wire hands everything on between a client and a server until it is cut: then
// the connection at hand ends, and what the server still says is lost.
type wire struct {
	addr   string
	broken atomic.Bool
}

func (w *wire) cut() { w.broken.Store(true) }

func proxy(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{addr: l.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { w.join(client, to) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return w
}

func (w *wire) join(client net.Conn, to string) {
	server, err := net.Dial("tcp", to)
	if err != nil {
		_ = client.Close()
		return
	}
	var up sync.WaitGroup
	up.Go(func() { _, _ = io.Copy(server, client) })
	buf := make([]byte, 16<<10)
	for {
		n, err := server.Read(buf)
		if err != nil || w.broken.Swap(false) {
			break
		}
		if _, err := client.Write(buf[:n]); err != nil {
			break
		}
	}
	_ = client.Close()
	_ = server.Close()
	up.Wait()
}
