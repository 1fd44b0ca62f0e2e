package dependency

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/remediate"
)

// faulty is a real HTTP server on loopback that can be well, slow, resetting
// (before or in the middle of its answer), failing or refusing.
type faulty struct {
	*httptest.Server
	fault atomic.Value // string
	hits  atomic.Int64
	delay time.Duration
}

func newFaulty(t testing.TB) *faulty {
	f := &faulty{delay: 400 * time.Millisecond}
	f.fault.Store("")
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	f.Config.ErrorLog = nil
	f.Start()
	t.Cleanup(f.Close)
	return f
}

func (f *faulty) serve(w http.ResponseWriter, r *http.Request) {
	f.hits.Add(1)
	switch f.fault.Load() {
	case "slow":
		select {
		case <-time.After(f.delay):
		case <-r.Context().Done():
		}
	case "reset", "reset midway":
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		if f.fault.Load() == "reset midway" {
			_, _ = buf.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes!")
			_ = buf.Flush()
			time.Sleep(5 * time.Millisecond) // so that the client has read them
		}
		_ = conn.(*net.TCPConn).SetLinger(0) // closes with a reset
		_ = conn.Close()
		return
	case "failing":
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case "missing":
		w.WriteHeader(http.StatusNotFound)
		return
	case "retry-after":
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	_, _ = io.WriteString(w, "hello")
}

// refusing is an address on loopback at which nobody listens.
func refusing(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// quick is a client for real time: everything in milliseconds.
func quick(o ClientOptions) *Client {
	or(&o.Window, time.Second)
	or(&o.Slow, 200*time.Millisecond)
	or(&o.OpenFor, 100*time.Millisecond)
	or(&o.MaxOpen, 200*time.Millisecond)
	or(&o.Ramp, 100*time.Millisecond)
	return NewClient(o)
}

// caller is an http.Client through c that keeps nothing open.
func caller(t testing.TB, c *Client, o TransportOptions) *http.Client {
	next := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(next.CloseIdleConnections)
	o.Next = next
	return &http.Client{Transport: c.Transport(o)}
}

func get(h *http.Client, url string) (string, error) {
	resp, err := h.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	return string(b), err
}

func TestTheBreakerAtRealFaults(t *testing.T) {
	for _, fault := range []string{"slow", "reset", "reset midway", "failing"} {
		t.Run(fault, func(t *testing.T) {
			server, c := newFaulty(t), quick(ClientOptions{Name: "payments"})
			h := caller(t, c, TransportOptions{})
			for range 10 {
				_, err := get(h, server.URL)
				require.NoError(t, err)
			}
			server.fault.Store(fault)
			var wg sync.WaitGroup
			began := time.Now()
			for c.Status().Trips == 0 && time.Since(began) < 10*time.Second {
				for range 4 {
					wg.Go(func() { _, _ = get(h, server.URL) })
				}
				time.Sleep(10 * time.Millisecond)
			}
			require.Positive(t, c.Status().Trips, "%v", c.Status())
			wg.Wait()

			// It refuses: the server is left alone but for one call at a time to try.
			before := server.hits.Load()
			for range 200 {
				_, _ = get(h, server.URL)
				if time.Since(began) > 20*time.Second {
					break
				}
			}
			assert.Less(t, server.hits.Load()-before, int64(30), "of 200 calls")

			server.fault.Store("")
			assert.Eventually(t, func() bool {
				_, _ = get(h, server.URL)
				return c.Status().State == Closed
			}, 10*time.Second, time.Millisecond)
			assert.Eventually(t, func() bool { return c.Status().InFlight == 0 }, 5*time.Second, time.Millisecond)
		})
	}
	t.Run("refusing", func(t *testing.T) {
		addr, c := refusing(t), quick(ClientOptions{})
		h := caller(t, c, TransportOptions{Degraded: func(req *http.Request, refused error) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("cached")), Request: req}, nil
		}})
		for range 2000 {
			if text, err := get(h, "http://"+addr); err == nil {
				assert.Equal(t, "cached", text)
				return
			}
		}
		t.Error("it never served degraded")
	})
	t.Run("flapping", func(t *testing.T) {
		server, c := newFaulty(t), quick(ClientOptions{OpenFor: 20 * time.Millisecond, MaxOpen: 40 * time.Millisecond})
		h := caller(t, c, TransportOptions{})
		began, failed := time.Now(), 0
		// Down for two thirds of the time: half would lie at the limit itself.
		for lasts := time.Duration(0); lasts < 2*time.Second || c.Status().Trips == 0 && lasts < 20*time.Second; lasts = time.Since(began) {
			server.fault.Store("reset")
			if lasts%(300*time.Millisecond) < 100*time.Millisecond {
				server.fault.Store("")
			}
			if _, err := get(h, server.URL); err != nil && !errors.Is(err, ErrRefused) {
				failed++
			}
		}
		s := c.Status()
		assert.Positive(t, s.Trips)
		assert.Less(t, int64(failed), 40*(s.Trips+int64(time.Since(began)/(20*time.Millisecond))), "%v", s)
		server.fault.Store("")
		assert.Eventually(t, func() bool {
			_, _ = get(h, server.URL)
			return c.Status().State == Closed
		}, 10*time.Second, time.Millisecond)
	})
}

