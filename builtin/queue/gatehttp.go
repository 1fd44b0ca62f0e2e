package queue

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// Handler puts the gate before next. A request that is refused is answered with
// 503 and a Retry-After, before anything of its body is read. priority says how
// important a request is; nil: every one is Normal. Let it go by what the server
// knows (route, tenant, session): a header of the client is a wish.
func (g *Gate) Handler(next http.Handler, priority func(*http.Request) Priority) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := Normal
		if priority != nil {
			p = priority(r)
		}
		if g.Admit(p) {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Retry-After", strconv.Itoa(g.retryAfter()))
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(http.StatusServiceUnavailable)
		if r.Method != http.MethodHead {
			// Whoever does not wait for the answer has got it.
			_, _ = w.Write([]byte("overloaded, try again later\n"))
		}
	})
}

// retryAfter is in whole seconds, spread over half of the time to both sides.
func (g *Gate) retryAfter() int {
	d := g.o.RetryAfter/2 + rand.N(g.o.RetryAfter+1)
	return max(int((d+time.Second/2)/time.Second), 1)
}
