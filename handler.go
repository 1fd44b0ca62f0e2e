package selfheal

import (
	"net/http"

	"github.com/selfheal-go/selfheal/internal/console"
)

// Handler serves the console: a page for people, and its JSON for programs, which
// docs/api.md describes. Mount it at an address that ends with a slash, under any
// prefix, with http.StripPrefix or without. One handler is enough; it starts
// nothing and needs no closing, and it serves before Run, while it runs and after.
//
// Reading is open to whoever reaches the handler. What changes something, evidence
// and the journal are for those whom Options.Console.Authorize lets do it. A request
// under a name that is neither loopback nor among Options.Console.Hosts is refused.
//
// The page is live by a stream that lasts a minute at most and is then resumed, so
// that it works behind a WriteTimeout and holds up no Shutdown for longer.
func (s *Supervisor) Handler() http.Handler {
	o := s.o.Console.config(s.source())
	if authorize := s.o.Console.Authorize; authorize != nil {
		o.Authorize = func(r *http.Request, c console.Control) (who string, err error) {
			defer func() {
				if x := recover(); x != nil {
					s.counts.panics.Add(1)
					who, err = "", newPanic("Options.Console.Authorize", x)
				}
			}()
			return authorize(r, controlOf(c))
		}
	}
	if s.evidenceOpener() != nil {
		o.Source.Evidence = s.openEvidence
		if s.o.Console.Evidence == nil {
			o.Source.Kept = s.keptEvidence
		}
	}
	h, err := console.New(o)
	if err != nil {
		s.logger().Error("selfheal: the console cannot be served", "error", err)
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "selfheal: Options.Console is wrong; the log of the service says what, and so does Validate", http.StatusInternalServerError)
		})
	}
	return h
}
