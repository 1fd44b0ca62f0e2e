//go:build unix

package selfheal_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What a process takes of a core while a hundred viewers see nothing happen, their own
// side of the connections included, and what it takes without them. A minute is measured, in which each is let
// go and comes back.
func BenchmarkIdleViewers(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(map[int]string{100: "100", 10_000: "10k"}[n], func(b *testing.B) {
			s := populated(b, n)
			srv := httptest.NewServer(s.Handler())
			defer srv.Close()
			time.Sleep(2 * time.Second) // what set it up is over
			without := percent(10 * time.Second)
			ctx, cancel := context.WithCancel(b.Context())
			var viewers sync.WaitGroup
			var seen atomic.Int64
			defer viewers.Wait()
			defer cancel()
			for range 100 {
				viewers.Go(func() { view(ctx, b, srv, &seen) })
			}
			time.Sleep(2 * time.Second) // they come
			if n := seen.Load(); n != 100 {
				b.Fatalf("%d of 100 viewers see the page", n)
			}
			for b.Loop() {
				b.ReportMetric(percent(70*time.Second), "%core")
			}
			b.ReportMetric(without, "%core-without")
		})
	}
}

// percent is the share of a core that this process takes for a while.
func percent(of time.Duration) float64 {
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before, began := used(), time.Now()
	time.Sleep(of)
	return 100 * float64(used()-before) / float64(time.Since(began))
}

// view reads the stream of the page as a browser does.
func view(ctx context.Context, b *testing.B, srv *httptest.Server, seen *atomic.Int64) {
	last := ""
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/live", nil)
		if err != nil {
			b.Error(err)
			return
		}
		r.Header.Set("Last-Event-ID", last)
		res, err := srv.Client().Do(r)
		if err != nil {
			if ctx.Err() == nil {
				b.Error(err)
			}
			return
		}
		lines := bufio.NewScanner(res.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				if last == "" {
					seen.Add(1)
				}
				last = id
			}
		}
		_ = res.Body.Close()
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second): // as the stream asks for
		}
	}
}
