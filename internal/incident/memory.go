package incident

import (
	"slices"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// memory is what outlives an incident of a key: what its rails must remember.
type memory struct {
	inc       *inc // the live one
	used      At
	cooldown  At      // no step before
	heals     []At    // within the window of the masking rail, oldest first
	maskTold  At      // when people were last told of masking; unset: never
	last      string  // id of the latest incident that closed
	flips     []At    // when it opened or closed, newest last
	flapping  bool    // as of the last time that it might have closed
	abandoned []*call // that still run
	counted   int     // by the storm rail, while it weighs
}

// remember returns the memory of a key. At most maxMemories of keys without an
// incident are kept: beyond that the one that was idle for longest is
// forgotten, and last of all those on which a limit still rests.
func (w *watch) remember(key string, now At) *memory {
	m := w.keys[key]
	if m == nil {
		if len(w.keys)-len(w.live) >= maxMemories {
			w.forgetOldest(now)
		}
		m = &memory{maskTold: unset}
		w.keys[key] = m
	}
	m.used = now
	return m
}

const maxMemories = 4000

// forgetOldest makes room: first what nothing rests on, then the oldest.
func (w *watch) forgetOldest(now At) {
	var oldest string
	var at At = never
	for k, m := range w.keys {
		if m.inc != nil || len(m.abandoned) > 0 {
			continue
		}
		used := m.used
		if now < m.cooldown || len(m.heals) > 0 {
			used += w.Playbook.Limits.Heals.Within // rests on it: goes last
		}
		if used < at || used == at && k < oldest {
			oldest, at = k, used
		}
	}
	if at != never {
		delete(w.keys, oldest)
	}
}

// heal counts a heal for the masking rail, which asks for the last N.
func (m *memory) heal(now At, lim remediate.Heals) {
	if lim.N < 0 {
		return
	}
	m.heals = append(m.heals, now)
	m.trimHeals(now, lim.Within)
	m.heals = slices.Delete(m.heals, 0, max(len(m.heals)-lim.N, 0))
}

func (m *memory) trimHeals(now, within At) {
	n := 0
	for n < len(m.heals) && m.heals[n]+within <= now {
		n++
	}
	m.heals = slices.Delete(m.heals, 0, n)
}

// masked says whether the key of i was healed so often that the fix must be
// taken to hide a bug.
func (e *Engine) masked(i *inc) bool {
	h := i.w.Playbook.Limits.Heals
	if h.N < 0 || mutant(mutMasking) {
		return false
	}
	i.mem.trimHeals(e.now, h.Within)
	return len(i.mem.heals) >= h.N
}

// tellMasking tells people once a day that Safe steps go on hiding a bug. Where
// a rung above Safe is next, the rail tells them.
func (e *Engine) tellMasking(i *inc) {
	if s := i.step(); s == nil || s.Risk.AboveSafe() {
		return
	}
	if t := i.mem.maskTold; t != unset && e.now < t+tellMaskingIn {
		return
	}
	i.mem.maskTold = e.now
	e.page(i, escalate.Masking, "healed again and again: the fix hides a bug; safe steps go on")
}
