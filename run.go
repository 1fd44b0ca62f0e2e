package selfheal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
	"github.com/selfheal-go/selfheal/internal/schedule"
	"github.com/selfheal-go/selfheal/internal/trial"
	"github.com/selfheal-go/selfheal/remediate"
)

// Run watches until ctx ends, and returns nil then; it blocks, so it drops into
// an errgroup. At the end nothing new starts, running steps and owed undos get
// Options.Grace, and Run returns at most 2 s after that. It returns only when
// everything that it started has ended or is counted as abandoned.
//
// Every sound watch is started; the unsound ones are logged, shown as invalid
// and escalated. With Options.Strict any mistake is returned instead, as a
// *WiringError, and nothing starts. Where a step asked for the process to be
// replaced, Run returns a *RecycleError. A second Run returns [ErrRunTwice].
func (s *Supervisor) Run(ctx context.Context) error {
	if s.o.Strict {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	r, err := s.begin(ctx)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-r.recycled:
	}
	r.shutdown()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recycle != nil {
		return s.recycle
	}
	return nil
}

// run is one Run under way.
type run struct {
	s        *Supervisor
	recycled chan struct{}
	quiet    chan struct{} // the engine rests, while shutting down
	once     sync.Once

	systemd     *systemd
	looking     context.CancelFunc
	scheduled   chan struct{}
	stopLoop    chan struct{}
	loopStopped chan struct{}
}

func (s *Supervisor) begin(ctx context.Context) (*run, error) {
	r := &run{
		s: s, recycled: make(chan struct{}), quiet: make(chan struct{}),
		scheduled: make(chan struct{}), stopLoop: make(chan struct{}), loopStopped: make(chan struct{}),
	}
	fallback := s.policy.plan(s.o.Escalate) // asks the user's notifiers: no lock
	beats := newHeart(s)
	keeper := s.newKeeper(trial.Is(ctx))
	s.mu.Lock()
	if s.alive.Load() {
		s.mu.Unlock()
		return nil, ErrRunTwice
	}
	now := time.Now()
	s.engine.Begin(now, now.Sub(s.born))
	s.born = now
	s.trial = trial.Is(ctx)
	if err := s.recall(); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	whole := s.engine.Whole()
	s.meter.begin(&whole)
	base := context.WithoutCancel(ctx)
	s.fallback, s.heart, s.keeper = fallback, beats, keeper
	s.calls.begin(base)
	s.pump = newPump(s)
	s.sched = schedule.New(schedule.Options{
		MaxChecks: max(s.o.MaxChecks, 0), Grace: s.o.grace(), Warm: warm,
		Late: func(by time.Duration) {
			if by >= tiltAfter {
				s.tilt(fmt.Sprintf("the supervisor was %v late", by.Round(time.Millisecond)))
			}
		},
		Stepped: func(by time.Duration) {
			s.tilt(fmt.Sprintf("the wall clock stepped by %v", by.Round(time.Millisecond)))
		},
		Abandoned: func(t *schedule.Task, _ time.Time) { s.abandoned("the check of watch " + t.Name) },
	})
	s.outbox = outbox.NewDriver(outbox.DriverOptions{
		Machine: outbox.Options{IDPrefix: newIDs(), Breaker: notifierBreaker, Storm: notifierStorm, Rate: s.policy.rate},
		Deliver: s.deliver, On: s.told, Log: s.logger(), Store: s.store(),
	})
	s.run = r
	s.layOut()
	s.alive.Store(true)
	entries := s.registered()
	s.mu.Unlock()

	s.pump.start(base)
	s.sayWiring()
	s.startAll(entries)
	s.reunite()
	if s.heart != nil {
		s.sched.Add(&s.heart.task)
	}
	looking, cancel := context.WithCancel(base)
	r.looking = cancel
	go func() {
		defer close(r.scheduled)
		if err := s.sched.Run(looking); err != nil && !errors.Is(err, context.Canceled) {
			s.logger().Error("selfheal: the scheduler ended", "error", err)
		}
	}()
	go r.loop()
	s.poke()
	r.systemd = newSystemd(s)
	r.systemd.say("READY=1")
	r.systemd.watch()
	return r, nil
}

