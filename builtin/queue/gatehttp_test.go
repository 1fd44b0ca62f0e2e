package queue_test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/queue"
)

// serve runs a real HTTP server on loopback until the test ends.
func serve(t *testing.T, h http.Handler) (url string, c *http.Client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	c = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 10 * time.Second}
	t.Cleanup(func() {
		c.CloseIdleConnections()
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	return "http://" + l.Addr().String(), c
}

func byPath(r *http.Request) queue.Priority {
	switch {
	case strings.HasPrefix(r.URL.Path, "/healthz"):
		return queue.Vital
	case strings.HasPrefix(r.URL.Path, "/checkout"):
		return queue.Important
	case strings.HasPrefix(r.URL.Path, "/export"):
		return queue.Background
	}
	return queue.Normal
}

// answers asks n times, on several connections, and counts the refusals.
func answers(t *testing.T, c *http.Client, method, url string, n int) (refused int) {
	t.Helper()
	var no atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range n / 8 {
				req, err := http.NewRequest(method, url, strings.NewReader(strings.Repeat("x", 1000)))
				if err != nil {
					t.Error(err)
					return
				}
				res, err := c.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(res.Body)
				_ = res.Body.Close()
				switch {
				case err != nil:
					t.Error(err)
				case res.StatusCode == http.StatusOK && string(body) == "served":
				case res.StatusCode == http.StatusServiceUnavailable:
					no.Add(1)
					after, err := strconv.Atoi(res.Header.Get("Retry-After"))
					if err != nil || after < 2 || after > 6 {
						t.Errorf("Retry-After is %q, wanted 4 s give or take half", res.Header.Get("Retry-After"))
					}
					if string(body) != "overloaded, try again later\n" || res.Header.Get("Cache-Control") != "no-store" {
						t.Errorf("%q %v", body, res.Header)
					}
				default:
					t.Errorf("%s: %q", res.Status, body)
				}
			}
		})
	}
	wg.Wait()
	return int(no.Load())
}

func TestHandlerOverHTTP(t *testing.T) {
	g := queue.NewGate(queue.GateOptions{Ramp: 300 * ms, RetryAfter: 4 * time.Second})
	var reached atomic.Int64
	url, c := serve(t, g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write([]byte("served"))
	}), byPath))
	paths := []string{"/export", "/", "/checkout", "/healthz"}
	for _, p := range paths {
		require.Zero(t, answers(t, c, http.MethodPost, url+p, 80), p)
	}
	require.EqualValues(t, 320, reached.Load())

	do(t, g.Shed, "i")
	reached.Store(0)
	require.Equal(t, 400, answers(t, c, http.MethodPost, url+"/export", 400))
	require.InDelta(t, 400, answers(t, c, http.MethodPost, url+"/", 800), 100)
	require.Zero(t, answers(t, c, http.MethodPost, url+"/checkout", 80))
	require.Zero(t, answers(t, c, http.MethodPost, url+"/healthz", 80))
	s := g.State()
	require.EqualValues(t, 480, queue.Of(queue.Background, s.Admitted)+queue.Of(queue.Background, s.Refused))
	require.EqualValues(t, reached.Load(), queue.Of(queue.Normal, s.Admitted)-80+160)

	do(t, g.Restore, "i") // takes the ramp
	for _, p := range paths {
		require.Zero(t, answers(t, c, http.MethodPost, url+p, 80), p)
	}
}

func TestHandlerOfHeadAndWithoutPriorities(t *testing.T) {
	g := queue.NewGate(queue.GateOptions{Shed: queue.Shed{Below: queue.Important, Share: -1}, RetryAfter: 1})
	url, c := serve(t, g.Handler(http.NotFoundHandler(), nil))
	do(t, g.Shed, "i")
	res, err := c.Head(url)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Equal(t, "1", res.Header.Get("Retry-After"), "never 0, which is at once")
}
