package selfheal

import "github.com/selfheal-go/selfheal/internal/incident"

// NoSafeMode is for tests that kill a process again and again and want it to act
// all the same. It is called before Run.
func (s *Supervisor) NoSafeMode() {
	s.engine = incident.New(incident.Options{
		Service: s.o.Service, IDs: newIDs(), Build: build(), UncleanEnds: -1,
		MaxConcurrent: s.o.MaxConcurrent, MaxRisk: s.o.MaxRisk, Gate: s.o.Gate != nil, Durable: s.o.Journal != nil,
	})
}
