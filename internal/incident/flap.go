package incident

import (
	"slices"
	"time"
)

// Flapping is the share of changes between the last 21 states of a key, the
// newer ones weighted more: 0.8 + 0.02 i for the i-th of 20 changes, as Icinga
// computes it (icinga2 lib/icinga/checkable-flapping.cpp). It begins above 30 %
// and ends at 25 %.
const (
	flapChanges = 20
	flapHigh    = 30.0
	flapLow     = 25.0
)

// flip notes that the key opened or closed.
func (m *memory) flip(now At) {
	m.flips = append(m.flips, now)
	if n := len(m.flips) - 2*flapChanges; n > 0 {
		m.flips = slices.Delete(m.flips, 0, n)
	}
}

// flapping says whether the incident must be held open because its key opens
// and closes again and again: closing it now would be one more change.
func (e *Engine) flapping(i *inc) bool {
	if mutant(mutFlapping) || i.w.removing || e.stopping {
		return false
	}
	limit := flapHigh
	if i.mem.flapping {
		limit = flapLow
	}
	changed := i.mem.changes(e.now, max(i.w.KeepFor, i.w.Every, time.Second))
	changed[flapChanges-1] = true
	i.mem.flapping = flapShare(&changed) > limit
	return i.mem.flapping
}

// changes says for each of the last stretches of time, of the given length and
// the newest last, whether the key opened or closed in it. A stretch is as long
// as an incident lasts at least, so that the pace of the looks does not matter.
func (m *memory) changes(now, pace At) (changed [flapChanges]bool) {
	for _, at := range m.flips {
		if n := (now - at) / pace; n < flapChanges {
			changed[flapChanges-1-n] = true
		}
	}
	return changed
}

// flapShare returns the weighted share of changes in percent.
func flapShare(changed *[flapChanges]bool) float64 {
	share := 0.0
	for n, c := range changed {
		if c {
			share += 0.8 + 0.02*float64(n)
		}
	}
	return 100 * share / flapChanges
}
