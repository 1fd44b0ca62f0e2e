package selfheal_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
)

// populated is a supervisor that watches n things, a few of which are sick.
func populated(b *testing.B, n int) *selfheal.Supervisor {
	s := selfheal.New(selfheal.Options{Logger: quiet, Escalate: nobody, Every: time.Hour})
	for i := range n {
		sick := i%100 == 0
		s.Watch(selfheal.Watch{
			Name: fmt.Sprintf("team-%d/queue-%05d", i%20, i),
			Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
				if sick {
					return []detect.Finding{{Summary: "9000 jobs is above 5000", Value: 9000, Limit: 5000, Unit: "jobs"}}, nil
				}
				return nil, nil
			}),
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	for end := time.Now().Add(30 * time.Second); s.Status().Counts.Opened < uint64(n/100); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatal("the watches are not looked at")
		}
	}
	return s
}

func BenchmarkStatus(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(map[int]string{100: "100", 10_000: "10k"}[n], func(b *testing.B) {
			s := populated(b, n)
			b.ReportAllocs()
			for b.Loop() {
				s.Status()
			}
		})
	}
}

func BenchmarkConsoleFirstPage(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(map[int]string{100: "100", 10_000: "10k"}[n], func(b *testing.B) {
			s := populated(b, n)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer() // a handler that was never asked has nothing to reuse
				h := s.Handler()
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Host = "localhost"
				r.Header.Set("Accept", "text/html")
				w := httptest.NewRecorder()
				b.StartTimer()
				h.ServeHTTP(w, r)
				b.ReportMetric(float64(w.Body.Len()), "bytes/page")
			}
		})
	}
}
