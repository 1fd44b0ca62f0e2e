package email

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A server that says nothing costs the time that it is given, wherever it stops,
// and no more. Time is virtual.
func TestASilentServer(t *testing.T) {
	for _, after := range []int{0, 1, 2, 3, 4, 5} { // replies
		for _, c := range []struct {
			timeout, ctx, want time.Duration
		}{{0, 0, 30 * time.Second}, {5 * time.Second, 0, 5 * time.Second}, {time.Minute, 7 * time.Second, 7 * time.Second}, {-1, time.Hour, time.Hour}} {
			synctest.Test(t, func(t *testing.T) {
				n, err := New(Config{Addr: "mail.example.com:25", From: "a@example.com", To: []string{"b@example.com"}, TLS: TLSNone, Timeout: c.timeout})
				require.NoError(t, err)
				us, them := net.Pipe()
				defer them.Close()
				n.dial = func(context.Context, string, string) (net.Conn, error) { return us, nil }
				go talkAndFallSilent(them, after)
				ctx := t.Context()
				if c.ctx > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.ctx)
					defer cancel()
				}
				began := time.Now()
				err = n.Notify(ctx, sick("n1"))
				refused(t, err, false)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, c.want, time.Since(began), "after %d replies", after)
			})
		}
	}
}

// Once the mail is taken, a server that does not say goodbye costs a second.
func TestASilentGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{Addr: "mail.example.com:25", From: "a@example.com", To: []string{"b@example.com"}, TLS: TLSNone})
		require.NoError(t, err)
		us, them := net.Pipe()
		defer them.Close()
		n.dial = func(context.Context, string, string) (net.Conn, error) { return us, nil }
		go talkAndFallSilent(them, 6)
		began := time.Now()
		require.NoError(t, n.Notify(t.Context(), sick("n1")))
		require.Equal(t, goodbye, time.Since(began))
	})
}

func TestCancelMidway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{Addr: "mail.example.com:25", From: "a@example.com", To: []string{"b@example.com"}, TLS: TLSNone})
		require.NoError(t, err)
		us, them := net.Pipe()
		defer them.Close()
		n.dial = func(context.Context, string, string) (net.Conn, error) { return us, nil }
		go talkAndFallSilent(them, 2)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(3*time.Second, func() { cancel(errors.New("the supervisor stops")) })
		began := time.Now()
		refused(t, n.Notify(ctx, sick("n1")), false, "the supervisor stops")
		require.Equal(t, 3*time.Second, time.Since(began))
	})
}

// talkAndFallSilent replies so often, and then reads on without a word.
func talkAndFallSilent(c net.Conn, replies int) {
	buf := make([]byte, 64<<10)
	for _, text := range []string{"220 x", "250 x", "250 ok", "250 ok", "354 go", "250 taken"}[:replies] {
		if _, err := c.Write([]byte(text + "\r\n")); err != nil {
			return
		}
		seen := ""
		for done := false; !done; {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			seen += string(buf[:n])
			done = text != "354 go" || strings.HasSuffix(seen, "\r\n.\r\n")
		}
	}
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

// Whatever a server says, a delivery ends, and nil means that it said 250.
func FuzzServer(f *testing.F) {
	f.Add("220 x\r\n250 x\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n221 bye\r\n", true)
	f.Add("220-x\r\n220 y\r\n250-x\r\n250 SIZE -1\r\n", false)
	f.Add("220 x\r\n500 what\r\n250 x\r\n250 ok\r\n999 ok\r\n", false)
	f.Add("\r\n\r\n\x00\xff 220", false)
	f.Add("220 x\r\n250-x\r\n250-SIZE 99999999999999999999\r\n250 AUTH\r\n250 ok\r\n550-a\r\n550 b\r\n", false)
	f.Fuzz(func(t *testing.T, script string, good bool) {
		good = good && strings.HasPrefix(script, "220 x\r\n250 x\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n")
		n, err := New(Config{Addr: "mail.example.com:25", From: "a@example.com", To: []string{"b@example.com"}, TLS: TLSNone})
		require.NoError(t, err)
		n.dial = func(context.Context, string, string) (net.Conn, error) {
			return scripted{Reader: strings.NewReader(script)}, nil
		}
		err = n.Notify(t.Context(), sick("n1"))
		if good && err != nil || err == nil && !strings.Contains(script, "250") {
			t.Fatalf("%q: %v", script, err)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Fatalf("%q is not one line", err)
		}
	})
}

// scripted is a server that has said everything before it is asked, and listens
// to nothing.
type scripted struct {
	net.Conn
	io.Reader
}

func (s scripted) Read(p []byte) (int, error)  { return s.Reader.Read(p) }
func (s scripted) Write(p []byte) (int, error) { return len(p), nil }
func (s scripted) Close() error                { return nil }
func (s scripted) SetDeadline(time.Time) error { return nil }
