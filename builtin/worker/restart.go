package worker

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// failures is what is kept of a worker that failed. Its size does not grow with
// how often it did.
type failures struct {
	deaths uint64
	err    error         // of the last one
	at     time.Duration // when
	level  float64       // how far the pause has grown; halved by each Decay of running
	recent []time.Duration
	next   int // in recent, once that is full

	timer  *time.Timer
	due    time.Duration // of what the timer is for
	pause  time.Duration // the last one
	trial  bool          // it runs because a quarantine ended, and has not proven itself
	trials int           // quarantines in a row
	why    string        // of a quarantine on demand
}

// failed takes in that m failed after running for that long, and decides when it
// is started again: true is now. g.mu is held.
func (g *Group) failed(m *member, ran time.Duration, err error, now time.Duration) (again bool) {
	f := m.failures()
	f.deaths++
	f.err, f.at = err, now
	f.level = f.level*math.Exp2(-float64(ran)/float64(m.p.Decay)) + 1
	g.unwell[m] = struct{}{}
	if f.trial && ran >= m.p.Period {
		f.trial, f.trials = false, 0
	}
	// A trial has one failure, not a fresh budget: counts of restarts at two
	// levels would multiply.
	if f.trial || !f.admit(m.p, now) {
		g.giveUp(m, now)
		return false
	}
	f.pause = f.wait(m.p)
	g.tell(Died, m, err, "")
	if g.o.Strategy != OneForOne {
		m.state = pausing
		f.due = now + f.pause
		g.join(m, f.due)
		g.advance(now)
		return false
	}
	if f.pause <= 0 {
		return true
	}
	m.state = pausing
	m.arm(f.pause, now)
	return false
}

func (m *member) failures() *failures {
	if m.fails == nil {
		m.fails = &failures{}
	}
	return m.fails
}

// admit notes a restart and says whether there may be one: no more than Intensity
// within the last Period, which is the rule of OTP's supervisor.
func (f *failures) admit(p *policy, now time.Duration) bool {
	if p.Intensity < 0 {
		return true
	}
	if len(f.recent) < p.Intensity {
		f.recent = append(f.recent, now)
		return true
	}
	if now-f.recent[f.next] <= p.Period {
		return false
	}
	f.recent[f.next] = now
	f.next = (f.next + 1) % len(f.recent)
	return true
}

// within is how many restarts there were in the last Period.
func (f *failures) within(p *policy, now time.Duration) int {
	n := 0
	for _, at := range f.recent {
		if now-at <= p.Period {
			n++
		}
	}
	return n
}

// wait is the pause before the next start: none after the first failure in a
// while, then growing.
func (f *failures) wait(p *policy) time.Duration {
	if p.Delay < 0 || f.level < 1.5 {
		return 0
	}
	b := remediate.Backoff{Initial: p.Delay, Max: p.MaxDelay, Jitter: max(p.Jitter, 0)}
	return b.Pause(int(math.Round(f.level))-1, rand.Float64())
}

// giveUp leaves m down until its quarantine is over. g.mu is held.
func (g *Group) giveUp(m *member, now time.Duration) {
	f := m.fails
	m.state = gaveUp
	f.trial = false
	f.why = ""
	f.pause = 0
	if q := m.p.Quarantine; q > 0 {
		f.pause = quarantine(q, f.trials)
		f.trials++
		m.arm(f.pause, now)
	}
	g.tell(GaveUp, m, f.err, "")
	if m.p.essential {
		g.endWith(&GiveUpError{Worker: m.name, Err: f.err})
	}
	if g.o.Strategy != OneForOne {
		g.join(m, now)
		g.advance(now)
	}
}

// quarantine is first doubled by each trial that failed, to an hour at most, or
// to first where that is longer.
func quarantine(first time.Duration, trials int) time.Duration {
	most := max(first, maxQuarantine)
	for ; trials > 0 && first < most; trials-- {
		first *= 2
	}
	return min(first, most)
}

// arm sets the time at which m is started.
func (m *member) arm(after, now time.Duration) {
	f := m.fails
	f.due = now + after
	if f.timer == nil {
		f.timer = time.AfterFunc(after, func() { m.g.dueNow(m) })
		return
	}
	f.timer.Reset(after)
}

func (m *member) disarm() {
	if m.fails != nil && m.fails.timer != nil {
		m.fails.timer.Stop()
	}
}

// dueNow is where a pause or a quarantine is over. A timer that was overtaken by
// something else finds another state, or a later time, and does nothing.
func (g *Group) dueNow(m *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if g.phase != running || m.run != nil || m.fails == nil || now < m.fails.due {
		return
	}
	switch m.state {
	case pausing:
		if g.o.Strategy == OneForOne { // else the round starts it
			g.start(m, now)
		}
	case gaveUp:
		if m.fails.why == "" {
			g.try(m, now)
		}
	}
}

// try starts one that was given up. g.mu is held.
func (g *Group) try(m *member, now time.Duration) {
	m.fails.trial = true
	g.launch(m, now)
}

// launch starts one that is down, where the strategy lets it. g.mu is held.
func (g *Group) launch(m *member, now time.Duration) {
	if g.o.Strategy == OneForOne {
		g.start(m, now)
		return
	}
	m.state = held
	g.join(m, now)
	g.advance(now)
}
