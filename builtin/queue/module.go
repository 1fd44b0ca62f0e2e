package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// Module returns the two watches for the queues in o: [Backlog], which acts, and
// [Warning], which tells people before that.
//
// The single watches are not in it: one overload shows in depth, age, sojourn and
// drain time at once, and four incidents for it would be four ladders, or a storm.
func Module(o Options) selfheal.Module {
	warning := Warning(o)
	warning.After = []string{"backlog"}
	return selfheal.Module{Name: "queue", Version: "v0.1.0", Watches: []selfheal.Watch{Backlog(o), warning}}
}

// Backlog finds a queue that is beyond one of its limits by any signal, and
// climbs the whole ladder for it. Its findings are Critical. Where there is a
// ladder they have no Value: the supervisor would take a surge for the doing of a
// rung, and undo it.
func Backlog(o Options) selfheal.Watch {
	return o.watch("backlog", newDetector(o, 1, detect.Critical, depth, wait, sojourn, drain))
}

// Warning finds a queue that is beyond Options.Warn of a limit for long, and tells
// people. In the module it says nothing of its own while a backlog is open. CoDel's
// verdict has no share and is not among its signals.
func Warning(o Options) selfheal.Watch {
	e := o.effective()
	d := newDetector(o, e.Warn, detect.Warning, depth, wait, drain)
	d.numbers = true
	return selfheal.Watch{
		Name: "warning", Detector: d, For: max(e.WarnFor, 0), KeepFor: max(e.KeepFor, 0), Every: max(o.Every, 0),
	}
}

// Depth finds a queue with more items than MaxDepth, and climbs the ladder.
func Depth(o Options) selfheal.Watch {
	return o.watch("depth", newDetector(o, 1, detect.Critical, depth))
}

// Wait finds a queue whose head has waited longer than MaxWait, from which nothing
// was taken for that long, or in which a new item will wait that long; and climbs
// the ladder.
func Wait(o Options) selfheal.Watch {
	return o.watch("wait", newDetector(o, 1, detect.Critical, wait))
}

// Sojourn finds a standing queue by CoDel's rule (RFC 8289): for a whole interval
// even the shortest wait was above the target. It needs a Meter; the other queues
// are not judged. It climbs the ladder.
func Sojourn(o Options) selfheal.Watch {
	return o.watch("sojourn", newDetector(o, 1, detect.Critical, sojourn))
}

// Drain finds a queue that would take longer than MaxDrain to empty at the
// present rates of arrival and drain, or grows; and climbs the ladder.
func Drain(o Options) selfheal.Watch {
	return o.watch("drain", newDetector(o, 1, detect.Critical, drain))
}

// watch leaves durations that Validate objects to out, so that each mistake is
// reported once: by the detector.
func (o Options) watch(name string, d *detector) selfheal.Watch {
	e := o.effective()
	steps := ladder(o.Queues, max(e.Settle, 0))
	d.numbers = len(steps) == 0
	return selfheal.Watch{
		Name: name, Detector: d, For: max(e.For, 0), KeepFor: max(e.KeepFor, 0), Every: max(o.Every, 0),
		Playbook: remediate.Playbook{Name: "queue/" + name, Steps: steps},
	}
}

// rampTimeout is how long the gate may take to open. While it is overloaded on
// the way back it does not open further; people are told that it cannot.
const rampTimeout = 5 * time.Minute

// ladder is what helps, cheap to drastic: more workers, which nobody notices;
// slower producers, which costs time; fewer requests, which costs answers. A
// rung that no queue can use is left out, so that it is not skipped each time.
func ladder(queues []Queue, settle time.Duration) []remediate.Step {
	r := rungs{}
	var pool, pause, gate bool
	for _, q := range queues {
		r = append(r, rung{q.Name, q.Pool, q.Pause, q.Gate})
		pool, pause, gate = pool || q.Pool != nil, pause || q.Pause != nil, gate || q.Gate != nil
	}
	var steps []remediate.Step
	if pool {
		steps = append(steps, remediate.Step{Name: "scale-workers", Run: r.scaleUp, Undo: r.scaleBack, Settle: settle, Risk: remediate.Safe})
	}
	if pause {
		steps = append(steps, remediate.Step{Name: "pause-producers", Run: r.pause, Undo: r.resume, Settle: settle, Timeout: rampTimeout, Risk: remediate.Disruptive})
	}
	if gate {
		steps = append(steps, remediate.Step{Name: "shed-load", Run: r.shed, Undo: r.restore, Settle: settle, Timeout: rampTimeout, Risk: remediate.Disruptive})
	}
	return steps
}

// rungs finds what a queue has by the key of the finding.
type rungs []rung

type rung struct {
	name  string
	pool  *Pool
	pause *Pause
	gate  *Gate
}

// of returns the rungs of the queue that req is about; the zero one where there
// is no such queue.
func (rs rungs) of(req remediate.Request) rung {
	if i := slices.IndexFunc(rs, func(r rung) bool { return r.name == req.Finding.Key }); i >= 0 {
		return rs[i]
	}
	return rung{}
}

func lacks(req remediate.Request, what string) error {
	return fmt.Errorf("queue: there is no %s for queue %q: %w", what, req.Finding.Key, remediate.ErrSkip)
}

func (rs rungs) scaleUp(ctx context.Context, req remediate.Request) error {
	if p := rs.of(req).pool; p != nil {
		return p.ScaleUp(ctx, req)
	}
	return lacks(req, "pool")
}

func (rs rungs) scaleBack(ctx context.Context, req remediate.Request) error {
	if p := rs.of(req).pool; p != nil {
		return p.ScaleBack(ctx, req)
	}
	return nil
}

func (rs rungs) pause(ctx context.Context, req remediate.Request) error {
	if p := rs.of(req).pause; p != nil {
		return p.Stop(ctx, req)
	}
	return lacks(req, "pause")
}

func (rs rungs) resume(ctx context.Context, req remediate.Request) error {
	if p := rs.of(req).pause; p != nil {
		return p.Resume(ctx, req)
	}
	return nil
}

// shed adapts where the gate has a signal: it then refuses no more than it takes.
func (rs rungs) shed(ctx context.Context, req remediate.Request) error {
	switch g := rs.of(req).gate; {
	case g == nil:
		return lacks(req, "gate")
	case g.o.Overloaded != nil:
		return g.Adapt(ctx, req)
	default:
		return g.Shed(ctx, req)
	}
}

func (rs rungs) restore(ctx context.Context, req remediate.Request) error {
	if g := rs.of(req).gate; g != nil {
		return g.Restore(ctx, req)
	}
	return nil
}
