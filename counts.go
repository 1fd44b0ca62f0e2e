package selfheal

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/selfheal-go/selfheal/internal/incident"
)

// counts are what happened since Run began.
type counts struct {
	panics        atomic.Uint64
	abandoned     atomic.Uint64
	undeliverable atomic.Uint64
	observerPanic atomic.Pointer[PanicError]

	mu  sync.Mutex
	sum Counts
}

// Counts are what happened since Run began.
type Counts struct {
	Opened   uint64            `json:"opened"`   // incidents
	Closed   uint64            `json:"closed"`   // incidents
	Healed   uint64            `json:"healed"`   // closed without people having been called
	Paged    uint64            `json:"paged"`    // times that people were called
	Pages    map[string]uint64 `json:"pages"`    // the same, by reason
	Resolved uint64            `json:"resolved"` // times that they were told it is over
	Blips    uint64            `json:"blips"`    // findings that vanished before For
	Undone   uint64            `json:"undone"`
	Outcomes map[string]uint64 `json:"outcomes"` // of attempts
	Held     map[string]uint64 `json:"held"`     // decisions not to act, by rail
	Storms   uint64            `json:"storms"`
	Tilts    uint64            `json:"tilts"`

	Panics        uint64 `json:"panics"`        // of user code, recovered
	Abandoned     uint64 `json:"abandoned"`     // calls that ignored their context
	Undeliverable uint64 `json:"undeliverable"` // notices that did not reach their target
	Dropped       uint64 `json:"dropped"`       // events that a slow observer missed
}

// event counts one of the engine's.
func (c *counts) event(ev *incident.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.sum
	switch ev.Kind {
	case incident.EvOpen:
		if !ev.Again {
			s.Opened++
		}
	case incident.EvClose:
		s.Closed++
		if ev.Healed {
			s.Healed++
		}
	case incident.EvPage:
		s.Paged++
		if s.Pages == nil {
			s.Pages = map[string]uint64{}
		}
		s.Pages[string(ev.Reason)]++
	case incident.EvResolve:
		s.Resolved++
	case incident.EvBlip:
		s.Blips++
	case incident.EvUndo:
		if ev.Err == nil {
			s.Undone++
		}
	case incident.EvStep:
		if s.Outcomes == nil {
			s.Outcomes = map[string]uint64{}
		}
		s.Outcomes[ev.Attempt.Outcome.String()]++
	case incident.EvHold:
		if s.Held == nil {
			s.Held = map[string]uint64{}
		}
		s.Held[string(ev.Rail)]++
	case incident.EvStorm:
		s.Storms++
	case incident.EvTilt:
		s.Tilts++
	}
}

// snapshot returns the counts so far.
func (c *counts) snapshot() Counts {
	c.mu.Lock()
	s := c.sum
	s.Held, s.Outcomes, s.Pages = copied(s.Held), copied(s.Outcomes), copied(s.Pages)
	c.mu.Unlock()
	s.Panics, s.Abandoned, s.Undeliverable = c.panics.Load(), c.abandoned.Load(), c.undeliverable.Load()
	return s
}

// copied is never nil: JSON shows it as an object.
func copied(m map[string]uint64) map[string]uint64 {
	c := make(map[string]uint64, len(m))
	maps.Copy(c, m)
	return c
}
