package dependency

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/remediate"
)

// pipes is a dependency in memory that counts who dials it.
type pipes struct {
	takes   time.Duration
	down    atomic.Bool
	now     atomic.Int64
	most    atomic.Int64
	dials   atomic.Int64
	stopped atomic.Int64
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	p.dials.Add(1)
	n := p.now.Add(1)
	defer p.now.Add(-1)
	for m := p.most.Load(); n > m && !p.most.CompareAndSwap(m, n); m = p.most.Load() {
	}
	select {
	case <-time.After(p.takes):
	case <-ctx.Done():
		p.stopped.Add(1)
		return nil, ctx.Err()
	}
	if p.down.Load() {
		return nil, errDown
	}
	a, b := net.Pipe()
	_ = b.Close()
	return a, nil
}

func TestDialsAreCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{takes: time.Second}
		dial := NewClient(ClientOptions{Name: "db"}).Dialer(DialOptions{Dial: p.dial, Parallel: 3})
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				conn, err := dial(t.Context(), "tcp", "db:1")
				if err == nil {
					_ = conn.Close()
				}
			})
		}
		start := time.Now()
		wg.Wait()
		require.Equal(t, int64(3), p.most.Load())
		require.Equal(t, 4*time.Second, time.Since(start))
	})
}

// What nobody waits for any more is not dialled when its turn comes.
func TestADialNobodyWaitsForIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{takes: time.Second}
		c := NewClient(ClientOptions{Name: "db"})
		dial := c.Dialer(DialOptions{Dial: p.dial, Parallel: 1})
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if conn, err := dial(ctx, "tcp", "db:1"); err == nil {
					_ = conn.Close()
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(2), p.dials.Load(), "one was made, one was under way when its time was up")
		require.Equal(t, int64(1), p.stopped.Load())
		require.LessOrEqual(t, c.Status().Failed, int64(1), "a wait for a turn says nothing of the dependency")
	})
}

// A fleet's worth of callers that all lost their connections comes back step by
// step, not at once.
func TestReconnectsReturnInARamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{takes: 10 * time.Millisecond}
		c := NewClient(ClientOptions{Name: "db", Retry: remediate.Backoff{Tries: 3, Initial: 100 * time.Millisecond}})
		dial := c.Dialer(DialOptions{Dial: p.dial, Parallel: 100})
		ctx, cancel := context.WithCancel(t.Context())
		p.down.Store(true)
		var connected atomic.Int64
		var wg sync.WaitGroup
		for i := range 500 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if conn, err := dial(ctx, "tcp", "db:1"); err == nil {
						connected.Add(1)
						_ = conn.Close()
						return
					}
					select {
					case <-time.After(time.Second + time.Duration(i)*time.Millisecond):
					case <-ctx.Done():
					}
				}
			})
		}
		time.Sleep(20 * time.Second)
		require.Equal(t, int64(0), connected.Load())
		while := p.dials.Load()
		require.Less(t, while, int64(1000), "the breaker spares it most of 10,000 dials")
		p.down.Store(false)
		back := time.Now()
		for connected.Load() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		require.Less(t, connected.Load(), int64(250), "half of all within a second of the first would be a storm")
		time.Sleep(5 * time.Minute)
		require.Equal(t, int64(500), connected.Load(), "all are back after %v: %v", time.Since(back), c.Status())
		cancel()
		wg.Wait()
	})
}

func TestARealListenerIsDialled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	serve := func(context.Context, error) error { return nil }
	dial := NewClient(ClientOptions{Name: "echo", Degraded: serve}).Dialer(DialOptions{})
	conn, err := dial(t.Context(), "tcp", l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, conn.Close())

	broken := NewClient(ClientOptions{Name: "echo", Degraded: serve})
	require.NoError(t, broken.Break(t.Context(), request("break")))
	_, err = broken.Dialer(DialOptions{})(t.Context(), "tcp", l.Addr().String())
	require.ErrorIs(t, err, ErrRefused, "what serves calls while they are refused cannot serve a connection")
}
