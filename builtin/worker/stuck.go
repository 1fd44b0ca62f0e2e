package worker

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// Stuck finds workers that make no progress (GO-6): silent for Options.Budgets of
// their budgets, or still running when the stop time-out is over. A finding lasts
// until the worker beats, returns or is replaced. It names the place where the
// worker is, and says "stuck" where it was the same in three looks and "busy"
// where it moves. The key is that of [Crash].
//
// The ladder: "cancel" ends its context and starts it again when it returns;
// "replace" gives up on a run that ignores that and starts the next beside it, up
// to GroupOptions.MaxAbandoned, then a person is called, as for one that hangs in
// the operating system; "recycle" where Options have it. A restart counts as a
// cure when the new run has beaten within its budget.
func Stuck(o Options) selfheal.Watch {
	own := o
	o = o.filled()
	steps := []remediate.Step{
		{Name: "cancel", Run: RestartWorker(o.Groups...), Verify: o.beats, Timeout: o.stepTimeout(), Settle: 2 * o.Every, Lasting: true},
		{Name: "replace", Run: ReplaceWorker(o.Groups...), Verify: o.beats, Timeout: o.stepTimeout(), Settle: 2 * o.Every, Lasting: true},
	}
	return selfheal.Watch{
		Name: "stuck", Every: o.Every, Runbook: o.Runbook, Escalate: o.Escalate, Evidence: o.Evidence,
		Detector: &detector{
			o: own, scan: o.stuck, say: o.sayStuck,
			before: func(g *Group) { g.listen(o.Every) },
		},
		Playbook: remediate.Ladder(o.withRecycle(steps)...),
	}
}

// listen takes in the beats, and looks where those are that are silent.
func (g *Group) listen(every time.Duration) {
	g.mu.Lock()
	silent := false
	if g.phase == running && len(g.timed) > 0 {
		silent = g.observe(g.now(), every)
	}
	g.mu.Unlock()
	if silent {
		g.sample()
	}
}

// limit is the silence from which on a worker counts as stuck.
func (o Options) limit(p *policy) time.Duration {
	return max(time.Duration(o.Budgets)*p.budget, leastLooks*o.Every)
}

// stuck notes those that make no progress.
func (o Options) stuck(g *Group, now time.Duration, to []case_) []case_ {
	if g.quiet > 0 {
		for _, m := range g.timed {
			if r := m.run; r != nil && r.asked == 0 && r.seen.for_ > o.limit(m.p) {
				c := m.caseOf(now)
				c.suspect = r.seen.trace
				to = append(to, c)
			}
		}
	}
	if g.asking > 0 {
		for _, m := range g.members {
			if r := m.run; r != nil && r.asked > 0 && now-r.asked+1 >= g.o.StopTimeout {
				c := m.caseOf(now)
				c.asked = now - r.asked + 1
				if r.seen != nil {
					c.suspect = r.seen.trace
				}
				to = append(to, c)
			}
		}
	}
	return to
}

func (o Options) sayStuck(c *case_) detect.Finding {
	f := detect.Finding{Severity: detect.Critical}
	if c.asked > 0 {
		f.Summary = "has ignored its context for " + short(c.asked)
		f.Evidence = append(f.Evidence, slog.Duration("ignored", c.asked))
	} else {
		f.Summary = fmt.Sprintf("no beat for %s, budget %v", short(c.Silence), c.p.budget)
		f.Evidence = append(f.Evidence, slog.Duration("silence", c.Silence), slog.Duration("budget", c.p.budget))
	}
	f.Evidence = append(f.Evidence, slog.Int("abandoned", c.left), slog.Int("abandoned_max", c.most))
	if t := c.suspect; t != nil {
		how := "at"
		switch {
		case t.looks > 1 && !t.same:
			how = "busy at"
		case t.looks >= samples && t.inSyscall():
			how = "stuck in the operating system, called by"
		case t.looks >= samples:
			how = "stuck at"
		}
		if site := t.site(); site != "" {
			f.Summary += ": " + how + " " + site
		}
		f.Evidence = append(f.Evidence, slog.String("stack", t.text), slog.Int("looks", t.looks), slog.Bool("same", t.same))
	}
	return f
}
