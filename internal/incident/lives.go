package incident

import (
	"fmt"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// Bounds of safe mode: so many unclean ends within so long, none of them followed
// by so long a life.
const (
	uncleanEnds   = 3
	uncleanWithin = time.Hour
	healthyAfter  = 10 * time.Minute
	keptLives     = 16
)

// LifeRecord is a life of the process: it is written when it begins, when it has
// lasted for so long that no crash loop can be made of such lives, and when it
// ends in order.
type LifeRecord struct {
	Began   bool          `json:"began,omitempty"`
	Healthy bool          `json:"healthy,omitempty"`
	Clean   bool          `json:"clean,omitempty"`
	Earlier []LifeSummary `json:"earlier,omitempty"` // in a snapshot: all that matter, this one last
}

// LifeSummary is what is remembered of a life.
type LifeSummary struct {
	Ago     Ago  `json:"ago"` // when it began
	Healthy bool `json:"healthy,omitempty"`
	Clean   bool `json:"clean,omitempty"`
}

type life struct {
	ago            Ago // at the moment that it was written
	at             Moment
	healthy, clean bool
}

// live takes in a record of a life.
func (s *Saved) live(r *LifeRecord, at Moment) {
	switch {
	case len(r.Earlier) > 0:
		s.lives = s.lives[:0]
		for _, l := range r.Earlier {
			s.lives = append(s.lives, life{ago: l.Ago, at: at, healthy: l.Healthy, clean: l.Clean})
		}
	case r.Began:
		s.lives = append(s.lives, life{at: at})
		s.lives = slices.Delete(s.lives, 0, max(len(s.lives)-keptLives, 0))
	case len(s.lives) > 0:
		l := &s.lives[len(s.lives)-1]
		l.healthy = l.healthy || r.Healthy
		l.clean = l.clean || r.Clean
	}
}

// crashLoop is how many lives in a row ended uncleanly, lately, without any of
// them having lasted.
func (s *Saved) crashLoop(now Moment) (n int) {
	for k := len(s.lives) - 1; k >= 0; k-- {
		l := s.lives[k]
		if l.healthy || l.ago+now.Since(l.at) > uncleanWithin {
			break
		}
		if !l.clean {
			n++
		}
	}
	return n
}

// beginLife counts this life, and enters safe mode if those before it crashed
// again and again.
func (e *Engine) beginLife(saved *Saved, now Moment) {
	for _, l := range saved.lives {
		e.lives = append(e.lives, lived{began: e.now - l.ago - now.Since(l.at), healthy: l.healthy, clean: l.clean})
	}
	e.lives = append(e.lives, lived{began: e.now})
	e.lives = slices.Delete(e.lives, 0, max(len(e.lives)-keptLives, 0))
	e.unsaved.lives = append(e.unsaved.lives, LifeRecord{Began: true})
	e.healthyAt = e.now + healthyAfter
	if n := saved.crashLoop(now); n >= uncleanEnds && !mutant(mutSafeMode) {
		e.enterSafeMode(fmt.Sprintf("the process ended %d times within %v without being stopped, and none of these lives lasted %v", n, uncleanWithin, healthyAfter))
	}
}

type lived struct {
	began          At
	healthy, clean bool
}

// lasted is where this life has lasted for long enough.
func (e *Engine) lasted() {
	e.healthyAt = never
	if n := len(e.lives); n > 0 {
		e.lives[n-1].healthy = true
	}
	e.unsaved.lives = append(e.unsaved.lives, LifeRecord{Healthy: true})
	if e.safeMode {
		e.leaveSafeMode()
	}
}

// Ended returns the record that this life ended in order: the last of it.
func (e *Engine) Ended() Record {
	return Record{Life: &LifeRecord{Clean: true}}
}

func (e *Engine) livesRecord() *LifeRecord {
	r := &LifeRecord{}
	for _, l := range e.lives {
		r.Earlier = append(r.Earlier, LifeSummary{Ago: e.now - l.began, Healthy: l.healthy, Clean: l.clean})
	}
	return r
}

func (e *Engine) enterSafeMode(why string) {
	e.safeMode = true
	e.nextID++
	e.safeModeID = fmt.Sprintf("%sm%d", e.o.IDs, e.nextID)
	e.safeModeWhy, e.safeModeSince = why, e.now
	e.emit(Event{Kind: EvSafeMode, Watch: Self, Key: "safe mode", Incident: e.safeModeID, Why: why})
	e.tellSafeMode(escalate.Trigger)
	e.recheck()
}

func (e *Engine) leaveSafeMode() {
	e.safeMode = false
	e.emit(Event{Kind: EvSafeModeOver, Watch: Self, Key: "safe mode", Incident: e.safeModeID, Duration: e.now - e.safeModeSince})
	e.tellSafeMode(escalate.Resolve)
	e.recheck()
}

func (e *Engine) tellSafeMode(kind escalate.Kind) {
	in := escalate.Incident{
		ID: e.safeModeID, Watch: Self, Service: e.o.Service, State: escalate.Open, Opened: e.wall(e.safeModeSince),
		Reason:  escalate.SafeMode,
		Detail:  e.safeModeWhy + ": it observes and calls people, and no step runs until it has lasted " + healthyAfter.String(),
		Finding: detect.Finding{Key: "safe mode", Severity: detect.Critical, Summary: "the process restarts again and again"},
	}
	if kind == escalate.Resolve {
		in.State, in.Closed = escalate.Closed, e.wall(e.now)
	}
	e.do(Decision{Kind: DoTell, Watch: Self, Notice: &Notice{Kind: kind, DedupKey: in.ID, Watches: []string{Self}, Incident: in, Fallback: true}})
	ev := Event{Kind: EvPage, Watch: Self, Key: "safe mode", Incident: in.ID, Reason: in.Reason, Why: in.Detail, Finding: in.Finding}
	if kind == escalate.Resolve {
		ev.Kind = EvResolve
	}
	e.emit(ev)
}
