package schedule

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"time"
)

// Options configure a Scheduler. The zero value works.
type Options struct {
	// MaxChecks bounds the goroutines that run checks at once. Hung ones are not
	// counted: each is replaced. 0 means 512.
	MaxChecks int
	// Grace is how long Run waits, after its context ended, for runs that do not
	// heed theirs. 0 means 10 s; -1 means not at all.
	Grace time.Duration
	// Late is called when the scheduler itself woke up more than a second late:
	// by how much. It must be cheap. It is called before any check or Hung of the
	// same wake-up.
	Late func(by time.Duration)
	// Stepped is called when the wall clock was stepped by two seconds or more
	// against the monotonic clock: by how much, negative for backwards. It must
	// be cheap. No schedule shifts by it.
	Stepped func(by time.Duration)
	// Warm is called, one function after the other, for each of up to 31 tasks
	// shortly before they are run one after the other. Each should load, and only
	// load, from lines of memory that Run will need: so the processor fetches for
	// all tasks at once. What lies behind a pointer on such a line is for the next
	// function. They are worth their calls where there are so many tasks that their
	// data does not fit the processor's caches. Runs of other workers go on meanwhile.
	Warm []func(t *Task)
	// Abandoned is called, before Run returns, for each run that outlived Grace.
	Abandoned func(t *Task, started time.Time)
}

// Stats is a snapshot of what the scheduler does and did.
type Stats struct {
	Tasks        int           // added and not removed
	Running      int           // goroutines that run checks, hung ones not counted
	Hung         int           // runs in progress that outlived their timeout
	Abandoned    int           // runs that outlived the grace of Run and still go
	Runs         uint64        // runs that ended, however
	Panics       uint64        // runs that ended in a panic
	Goexits      uint64        // runs that ended in runtime.Goexit
	Wakeups      uint64        // times the scheduler's timer fired
	Late         uint64        // wake-ups more than a second late
	LateMax      time.Duration // the latest wake-up, against the moment asked for
	StartLateMax time.Duration // the latest start of a check, against its due moment or its wake
}

// A Scheduler runs the checks of many tasks. All its methods may be called from
// anywhere, from inside Run and Hung too; none of them waits for a check.
type Scheduler struct {
	o Options

	// Written by start, before anything else runs; not changed again.
	ctx    context.Context
	anchor time.Time // zero of all moments
	procs  int

	mu      sync.Mutex // held for microseconds, never while foreign code runs
	life    life
	base    time.Time // anchor by today's wall clock
	timer   *time.Timer
	armed   int64 // when the timer fires
	pending int   // the armed timer and goroutines of earlier firings
	budget  int64 // for how long a worker may be at one check before it is relieved
	watch   int64 // when workers must be looked at next
	limits  int64 // never later than the earliest deadline of those that run alone

	wheel   wheel
	looks   looks
	waiting []*Task // added before Run
	early   []early // LookAt before Run
	fresh   int     // first looks since freshAt
	freshAt int64

	live     []*worker // with work
	hung     []*worker
	spare    []*worker
	attached int // live and not alone: those who see to it that things go on
	ramp     int // extra workers, after some were found blocked
	turn     uint

	drained chan struct{} // closed when Run may return
	gone    bool          // the grace is over

	stats Stats
}

type life uint8

const (
	fresh life = iota
	running
	ended
)

type early struct {
	t  *Task
	at time.Time
}

// New returns a scheduler that Run starts.
func New(o Options) *Scheduler {
	if o.MaxChecks <= 0 {
		o.MaxChecks = 512
	}
	switch {
	case o.Grace == 0:
		o.Grace = 10 * time.Second
	case o.Grace < 0:
		o.Grace = 0
	}
	s := &Scheduler{o: o, armed: never, watch: never, limits: never, budget: int64(maxBudget)}
	s.wheel.init()
	return s
}

// Add starts looking after t: at once, then at its phase in every interval. Where
// more than a thousand tasks start within a second, the further ones have their
// first look a little later, but still within their first interval.
func (s *Scheduler) Add(t *Task) {
	if !t.state.CompareAndSwap(0, added) {
		return
	}
	if t.Timeout <= 0 {
		t.Timeout = 10 * time.Second
	}
	t.Timeout = min(t.Timeout, 365*24*time.Hour)
	t.Every = min(max(t.Every, time.Millisecond), 10*365*24*time.Hour)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Tasks++
	s.budget = min(s.budget, max(int64(t.Timeout), int64(minBudget)))
	switch s.life {
	case fresh:
		s.waiting = append(s.waiting, t)
	case running:
		now := s.since()
		s.place(t, now)
		s.dispatch(now, nil)
	}
}

// Remove ends it: no run of t starts after Remove returned. One may still be
// finishing: Running tells. Wakes and moments asked for are forgotten.
func (s *Scheduler) Remove(t *Task) {
	if old := t.state.Or(removed); old&added == 0 || old&removed != 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Tasks--
	s.wheel.remove(t)
	if t.looked {
		s.looks.drop(t)
	}
}

