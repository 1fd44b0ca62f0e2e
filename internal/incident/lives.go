package incident

import (
	"fmt"
	"slices"
	"time"
)

// Bounds of safe mode: three unclean ends (Options.UncleanEnds) within so long, none
// of them followed by so long a life.
const (
	uncleanWithin = time.Hour
	healthyAfter  = 10 * time.Minute
	keptLives     = 16
)

// LifeRecord is a life of the process: it is written when it begins, when it has
// lasted for so long that no crash loop can be made of such lives, and when it
// ends in order.
type LifeRecord struct {
	Began   bool `json:"began,omitempty"`
	Healthy bool `json:"healthy,omitempty"`
	Clean   bool `json:"clean,omitempty"`
}

type life struct {
	at             Moment // when it began
	healthy, clean bool
}

// live takes in a record of a life.
func (s *Saved) live(r *LifeRecord, at Moment) {
	switch {
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
		if l.healthy || now.Since(l.at) > uncleanWithin {
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
	e.unsaved.lives = append(e.unsaved.lives, LifeRecord{Began: true})
	e.healthyAt = e.now + healthyAfter
	if n := saved.crashLoop(now); n >= e.o.UncleanEnds && e.o.UncleanEnds > 0 && !mutant(mutSafeMode) {
		e.enter(&e.safeMode, fmt.Sprintf("the process ended %d times within %v without being stopped, and none of these lives lasted %v", n, uncleanWithin, healthyAfter))
	}
}

// lasted is where this life has lasted for long enough.
func (e *Engine) lasted() {
	e.healthyAt = never
	e.unsaved.lives = append(e.unsaved.lives, LifeRecord{Healthy: true})
	e.exit(&e.safeMode)
}

// Ended returns the record that this life ended in order: the last of it.
func (e *Engine) Ended() Record {
	return Record{Life: &LifeRecord{Clean: true}}
}