// startAll starts the sound ones of the given watches and says what is wrong
// with the others.
func (s *Supervisor) startAll(entries []*entry) {
	s.mu.Lock()
	inCycle := cycles(s.registered())
	s.mu.Unlock()
	for _, e := range entries {
		problems := e.problemsWith(&s.o, s.exists) // asks the user's detectors: no lock
		for _, p := range inCycle {
			if p.Watch == e.watch.Name {
				problems = append(problems, p)
			}
		}
		s.startOne(e, problems)
	}
}

func (s *Supervisor) startOne(e *entry, problems []Problem) {
	w := &e.watch
	plan := s.fallback
	if len(problems) == 0 && !w.Escalate.Empty() {
		plan = s.policy.plan(w.Escalate) // asks the user's notifiers: no lock
	}
	s.mu.Lock()
	if s.entries[w.Name] != e || e.started || s.stop {
		s.mu.Unlock()
		return
	}
	e.off = max(w.Mode, s.o.Mode) == Off || s.o.disabledWatch(w.Name)
	if len(problems) > 0 {
		e.problems = &problems
		s.mu.Unlock()
		s.sayInvalid(e)
		return
	}
	if e.off {
		s.mu.Unlock()
		return
	}
	e.started = true
	s.measured(e)
	e.plan = plan
	e.task.Name, e.task.Every, e.task.Timeout, e.task.Phase = w.Name, w.every(&s.o), w.timeout(), -1
	e.task.Run, e.task.Hung, e.task.Owner = check, hung, e
	if s.trial {
		e.task.Phase = e.task.Every / 2
	}
	s.watching++
	s.engine.Watching(s.watching)
	if j := s.o.Journal; j != nil && j.saved == nil && s.engine.Awaits(w.Name) {
		s.takeUp(e) // it may be well, and have nothing to say
	}
	s.mu.Unlock()
	s.poke()
	if waker, ok := w.Detector.(detect.Waker); ok {
		s.onWake(e, waker, func() { s.sched.Wake(&e.task) })
	}
	s.sched.Add(&e.task)
}

// onWake gives a detector its wake function, or takes it back with nil.
func (s *Supervisor) onWake(e *entry, waker detect.Waker, wake func()) {
	defer func() {
		if x := recover(); x != nil {
			s.panicked(e, newPanic("OnWake of watch "+e.watch.Name, x))
		}
	}()
	waker.OnWake(wake)
}

func (s *Supervisor) unwake(e *entry) {
	if waker, ok := e.watch.Detector.(detect.Waker); ok {
		s.onWake(e, waker, nil)
	}
}

// loop takes in what happened and carries out what is decided. No user code
// runs on it.
func (r *run) loop() {
	defer close(r.loopStopped)
	s := r.s
	var gathered atomic.Bool
	tick := time.AfterFunc(time.Hour, s.poke)
	gather := time.AfterFunc(time.Hour, func() { gathered.Store(true); s.poke() })
	defer tick.Stop()
	defer gather.Stop()
	gathering := false
	var ins []incident.Input
	var todo []task
	for {
		select {
		case <-r.stopLoop:
			return
		case <-s.wake:
		}
		turn := time.Now()
		arbitrate := gathered.Swap(false)
		gathering = gathering && !arbitrate
		s.inMu.Lock()
		ins, s.inbox = s.inbox, ins[:0]
		pulses := s.pulses
		s.pulses = nil
		s.inMu.Unlock()

		s.watched(ins)
		s.mu.Lock()
		now := s.now()
		ins = s.introduce(ins)
		s.step(ins...)
		if arbitrate && s.engine.Pending() {
			s.decide(s.engine.Arbitrate(now))
		}
		pending := s.engine.Pending()
		next, timed := s.engine.Next()
		rests := s.stop && s.engine.Idle()
		todo, s.todo = s.todo, todo[:0]
		s.mu.Unlock()

		clear(ins)
		for i := range todo {
			s.carryOut(&todo[i])
		}
		clear(todo)
		s.heart.turned()
		for _, turned := range pulses {
			close(turned)
		}
		s.work.busy.Add(int64(time.Since(turn)))
		if rests && s.calls.none() {
			r.once.Do(func() { close(r.quiet) })
		}
		// Whatever else happens in this instant is taken in first, so that the
		// order of arrival does not decide who goes first. In a bubble of
		// synctest the timer fires when everything else is idle.
		if pending && !gathering {
			gathering = true
			gather.Reset(1)
		}
		if timed {
			// The engine's time is cut to whole microseconds: be there after the cut.
			next = (next + time.Microsecond - 1).Truncate(time.Microsecond)
			tick.Reset(max(next-time.Since(s.born), 0))
		} else {
			tick.Stop()
		}
	}
}

