package worker

import "time"

// A round restarts members lo to hi of a group whose workers depend on each
// other: it stops them, the last first, each before the next, and then starts
// them in order. There is one round at a time; who fails meanwhile joins it.
type round struct {
	lo, hi int
	at     time.Duration // not started before
	timer  *time.Timer
}

// join makes m, and who is restarted with it, part of the round. g.mu is held.
func (g *Group) join(m *member, at time.Duration) {
	lo, hi := 0, len(g.members)-1
	if g.o.Strategy == RestForOne {
		for g.members[lo] != m {
			lo++
		}
	}
	if g.round == nil {
		g.round = &round{lo: lo, hi: hi, at: at}
		return
	}
	g.round.lo, g.round.hi = min(g.round.lo, lo), hi
	g.round.at = max(g.round.at, at)
}

// removed keeps the bounds where member i left. It copes with no round.
func (rd *round) removed(i int) {
	if rd == nil {
		return
	}
	if i < rd.lo {
		rd.lo--
	}
	if i <= rd.hi {
		rd.hi--
	}
}

func (g *Group) dropRound() {
	if g.round != nil && g.round.timer != nil {
		g.round.timer.Stop()
	}
	g.round = nil
}

// advance takes the round as far as it goes now. It is called whenever something
// has happened that it may wait for. g.mu is held.
func (g *Group) advance(now time.Duration) {
	rd := g.round
	if rd == nil || g.phase != running {
		return
	}
	for i := rd.hi; i >= rd.lo; i-- {
		if m := g.members[i]; m.run != nil && !g.stopped(m, now) {
			return
		}
	}
	if now < rd.at {
		g.again(rd.at - now)
		return
	}
	lo, hi := rd.lo, rd.hi
	g.dropRound()
	for _, m := range g.members[lo : hi+1] {
		if m.fails != nil && m.fails.why != "" {
			m.state = gaveUp // put into quarantine meanwhile
		}
	}
	for i := lo; i <= hi; i++ {
		switch m := g.members[i]; {
		case m.state == finished || m.state == gaveUp:
		case g.blocked(i):
			m.state = held
		default:
			g.start(m, now)
		}
	}
}

// stopped makes m stop, and says whether it has. g.mu is held.
func (g *Group) stopped(m *member, now time.Duration) bool {
	r := m.run
	if r.asked == 0 {
		next := thenHold
		if m.then == thenDown {
			next = thenDown
		}
		g.ask(m, ErrSibling, next)
		g.again(g.o.StopTimeout)
		return false
	}
	if m.then == thenStart {
		m.then = thenHold // the round starts it
	}
	if wait := g.o.StopTimeout - (now - r.asked + 1); wait > 0 {
		g.again(wait)
		return false
	}
	return false // what follows is for late, or for its return
}

// late gives up on the member that the round has waited for too long, as long as
// the cap allows it.
func (g *Group) late(rd *round) {
	g.mu.Lock()
	m := g.waitsFor(rd)
	if m == nil {
		g.mu.Unlock()
		return
	}
	label := m.label()
	g.mu.Unlock()
	stack := g.look([]string{label}, true)[label].text
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waitsFor(rd) == m {
		g.abandon(m, stack, g.now())
		m.state = held
		if m.then == thenDown {
			m.state = gaveUp
		}
	}
}

// waitsFor is the member that has ignored its context for so long that the round
// goes on without its return; nil if there is none. g.mu is held.
func (g *Group) waitsFor(rd *round) *member {
	if g.round != rd || g.phase != running || len(g.abandoned) >= g.o.MaxAbandoned {
		return nil
	}
	for i := rd.hi; i >= rd.lo; i-- {
		m := g.members[i]
		if r := m.run; r != nil {
			if r.asked > 0 && g.now()-r.asked+1 >= g.o.StopTimeout && m.then != thenForget {
				return m
			}
			return nil
		}
	}
	return nil
}

// blocked says whether one on which member i depends was given up.
func (g *Group) blocked(i int) bool {
	on := g.members
	if g.o.Strategy == RestForOne {
		on = g.members[:i]
	}
	for _, m := range on {
		if m.state == gaveUp {
			return true
		}
	}
	return false
}

// again looks at the round later.
func (g *Group) again(after time.Duration) {
	rd := g.round
	if rd.timer != nil {
		rd.timer.Stop()
	}
	rd.timer = time.AfterFunc(after, func() {
		g.late(rd)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.round == rd {
			g.advance(g.now())
		}
	})
}
