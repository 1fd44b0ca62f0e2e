package selfheal

import (
	"encoding/json"
	"net/http"
)

// Handler serves the status as JSON to GET requests, under any prefix. What
// Options.Console.Authorize refuses gets 403. It only reads: nothing that is
// requested changes anything.
func (s *Supervisor) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "application/json; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, `{"error":"use GET"}`, http.StatusMethodNotAllowed)
			return
		}
		if authorize := s.o.Console.Authorize; authorize != nil {
			if err := authorize(r); err != nil {
				w.WriteHeader(http.StatusForbidden)
				_ = json.NewEncoder(w).Encode(map[string]string{"error": "not allowed to read the status"})
				return
			}
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(s.Status())
	})
}
