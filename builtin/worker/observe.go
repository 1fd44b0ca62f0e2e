package worker

import "time"

// observe takes in the beats since the last look. Silence is added up from look
// to look, and from no gap more than is usual: a process that was starved or
// suspended stops its workers and its looks alike, and what nobody could see is
// not held against them (the local-health idea of Lifeguard, arXiv 1707.00788).
// A gap is usual up to twice every, or when the one before was as long. Two looks
// at one moment, of two watches, count as one. It says whether any is silent for
// longer than its budget. g.mu is held.
func (g *Group) observe(now, every time.Duration) (silent bool) {
	gap := now - g.looked
	counts := min(gap, max(2*every, g.gap))
	g.looked, g.gap = now, gap
	g.quiet = 0
	for _, m := range g.timed {
		r := m.run
		if r == nil || r.asked > 0 {
			continue
		}
		s := r.seen
		if s.beaten.Load() {
			s.beaten.Store(false)
			s.for_ = 0
			s.trace = nil
		} else {
			s.for_ += min(counts, now-r.began)
			if s.for_ > m.p.budget {
				g.quiet++
			}
		}
	}
	return g.quiet > 0
}

// suspect is what was seen of a worker that is silent.
type suspect struct {
	trace
	looks int  // at its stack
	same  bool // it was the same each time
}

// samples is how often the stack of a silent worker is looked at before it is
// called stuck, once a budget.
const samples = 3

// silent are the workers whose stack is due for a look: once for each budget of
// silence. g.mu is held.
func (g *Group) silent() []*run {
	var runs []*run
	for _, m := range g.timed {
		r := m.run
		if r == nil || r.asked > 0 || r.seen.for_ <= m.p.budget {
			continue
		}
		looks := 0
		if t := r.seen.trace; t != nil {
			looks = t.looks
		}
		if looks < samples && r.seen.for_ > time.Duration(looks+1)*m.p.budget {
			runs = append(runs, r)
		}
	}
	return runs
}

// sample looks at the stacks of silent workers and notes them.
func (g *Group) sample() {
	g.mu.Lock()
	runs := g.silent()
	labels := make([]string, len(runs))
	for i, r := range runs {
		labels[i] = r.m.label()
	}
	g.mu.Unlock()
	traces := g.look(labels, false)
	if traces == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, r := range runs {
		t, ok := traces[labels[i]]
		if !ok || r.m.run != r {
			continue
		}
		old := r.seen.trace
		if old == nil {
			r.seen.trace = &suspect{trace: t, looks: 1, same: true}
			continue
		}
		r.seen.trace = &suspect{trace: t, looks: old.looks + 1, same: old.same && old.pcs == t.pcs}
	}
}
