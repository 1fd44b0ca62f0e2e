package console

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

var sizes = []struct {
	name                  string
	watches, open, closed int
}{{"100", 100, 3, 50}, {"10k", 10_000, 1000, 1000}}

// The first page from nothing: a view is made for each.
func BenchmarkConsoleFirstPage(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			h := newFake().fill(size.watches, size.open, size.closed).handler(b, Options{Authorize: yes})
			b.ReportAllocs()
			for b.Loop() {
				h.views.spoil()
				w := page(h, "/")
				b.ReportMetric(float64(w.Body.Len()), "bytes/page")
			}
		})
	}
}

// One change, to a hundred who look on.
func BenchmarkHundredViewersOneChange(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			f := newFake().fill(size.watches, size.open, size.closed)
			h := f.handler(b, Options{})
			readers := make([]*reader, 100)
			for n := range readers {
				readers[n] = &reader{h: h}
				readers[n].diff(h.views.get(true), "")
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				f.change(func(s *State) { s.Open[len(s.Open)-1].Summary = fmt.Sprint("reading ", n) })
				h.views.spoil()
				v := h.views.get(true)
				for _, r := range readers {
					if p := r.diff(v, ""); len(p.Put) != 1 {
						b.Fatal(len(p.Put))
					}
				}
			}
		})
	}
}

// What a hundred viewers cost who see nothing happen: one round of all, of which
// there is one in ten seconds.
func BenchmarkHundredIdleViewers(b *testing.B) {
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) {
			h := newFake().fill(size.watches, size.open, size.closed).handler(b, Options{})
			readers := make([]*reader, 100)
			for n := range readers {
				readers[n] = &reader{h: h}
				readers[n].diff(h.views.get(true), "")
			}
			b.ReportAllocs()
			for b.Loop() {
				h.views.spoil()
				v := h.views.get(true)
				for _, r := range readers {
					r.diff(v, "")
				}
			}
		})
	}
}

// A viewer who comes and goes, over a real connection.
func BenchmarkViewerConnects(b *testing.B) {
	h := newFake().fill(100, 3, 50).handler(b, Options{})
	srv := httptest.NewServer(h)
	defer srv.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/live", nil)
		if err != nil {
			b.Fatal(err)
		}
		res, err := srv.Client().Do(r)
		if err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 4096)
		for text := ""; !strings.Contains(text, "event: patch"); {
			n, err := res.Body.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			text += string(buf[:n])
		}
		cancel()
		_ = res.Body.Close()
	}
}
