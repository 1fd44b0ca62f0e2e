package selfheal

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
	"github.com/selfheal-go/selfheal/internal/schedule"
)

// work is what the loop itself costs, and whether it turns.
type work struct {
	busy atomic.Int64 // ns that turns have taken

	mu    sync.Mutex
	pulse chan struct{} // closed by the turn that was asked for
	asked time.Time
}

// lag asks the loop for a turn, and says for how long it has owed the last one;
// 0 where it turned since. It does not wait: who asks again sees it grow.
func (s *Supervisor) lag() time.Duration {
	s.mu.Lock()
	r := s.run
	s.mu.Unlock()
	if r == nil {
		return 0
	}
	select {
	case <-r.loopStopped:
		return 0
	default:
	}
	w := &s.work
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pulse != nil {
		select {
		case <-w.pulse:
		default:
			return time.Since(w.asked)
		}
	}
	w.pulse, w.asked = make(chan struct{}), time.Now()
	s.inMu.Lock()
	s.pulses = append(s.pulses, w.pulse)
	s.inMu.Unlock()
	s.poke()
	return 0
}

// measure feeds the meter. s.mu is not held.
func (s *Supervisor) measure(ev *incident.Event) {
	var every time.Duration
	if ev.Kind == incident.EvOpen {
		every = s.interval(ev.Watch)
	}
	s.meter.event(ev, every)
}

// interval is how often a watch is looked at. s.mu is not held.
func (s *Supervisor) interval(watch string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[watch]; e != nil {
		return e.watch.every(&s.o)
	}
	return 0
}

func (e *entry) shadow() bool { return max(e.watch.Mode, e.s.o.Mode) == Shadow }

// measured says that the watch is looked at from now on, unmeasured that it is
// gone. s.mu is held.
func (s *Supervisor) measured(e *entry) {
	if e.shadow() {
		s.meter.shadow(1, s.now())
	}
}

func (s *Supervisor) unmeasured(e *entry) {
	if e.started && e.shadow() {
		s.meter.shadow(-1, s.now())
	}
	s.meter.gone(e.watch.Name)
}

// reading is what a collection shows: less than a Status, because there may be
// many watches and it is taken every few seconds.
type reading struct {
	measured
	whole   incident.Whole
	running bool
	watches []watchReading
	held    map[string]int // incidents by the rail that holds them now
	counts  Counts
	box     outbox.DriverStats
	down    int           // notifiers
	oldest  time.Duration // age of the oldest notice that is owed
	owed    int
	sched   schedule.Stats
	silent  bool // the last sign of life did not arrive
	lag     time.Duration
	busy    time.Duration
	stuck   int // calls of user code
}

type watchReading struct {
	name      string
	state     string
	incidents int
	blind     bool
	open      bool // its breaker
}

func (s *Supervisor) read() reading {
	r := reading{held: map[string]int{}, lag: s.lag(), busy: time.Duration(s.work.busy.Load())}
	s.mu.Lock()
	now := s.now()
	r.whole = s.engine.Whole()
	r.running = s.alive.Load() && !s.ended
	entries := s.registered()
	r.watches = make([]watchReading, 0, len(entries))
	for _, e := range entries {
		w := watchReading{name: e.watch.Name}
		var o incident.Overview
		known := false
		if e.known {
			o, known = s.engine.Overview(e.watch.Name)
			w.incidents, w.blind, w.open = len(o.Incidents), o.BlindErr != nil, o.BreakerTo > 0
			for n := range o.Incidents {
				if rail := o.Incidents[n].Rail; rail != "" {
					r.held[string(rail)]++
				}
			}
		}
		w.state = e.state(&o, known)
		r.watches = append(r.watches, w)
	}
	box, sched, pump, beats := s.outbox, s.sched, s.pump, s.heart
	s.mu.Unlock()

	r.measured = s.meter.read(now)
	r.counts = s.counts.snapshot()
	r.stuck = int(s.calls.abandoned.Load())
	if box != nil {
		for _, o := range box.Snapshot() {
			r.owed++
			r.oldest = max(r.oldest, o.Age)
		}
		for _, t := range box.Targets() {
			if t.Down {
				r.down++
			}
		}
		r.box = box.Stats()
		r.stuck += r.box.Abandoned
	}
	if sched != nil {
		r.sched = sched.Stats()
		r.stuck += r.sched.Hung
	}
	if d := beats.status(); d != nil {
		r.silent = d.Error != ""
	}
	if pump != nil {
		r.counts.Dropped, _ = pump.standing()
	}
	return r
}
