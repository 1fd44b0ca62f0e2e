package worker

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// Crash finds workers that fail (GO-7): a Warning from a failure until the worker
// has been up for Options.Calm, and Critical from giving up until a trial has held
// that long. One that a person put into quarantine is no finding. The key is the
// name of the worker, after that of its group and a slash if that has one.
//
// The ladder: "restart" (Safe) leaves it to the group, with its pauses and its
// bound; "restart-subtree" starts it, and those that depend on it, once more;
// "quarantine-input" and "recycle" where Options have them; then people are told.
func Crash(o Options) selfheal.Watch {
	own := o
	o = o.filled()
	settle := o.Calm + 2*o.Every
	steps := []remediate.Step{
		{
			Name: "restart", Run: o.letRestart, Settle: settle, Risk: remediate.Safe,
			Retry: remediate.Backoff{Tries: int(max(1, o.Patience/settle)), Initial: time.Millisecond, Max: time.Millisecond, Multiplier: 1},
		},
		{Name: "restart-subtree", Run: RestartWorker(o.Groups...), Settle: settle, Timeout: o.stepTimeout(), Lasting: true},
	}
	if o.QuarantineInput != nil {
		steps = append(steps, remediate.Step{Name: "quarantine-input", Run: o.QuarantineInput, Settle: settle, Lasting: true})
	}
	return selfheal.Watch{
		Name: "crash", Every: o.Every, Runbook: o.Runbook, Escalate: o.Escalate, Evidence: o.Evidence,
		Detector: &detector{o: own, scan: o.crashed, say: sayCrash},
		Playbook: remediate.Ladder(o.withRecycle(steps)...),
	}
}

// crashed notes those that failed lately. A group without failures costs nothing.
func (o Options) crashed(g *Group, now time.Duration, to []case_) []case_ {
	var waiting []string
	for m := range g.unwell {
		f := m.fails
		if f == nil || now-f.at >= max(m.p.Period, o.Calm) && (m.state == up || m.state == finished) {
			delete(g.unwell, m)
			continue
		}
		calm := f.deaths == 0 || now-f.at >= o.Calm
		switch {
		case f.why != "", m.state == finished, m.state == resting, m.state == held:
			continue
		case (m.state == up || m.state == stopping) && calm && (m.run == nil || now-m.run.began >= o.Calm || !f.trial):
			continue
		}
		c := m.caseOf(now)
		if m.state == gaveUp && g.o.Strategy != OneForOne {
			if waiting == nil {
				waiting = g.waiting()
			}
			c.waiting = waiting
		}
		to = append(to, c)
	}
	return to
}

// waiting names those that are held. g.mu is held.
func (g *Group) waiting() []string {
	names := []string{}
	for _, m := range g.members {
		if m.state == held {
			names = append(names, m.name)
		}
	}
	return names
}

func sayCrash(c *case_) detect.Finding {
	f := detect.Finding{}
	times := "died once"
	if c.Deaths > 1 {
		times = "died " + strconv.FormatUint(c.Deaths, 10) + " times"
	}
	switch {
	case c.State == stateNames[gaveUp]:
		f.Severity = detect.Critical
		f.Summary = times + ", given up: " + c.Err
	case c.trial:
		f.Severity = detect.Critical
		f.Summary = times + ", given up, now on trial: " + c.Err
	default:
		f.Summary = times + ": " + c.Err
	}
	f.Evidence = []slog.Attr{slog.String("error", c.Err), slog.Uint64("deaths", c.Deaths)}
	if c.p.Intensity >= 0 {
		f.Evidence = append(f.Evidence, slog.String("restarts", fmt.Sprintf("%d in %v, gives up after %d", c.Recent, c.p.Period, c.p.Intensity)))
	}
	if c.Stack != "" {
		f.Evidence = append(f.Evidence, slog.String("stack", c.Stack))
	}
	if len(c.waiting) > 0 {
		f.Evidence = append(f.Evidence, slog.Any("waiting", c.waiting))
	}
	return f
}

// letRestart is the rung that leaves a worker to its group. Restarts are counted
// there and nowhere else: two levels of them would multiply.
func (o Options) letRestart(ctx context.Context, req remediate.Request) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	g, name, err := o.of(req.Finding.Key)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.names[name]; m != nil && m.state == gaveUp {
		return fmt.Errorf("%w: the group has given it up", remediate.ErrSkip)
	}
	return nil
}