// introduce puts a watch before the first look that has something to say of it,
// and drops what is said of a watch that is no longer there. s.mu is held.
func (s *Supervisor) introduce(ins []incident.Input) []incident.Input {
	var out []incident.Input // only if a watch is to be introduced
	for n := range ins {
		if ins[n].Kind == incident.InLook {
			e := s.entries[ins[n].Watch]
			switch {
			case e == nil || !e.started || e.removing:
				ins[n] = incident.Input{Kind: incident.InTick}
			case !e.known:
				e.known = true
				if out == nil {
					out = append(make([]incident.Input, 0, 2*len(ins)), ins[:n]...)
				}
				cfg := e.watch.config(&s.o)
				out = append(out, incident.Input{Kind: incident.InAdd, Watch: cfg.Name, Add: &cfg})
			}
		}
		if out != nil {
			out = append(out, ins[n])
		}
	}
	if out != nil {
		return out
	}
	return ins
}

// shutdown ends the run in order: nothing new, then what runs, then what is
// owed, then what was said.
func (r *run) shutdown() {
	s := r.s
	start := time.Now()
	grace := s.o.grace()
	r.systemd.say("STOPPING=1")
	defer r.systemd.close()
	r.looking()
	s.heart.stop()
	s.mu.Lock()
	s.stop = true
	s.step(incident.Input{Kind: incident.InStop})
	entries := s.registered()
	s.mu.Unlock()
	s.poke()

	r.until(r.quiet, start.Add(grace))
	s.calls.cancelRuns(remediate.ErrStopping)
	r.until(r.quiet, start.Add(grace+stopSlack/4))
	s.calls.cancelAll(remediate.ErrStopping)
	r.until(r.quiet, start.Add(grace+stopSlack/2))

	drain, cancel := context.WithDeadline(context.Background(), latest(start.Add(grace), time.Now().Add(stopSlack/4)))
	if err := s.outbox.Drain(drain); err != nil {
		s.logger().Warn("selfheal: some notices could not be delivered before the end", "error", err)
	}
	cancel()
	<-r.scheduled // bounded by its own grace, which began when this did
	s.calls.abandonAll()
	close(r.stopLoop)
	<-r.loopStopped
	for _, e := range entries {
		if e.started {
			s.unwake(e)
		}
	}
	s.pump.stop(start.Add(grace + stopSlack))
	s.endLife()
	s.mu.Lock()
	s.meter.stop(s.now())
	s.ended = true
	s.mu.Unlock()
}

// until waits for done, and not longer than until then.
func (r *run) until(done <-chan struct{}, then time.Time) {
	t := time.NewTimer(time.Until(then))
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// tilt tells the engine that its readings cannot be trusted for now.
func (s *Supervisor) tilt(why string) {
	s.mu.Lock()
	s.step(incident.Input{Kind: incident.InTilt, Note: why})
	s.mu.Unlock()
	s.poke()
}

// tiltAfter is how late the supervisor must be to doubt itself.
const tiltAfter = 2 * time.Second

const (
	// notifierBreaker is how many calls of a notifier in a row must fail before
	// others are told in its place.
	notifierBreaker = 5
	// notifierStorm is of how many new incidents a notifier is told within a
	// minute before the others are grouped.
	notifierStorm = 5
)
