package selfheal_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
)

func code(h http.Handler) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	return w.Code
}

func TestReadyAndLive(t *testing.T) {
	s := selfheal.New(selfheal.Options{Escalate: nobody, Logger: quiet})
	require.Equal(t, 503, code(s.Ready()))
	require.Equal(t, 200, code(s.Live()))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	require.Eventually(t, func() bool { return code(s.Ready()) == 200 }, 5*time.Second, time.Millisecond)
	require.Equal(t, 200, code(s.Live()))
	require.Equal(t, 503, code(s.Live(func(context.Context) error { return errors.New("no order was taken for a minute") })))
	require.Equal(t, 503, code(s.Live(func(context.Context) error { panic("oops") })))
	cancel()
	require.NoError(t, <-done)
	require.Equal(t, 503, code(s.Ready()))
	require.Equal(t, 200, code(s.Live()))
}

func TestSystemdIsTold(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no systemd on windows")
	}
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "40000")
	t.Setenv("WATCHDOG_PID", "")
	s := selfheal.New(selfheal.Options{Escalate: nobody, Logger: quiet, Systemd: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	next := func() string {
		b := make([]byte, 100)
		require.NoError(t, l.SetReadDeadline(time.Now().Add(10*time.Second)))
		n, err := l.Read(b)
		require.NoError(t, err)
		return string(b[:n])
	}
	require.Equal(t, "READY=1", next())
	require.Equal(t, "WATCHDOG=1", next())
	require.Equal(t, "WATCHDOG=1", next())
	cancel()
	require.NoError(t, <-done)
	for said := ""; said != "STOPPING=1"; said = next() {
		require.NotEqual(t, "READY=1", said)
	}
}
