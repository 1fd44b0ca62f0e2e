package world

import (
	"errors"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/internal/incident"
)

// entry is a watch as a process keeps it.
type entry struct {
	p       *process
	watch   *watch
	known   bool // to the engine
	engaged bool // it wants looks that find nothing
	sick    bool // the last look was posted
	looking bool
	again   bool
	hung    bool
	turn    int // numbers what is scheduled: an earlier turn is void
}

var errBlind = errors.New("the detector fails")

// begin schedules the first look.
func (e *entry) begin() { e.schedule(time.Duration(e.p.m.w.noise.Int64N(int64(time.Second)))) }

func (e *entry) schedule(d time.Duration) {
	e.turn++
	turn := e.turn
	e.p.after(d, func() {
		if turn == e.turn {
			e.look()
		}
	})
}

// wake looks now, or once more where a look is under way.
func (e *entry) wake() {
	if e.looking {
		e.again = true
		return
	}
	e.schedule(0)
}

func (e *entry) look() {
	if e.looking || e.p.stopping {
		return
	}
	p, w := e.p, e.p.m.w
	e.looking = true
	started := p.now()
	findings, err := p.m.read(e.watch)
	takes := time.Duration(0)
	switch {
	case w.strikes(HungDetector, 0.0003):
		takes = e.watch.timeout + w.span(HungDetector, time.Second, 10*time.Minute)
		w.tell(p.m, "the detector of %s hangs", e.watch.Name)
	case p.m.busy[e.watch.n] > w.now && w.strikes(SlowDetector, 0.15), w.strikes(SlowDetector, 0.002):
		takes = w.span(SlowDetector, time.Millisecond, e.watch.timeout-time.Second)
	}
	if takes == 0 {
		e.looked(started, findings, err)
		return
	}
	if takes > e.watch.timeout {
		p.after(e.watch.timeout, func() {
			e.hung, e.sick = true, true
			p.post(incident.Input{Kind: incident.InLook, Watch: e.watch.Name, Started: started, Err: fmt.Errorf("no answer within %v", e.watch.timeout)})
		})
	}
	p.after(takes, func() { e.looked(started, findings, err) })
}

func (e *entry) looked(started incident.At, findings []detect.Finding, err error) {
	e.looking = false
	if e.hung {
		e.hung = false
		e.wake()
		return
	}
	if e.p.stopping {
		return
	}
	if e.again {
		e.again = false
		e.wake()
	} else {
		e.schedule(e.watch.Every)
	}
	if err == nil && len(findings) == 0 && !e.engaged && !e.sick {
		return
	}
	e.sick = len(findings) > 0 || err != nil
	e.p.post(incident.Input{Kind: incident.InLook, Watch: e.watch.Name, Started: started, Findings: findings, Err: err})
}

// read is what the detector of a watch says now.
func (m *machine) read(wt *watch) (findings []detect.Finding, err error) {
	w := m.w
	blind := m.blind[wt.n] > w.now
	lies := ""
	if m.lying[wt.n] > w.now && w.among(LyingDetector, 2) == 0 {
		lies = wt.keys[w.among(LyingDetector, len(wt.keys))]
	}
	for _, key := range wt.keys {
		r := m.resource(wt, key)
		if r.sick() == (key == lies) || blind && !m.partly {
			continue
		}
		f := detect.Finding{Key: key, Severity: detect.Warning, Value: 20, Limit: 10, Summary: "20 is above 10"}
		if r.critical {
			f.Severity = detect.Critical
		}
		if r.value > 0 {
			f.Value = r.value
		}
		findings = append(findings, f)
	}
	if n := m.avalanche[wt.n]; n > 0 && !blind {
		for i := range n {
			findings = append(findings, detect.Finding{Key: fmt.Sprintf("x%03d", i), Severity: detect.Warning, Summary: "one of many"})
		}
	}
	if blind {
		err = errBlind
	}
	return findings, err
}
