package sqlpool

import (
	"errors"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// Module returns the watches of one pool: "exhausted" (GO-8), which acts; "warning",
// which tells people before that; "leak", where there is a Tracker; and "churn",
// unless MaxChurn is -1. Warning and leak say nothing of their own while exhausted
// has an open incident.
func Module(o Options) selfheal.Module {
	p := newPack(o)
	m := selfheal.Module{Name: p.name(), Version: "v0.1.0", Watches: []selfheal.Watch{p.exhausted()}}
	warning := p.warning()
	warning.After = []string{"exhausted"}
	m.Watches = append(m.Watches, warning)
	if p.o.Tracker != nil {
		leak := p.leak()
		leak.After = []string{"exhausted"}
		m.Watches = append(m.Watches, leak)
	}
	if p.o.MaxChurn != -1 {
		m.Watches = append(m.Watches, p.churn())
	}
	return m
}

// Exhausted finds that callers wait longer than MaxWait for a connection, or that
// nobody gets one, and climbs the whole ladder.
func Exhausted(o Options) selfheal.Watch { return newPack(o).exhausted() }

// Warning finds that callers have waited longer than half of MaxWait for 10 min. It
// only tells people.
func Warning(o Options) selfheal.Watch { return newPack(o).warning() }

// Leak finds connections that are not given back, one finding a site of the program.
// Those that are [Proven] leaked are reclaimed; of those that are [Suspected] people
// are told. It needs a Tracker.
func Leak(o Options) selfheal.Watch { return newPack(o).leak() }

// Churn finds that connections are closed and opened again all the time, because the
// pool keeps too few of them. It only tells people.
func Churn(o Options) selfheal.Watch { return newPack(o).churn() }

// pack is what the watches and steps of one pool share.
type pack struct {
	o          Options
	problem    error
	limit      *limit
	rebuilt    rebuilt
	rebuildFor time.Duration
}

func newPack(o Options) *pack {
	p := &pack{problem: o.Validate(), o: o.withDefaults(), rebuildFor: rebuildFor}
	p.limit = &limit{}
	if p.o.Tracker != nil {
		p.limit = &p.o.Tracker.limit
	}
	if p.problem == nil && !p.limit.bind(p.o.DB) {
		p.problem = errShared
	}
	return p
}

var errShared = errors.New("sqlpool: Options.Tracker is used with another DB already: use one for each")

func (p *pack) name() string {
	if p.o.Name == "" {
		return "sqlpool"
	}
	return "sqlpool-" + p.o.Name
}

// extra is how many slots the pool has for connections that were taken.
func (p *pack) extra() int {
	_, extra := p.limit.read()
	return extra
}

// limits let only one ladder of a pool act at a time, and call a person after so many
// heals a day: a leak is a mistake of the program that no step mends.
func (p *pack) limits(heals int) remediate.Limits {
	return remediate.Limits{Exclusive: p.name(), Heals: remediate.Heals{N: heals, Within: 24 * time.Hour}}
}

// Durations that Validate objects to are left out of the watch, so that each mistake
// is reported once: by the detector.

func (p *pack) exhausted() selfheal.Watch {
	return selfheal.Watch{
		Name: "exhausted", Detector: p.waits(1, detect.Critical, p.o.For),
		For: max(p.o.For, 0), KeepFor: max(p.o.KeepFor, 0), Every: max(p.o.Every, 0),
		Playbook: remediate.Playbook{Name: p.name() + "/exhausted", Steps: p.ladder(), Limits: p.limits(2)},
	}
}

// ladder has no rungs that could only be skipped.
func (p *pack) ladder() (steps []remediate.Step) {
	if p.o.Tracker != nil {
		if p.o.IdleHold > 0 || p.o.MaxHold > 0 {
			steps = append(steps, p.awaitHolders())
		}
		steps = append(steps, p.cancelHolders())
	}
	if p.o.FairShare > 0 && p.o.Settings != nil {
		steps = append(steps, p.shrink())
	}
	if p.o.Tracker != nil || p.o.Settings != nil {
		steps = append(steps, p.rebuild())
	}
	return steps
}

func (p *pack) warning() selfheal.Watch {
	return selfheal.Watch{
		Name: "warning", Detector: p.waits(warnShare, detect.Warning, warnFor),
		For: warnFor, KeepFor: max(p.o.KeepFor, 0), Every: max(p.o.Every, 0),
	}
}

func (p *pack) waits(share float64, severity detect.Severity, hold time.Duration) *waits {
	return &waits{p: p, limit: time.Duration(share * float64(p.o.MaxWait)), severity: severity, hold: hold, origin: time.Now()}
}

func (p *pack) leak() selfheal.Watch {
	return selfheal.Watch{
		Name: "leak", Detector: leaks{p}, Every: max(p.o.Every, 0),
		Playbook: remediate.Playbook{Name: p.name() + "/leak", Steps: []remediate.Step{p.reclaim()}, Limits: p.limits(1)},
	}
}

func (p *pack) churn() selfheal.Watch {
	return selfheal.Watch{Name: "churn", Detector: newChurn(p), For: warnFor, Every: max(p.o.Every, 0)}
}