func TestStatusesThatSayNothingBad(t *testing.T) {
	server, c := newFaulty(t), quick(ClientOptions{})
	server.fault.Store("missing")
	h := caller(t, c, TransportOptions{})
	for range 100 {
		_, err := get(h, server.URL)
		require.EqualError(t, err, "404 Not Found")
	}
	assert.Zero(t, c.Status().Trips)
}

func TestTransportRetries(t *testing.T) {
	server := newFaulty(t)
	retry := remediate.Backoff{Tries: 3, Initial: time.Millisecond}
	for _, test := range []struct {
		name, method, body, fault string
		want                      int64
	}{
		{"an idempotent request is repeated", http.MethodGet, "", "failing", 2},
		{"also with a body", http.MethodPut, "once", "reset", 2},
		{"another is not", http.MethodPost, "once", "reset", 1},
		{"the server knows better", http.MethodGet, "", "retry-after", 1},
		{"what works is not", http.MethodGet, "", "", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := quick(ClientOptions{Retry: retry}) // one retry in its window
			server.fault.Store(test.fault)
			server.hits.Store(0)
			req, err := http.NewRequestWithContext(t.Context(), test.method, server.URL, strings.NewReader(test.body))
			require.NoError(t, err)
			resp, err := caller(t, c, TransportOptions{}).Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			assert.Equal(t, test.want, server.hits.Load())
			assert.Zero(t, c.Status().InFlight)
		})
	}
}

// A body that stalls is under way, unless streams are expected.
func TestACallEndsWithItsBody(t *testing.T) {
	server := newFaulty(t)
	for _, headers := range []bool{false, true} {
		c := quick(ClientOptions{})
		resp, err := caller(t, c, TransportOptions{UntilHeaders: headers}).Get(server.URL)
		require.NoError(t, err)
		assert.Equal(t, !headers, c.Status().InFlight == 1)
		require.NoError(t, resp.Body.Close())
		require.NoError(t, resp.Body.Close())
		assert.Zero(t, c.Status().InFlight)
	}
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

func TestARefusedRequestIsClosed(t *testing.T) {
	c := quick(ClientOptions{OpenFor: time.Hour, MaxOpen: time.Hour})
	trip(t, c)
	body := &closer{Reader: strings.NewReader("x")}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:1", body)
	require.NoError(t, err)
	_, err = c.Transport(TransportOptions{}).RoundTrip(req)
	assert.ErrorIs(t, err, ErrOpen)
	assert.True(t, body.closed)
}

func TestAPanicOfTheTransportGivesThePermitBack(t *testing.T) {
	c := quick(ClientOptions{})
	h := c.Transport(TransportOptions{Next: roundTrip(func(*http.Request) (*http.Response, error) { panic("no") })})
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://127.0.0.1:1", nil)
	require.NoError(t, err)
	assert.Panics(t, func() { _, _ = h.RoundTrip(req) })
	assert.Zero(t, c.Status().InFlight)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
