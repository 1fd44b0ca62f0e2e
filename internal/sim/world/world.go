package world

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/selfheal-go/selfheal/internal/sim/monitor"
)

// World is one run: machines, their supervisors, providers and people.
type World struct {
	timeline
	cfg       Config
	set       *setup
	monitor   *monitor.Monitor
	machines  []*machine
	providers map[string]*provider

	noise    *rand.Rand // of what is no fault: how long things take
	chances  [faults]chance
	pace     [faults]float64
	fired    []Strike
	healed   bool // no fault comes any more, from
	healedAt time.Duration

	faults int
	quiets int
	stats  Stats
	story  story
}

// Stats is what happened in a run.
type Stats struct {
	Lives     int           // of processes
	Acts      int           // calls of actions
	Notices   int           // that providers got
	Simulated time.Duration // over all machines
}

// A Result is how a run ended.
type Result struct {
	// Violation is the first promise that was broken; nil when none was.
	Violation *monitor.Violation
	At        time.Duration // when
	Fired     []Strike      // the faults that came, in order
	Stats     Stats
	Story     uint64 // a hash of all that happened
}

// rest bounds how long everything may take to come to rest once all faults have
// healed: an incident that flaps is held for twenty times its pace.
const rest = 4 * time.Hour

// Run runs a world to its end, or to the first promise that is broken.
func Run(cfg Config) Result {
	if cfg.Hours == 0 {
		cfg.Hours = 6
	}
	w := &World{cfg: cfg, set: setUp(&cfg), noise: stream(cfg.Seed, "noise"), providers: map[string]*provider{}}
	w.story.begin(cfg.Story)
	pace := stream(cfg.Seed, "pace")
	for f := range faults {
		w.chances[f].Rand = stream(cfg.Seed, "fault", int(f))
		w.pace[f] = []float64{0, 0.3, 1, 1}[pace.IntN(4)]
		if f == PowerCut || f == Kill || f == Stop {
			w.pace[f] = []float64{0, 0.03, 0.15, 0.6}[pace.IntN(4)]
		}
	}
	w.pace[Sickness] = 1
	w.monitor = monitor.New(w.set.watching, w.set.machines)
	for _, name := range w.set.targets {
		w.providers[name] = &provider{w: w, name: name}
		w.after(time.Minute, w.providers[name].minute)
	}
	for n := range w.set.machines {
		m := newMachine(w, n)
		w.machines = append(w.machines, m)
		w.after(0, m.start)
		w.after(time.Duration(n)*time.Second+time.Minute, m.minute)
	}
	w.after(time.Minute, w.punctual)
	broken := func() bool { return w.monitor.Violation() != nil }

	end := time.Duration(cfg.Hours * float64(time.Hour))
	w.until(end, broken)
	if !broken() {
		w.heal()
		w.settle(end, broken)
	}
	r := Result{Violation: w.monitor.Violation(), At: w.now, Fired: w.fired, Stats: w.stats, Story: w.story.sum()}
	for _, m := range w.machines {
		r.Stats.Lives += m.lives
		r.Stats.Simulated += w.now
	}
	return r
}

// heal ends all faults, for good.
func (w *World) heal() {
	w.healed, w.healedAt = true, w.now
	w.tell(nil, "all faults heal")
	for _, p := range w.providers {
		p.down, p.slow, p.busy = 0, 0, 0
	}
	for _, m := range w.machines {
		m.stallTill = 0
		m.disk.SetCapacity(1 << 40)
		clear(m.blind)
		clear(m.lying)
		clear(m.avalanche)
		for _, r := range m.world {
			r.fault = 0
		}
		w.after(0, m.careful)
	}
}

// settle waits until everything is at rest.
func (w *World) settle(end time.Duration, broken func() bool) {
	for {
		unrest := w.unrest()
		switch {
		case broken():
			return
		case unrest == "":
			for _, m := range w.machines {
				m.books.AtRest()
			}
			return
		case w.now > end+rest:
			w.monitor.Broken(monitor.ComesToRest, "%v after all faults healed, %s", rest, unrest)
			return
		}
		w.until(w.now+5*time.Minute, broken)
	}
}

// unrest says what is not at rest; "" when everything is.
func (w *World) unrest() string {
	for _, m := range w.machines {
		p := m.p
		switch {
		case p == nil || p.over:
			return m.name() + " is down"
		case p.stoppedTill > w.now:
			return m.name() + " is stopped"
		}
		if u := m.books.Unrest(); u != "" {
			return m.name() + ": " + u
		}
		if n := p.box.m.Owed(); n > 0 {
			return fmt.Sprintf("%s: %d notices are owed", m.name(), n)
		}
		if whole := p.engine.Whole(); whole.Halted != nil || whole.Storm || whole.SafeMode || whole.Degraded || whole.OwedUndos > 0 || whole.Abandoned > 0 {
			return fmt.Sprintf("%s: %+v", m.name(), whole)
		}
	}
	return ""
}

// punctual asks each minute whether targets that answer were called.
func (w *World) punctual() {
	w.after(time.Minute, w.punctual)
	for _, m := range w.machines {
		if m.p == nil || m.p.over || m.p.stoppedTill > w.now || m.p.stopping {
			continue
		}
		m.books.Late(m.local(), func(target string) time.Duration {
			if at := w.providers[target].answers(); at >= 0 {
				return time.Duration(float64(at) * m.rate)
			}
			return -1
		})
	}
}
