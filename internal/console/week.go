package console

import (
	"maps"
	"slices"
	"time"
)

// sums is what happened, by the hour, for a week.
type sums struct {
	from  time.Time
	hours []*hour // in order
}

type hour struct {
	at                                       time.Time
	opened, healed, paged, avoided, relapsed int
	held                                     map[string]int
	heals                                    []time.Duration
}

const (
	keptHeals = 256 // times to heal of an hour; more say nothing new
	keptRails = 64  // names of rails of an hour; there are fewer, unless a journal is damaged
)

// at is the hour of a moment. Moments come in order, but for a clock that is set:
// then they count for the latest.
func (s *sums) at(t time.Time) *hour {
	start := t.Truncate(time.Hour)
	if n := len(s.hours); n > 0 && !start.After(s.hours[n-1].at) {
		return s.hours[n-1]
	}
	s.hours = slices.DeleteFunc(s.hours, func(h *hour) bool { return start.Sub(h.at) > week })
	h := &hour{at: start}
	s.hours = append(s.hours, h)
	return h
}

func (h *hour) hold(rail string) {
	if h.held == nil {
		h.held = map[string]int{}
	}
	if _, known := h.held[rail]; known || len(h.held) < keptRails {
		h.held[rail]++
	}
}

func (h *hour) heal(d time.Duration) {
	if len(h.heals) < keptHeals {
		h.heals = append(h.heals, max(d, 0))
	}
}

// week sums the seven days before now.
func (s *sums) week(now time.Time) Week {
	w := Week{From: s.from}
	if start := now.Add(-week); start.After(w.From) {
		w.From = start
	}
	var heals []time.Duration
	for _, h := range s.hours {
		if !h.at.Add(time.Hour).After(w.From) {
			continue
		}
		w.Opened += h.opened
		w.Healed += h.healed
		w.Paged += h.paged
		w.Avoided += h.avoided
		w.Relapsed += h.relapsed
		if h.held != nil && w.Held == nil {
			w.Held = map[string]int{}
		}
		for rail := range maps.Keys(h.held) {
			w.Held[rail] += h.held[rail]
		}
		heals = append(heals, h.heals...)
	}
	slices.Sort(heals)
	if n := len(heals); n > 0 {
		w.TimeToHeal = heals[(n-1)/2]
	}
	return w
}
