package receive

import (
	"slices"
	"strings"
	"time"
)

// plan is what a batch of statements makes of the table.
type plan struct {
	next    map[string]*record
	stir    map[string]bool // what views show changes; of next
	drop    map[string]bool // forgotten
	live    int
	took    int
	older   int
	crowded int
	store   []string // keys of next that must be stored
	mark    bool     // heard must be stored
	flooded bool
}

// heard says whether the batch had any statement.
func (p *plan) heard() bool { return p.took+p.older+p.crowded > 0 }

// plan works on what is known now; only who has the turn changes that.
func (t *Table) plan(alerts []Alert, now time.Time) *plan {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := &plan{
		next: make(map[string]*record, len(alerts)), stir: make(map[string]bool, len(alerts)),
		drop: map[string]bool{}, live: t.live,
	}
	for i := range alerts {
		t.consider(p, &alerts[i], now)
	}
	p.mark = p.heard() && (len(p.store) > 0 || now.Sub(t.kept) > t.o.Expiry/8)
	t.sweep(p, now)
	return p
}

// consider adds one statement to the plan.
func (t *Table) consider(p *plan, a *Alert, now time.Time) {
	key := a.Finding.Key
	was := p.next[key]
	if was == nil && !p.drop[key] {
		was = t.records[key]
	}
	next, eff := was.after(a, now)
	if eff == older {
		p.older++
		return
	}
	grows := next.state != Resolved && (was == nil || was.state == Resolved)
	if grows && p.live >= t.o.MaxAlerts && !t.evict(p, now) {
		p.crowded++
		p.flooded = true
		return
	}
	switch {
	case grows:
		p.live++
	case next.state == Resolved && was != nil && was.state != Resolved:
		p.live--
	}
	p.took++
	if was != nil && !p.stir[key] {
		why, _ := t.stale(was, now)
		p.stir[key] = eff == changed || why != ""
	} else {
		p.stir[key] = true
	}
	if eff == changed || now.Sub(next.kept) > t.o.Expiry/8 {
		next.kept = now
		p.store = append(p.store, key)
	}
	p.next[key] = next
}

// evict makes room by forgetting what nobody has vouched for longest. That is a
// loss, and said so.
func (t *Table) evict(p *plan, now time.Time) bool {
	oldest := ""
	for key, r := range t.records {
		if _, planned := p.next[key]; planned || r.state == Resolved || now.Before(r.heard.Add(t.o.Expiry)) || p.drop[key] {
			continue
		}
		if oldest == "" || r.heard.Before(t.records[oldest].heard) {
			oldest = key
		}
	}
	if oldest == "" {
		return false
	}
	p.drop[oldest] = true
	p.live--
	p.flooded = true
	return true
}

// sweep forgets what was resolved so long ago that no statement about it can be
// under way, and bounds how many of them are remembered.
func (t *Table) sweep(p *plan, now time.Time) {
	resolved := len(t.records) - t.live
	if now.Sub(t.swept) < t.o.Expiry/8 && resolved <= 2*t.o.MaxAlerts {
		return
	}
	t.swept = now
	type ended struct {
		key string
		at  time.Time
	}
	var rest []ended
	for key, r := range t.records {
		if _, planned := p.next[key]; planned || r.state != Resolved {
			continue
		}
		if now.Sub(r.heard) >= t.o.Expiry {
			p.drop[key] = true
			continue
		}
		rest = append(rest, ended{key, r.heard})
	}
	if over := len(rest) - t.o.MaxAlerts; over > 0 {
		slices.SortFunc(rest, func(a, b ended) int {
			if c := a.at.Compare(b.at); c != 0 {
				return c
			}
			return strings.Compare(a.key, b.key)
		})
		for _, r := range rest[:over] {
			p.drop[r.key] = true
		}
	}
}

// commit makes a plan what is known and returns whom to wake.
func (t *Table) commit(p *plan, now time.Time) (wakes []func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	stir := func(covered func(*View) bool) {
		for _, v := range t.views {
			if covered(v) {
				if wake := v.outdated(); wake != nil {
					wakes = append(wakes, wake)
				}
			}
		}
	}
	for key := range p.drop {
		was := t.records[key]
		delete(t.records, key)
		stir(func(v *View) bool { return was.state != Resolved && v.covers(was) })
	}
	for key, next := range p.next {
		was := t.records[key]
		t.records[key] = next
		if p.stir[key] && !(next.state == Resolved && (was == nil || was.state == Resolved)) {
			stir(func(v *View) bool { return v.covers(next) || was != nil && v.covers(was) })
		}
	}
	t.live = p.live
	everybody := t.heard.IsZero() && p.heard()
	if p.flooded {
		everybody = everybody || !now.Before(t.flooded)
		t.flooded = now.Add(t.o.Expiry)
	}
	if everybody {
		stir(func(*View) bool { return true })
	}
	if p.heard() {
		t.heard = now
	}
	if p.mark {
		t.kept = now
	}
	return wakes
}