// Wake asks for a look now. If a run is in progress, exactly one more follows it;
// any number of wakes before a run begins are served by that run. Wake is cheap
// and never waits. Before Run it does nothing, because all tasks are looked at
// first when Run starts; after the end of Run it does nothing either.
func (s *Scheduler) Wake(t *Task) {
	if !t.ask() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life != running {
		t.state.And(^woken)
		return
	}
	// Whoever began a run since ask has cleared the mark: that run serves us.
	if t.state.Load()&woken != 0 {
		now := s.since()
		s.summon(t, now)
		s.dispatch(now, nil)
	}
}

// LookAt asks for one extra look at exactly that moment, beside the periodic
// ones. A task may have any number of such moments. If a run is in progress then,
// the look follows it. A moment that has passed is now.
func (s *Scheduler) LookAt(t *Task, at time.Time) {
	if t.state.Load()&(added|removed) != added {
		return
	}
	s.mu.Lock()
	switch s.life {
	case fresh:
		s.early = append(s.early, early{t, at})
	case running:
		now := s.since()
		if moment := int64(at.Sub(s.anchor)); moment > now {
			s.lookAt(t, moment)
			s.arm(now)
			break
		}
		s.mu.Unlock()
		s.Wake(t)
		return
	}
	s.mu.Unlock()
}

func (s *Scheduler) lookAt(t *Task, at int64) {
	if t.state.Load()&removed == 0 {
		t.looked = true
		s.looks.push(at, t)
	}
}

// Running tells whether a run of t is in progress. It may say so for a few
// milliseconds longer than it is true, never shorter.
func (s *Scheduler) Running(t *Task) bool { return t.state.Load()&begun != 0 }

// Stats returns a snapshot.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Running, st.Hung = len(s.live), len(s.hung)
	return st
}

// Abandoned returns how many runs outlived the grace of Run and still go.
func (s *Scheduler) Abandoned() int { return s.Stats().Abandoned }

// ErrTwice is returned by a second Run.
var ErrTwice = errors.New("schedule: Run was called before; a scheduler runs once")

// Run runs the tasks until ctx ends. Then no run starts any more, those in
// progress see their context cancelled, and Run returns when all have ended, or
// after Options.Grace without those that have not: they are abandoned.
func (s *Scheduler) Run(ctx context.Context) error {
	if !s.start(ctx) {
		return ErrTwice
	}
	<-ctx.Done()
	s.stop(ctx.Err())
	return nil
}

func (s *Scheduler) start(ctx context.Context) bool {
	s.mu.Lock()
	if s.life != fresh {
		s.mu.Unlock()
		return false
	}
	if s.life = running; ctx.Err() != nil {
		s.life = ended
	}
	s.ctx, s.procs = ctx, runtime.GOMAXPROCS(0)
	s.anchor = time.Now()
	s.base = s.anchor
	s.timer = time.AfterFunc(math.MaxInt64, s.fire)
	s.pending = 1
	waiting, looks := s.waiting, s.early
	s.waiting, s.early = nil, nil
	// In portions, so that a million tasks do not keep the first ones waiting.
	for len(waiting) > 0 && s.life == running {
		now := s.since()
		portion := waiting[:min(len(waiting), 1000)]
		for _, t := range portion {
			s.place(t, now)
		}
		waiting = waiting[len(portion):]
		s.dispatch(now, nil)
		s.mu.Unlock()
		s.mu.Lock()
	}
	for _, e := range looks {
		s.lookAt(e.t, max(int64(e.at.Sub(s.anchor)), 0))
	}
	s.dispatch(s.since(), nil)
	s.mu.Unlock()
	return true
}

func (s *Scheduler) stop(err error) {
	s.mu.Lock()
	s.life = ended
	for _, workers := range [...][]*worker{s.live, s.hung} {
		for _, w := range workers {
			w.word.Or(wordTaken) // it starts nothing else
			w.ctx.Load().cancel(err)
		}
	}
	if s.timer.Stop() {
		s.pending--
	}
	drained := make(chan struct{})
	s.drained = drained
	s.drain()
	s.mu.Unlock()

	grace := time.NewTimer(s.o.Grace)
	defer grace.Stop()
	select {
	case <-drained:
		return
	case <-grace.C:
	}
	s.mu.Lock()
	var left []lasting
	for _, workers := range [...][]*worker{s.live, s.hung} {
		for _, w := range workers {
			w.abandoned = true
			if run, ok := w.current(s.since()); ok {
				left = append(left, run)
			}
		}
	}
	s.stats.Abandoned = len(s.live) + len(s.hung)
	s.gone = true
	s.drain()
	s.mu.Unlock()
	if s.o.Abandoned != nil {
		for _, run := range left {
			s.o.Abandoned(run.t, run.started)
		}
	}
	<-drained
}

// drain lets Run return when nothing of the scheduler's own goes on any more.
func (s *Scheduler) drain() {
	if s.drained != nil && s.pending == 0 && (s.gone || len(s.live)+len(s.hung) == 0) {
		close(s.drained)
		s.drained = nil
	}
}

// since is the present moment: nanoseconds on the monotonic clock since anchor.
func (s *Scheduler) since() int64 { return int64(time.Since(s.anchor)) }
