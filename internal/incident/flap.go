package incident

import (
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// Flapping is the share of changes in the last 21 states of a key, the newer
// ones weighted more: 0.8 + 0.02 i for the i-th of 20 changes, as Icinga
// computes it (icinga2 lib/icinga/checkable-flapping.cpp). It starts at 30 %
// and ends below 25 %.
const (
	flapStates = 21
	flapHigh   = 30.0
	flapLow    = 25.0
)

// flip is an opening or a closing.
type flip struct {
	at   At
	open bool
}

// flip notes that the key opened or closed.
func (m *memory) flip(now At, open bool) {
	m.flips = append(m.flips, flip{now, open})
	if n := len(m.flips) - 2*flapStates; n > 0 {
		m.flips = slices.Delete(m.flips, 0, n)
	}
}

// flapping says whether the incident must be held open because its key opens
// and closes again and again. States are taken at the pace at which they can
// change, KeepFor apart, and at least the watch's interval.
func (e *Engine) flapping(i *inc) bool {
	if mutant(mutFlapping) || i.w.removing || e.stopping {
		return false
	}
	limit := flapHigh
	if i.rail == remediate.RailFlapping {
		limit = flapLow
	}
	var states [flapStates]uint8
	i.mem.states(e.now, max(i.w.KeepFor, i.w.Every, time.Second), states[:])
	// The state that would come next is a close.
	copy(states[:], states[1:])
	states[flapStates-1] = 0
	return flapShare(states[:]) > limit
}

// states fills to with whether the key was open, pace apart, the last one now.
func (m *memory) states(now, pace At, to []uint8) {
	n := len(m.flips)
	at := now
	for s := len(to) - 1; s >= 0; s-- {
		for n > 0 && m.flips[n-1].at > at {
			n--
		}
		to[s] = 0
		if n > 0 && m.flips[n-1].open {
			to[s] = 1
		}
		at -= pace
	}
}

// flapShare returns the weighted share of changes in percent.
func flapShare(states []uint8) float64 {
	changes := 0.0
	for n := 1; n < len(states); n++ {
		if states[n] != states[n-1] {
			changes += 0.8 + 0.02*float64(n-1)
		}
	}
	return 100 * changes / float64(len(states)-1)
}
