package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// GroupOptions are for [NewGroup]. The zero value is useful.
type GroupOptions struct {
	// Name is put before the names of the workers, in keys and labels:
	// "name/worker". Needed where a process has more than one group. "": nothing.
	Name string
	// Strategy says who is restarted beside one that failed. Zero: OneForOne.
	Strategy Strategy
	// Restart is for workers that do not say. Zero fields: see [Restart].
	Restart Restart
	// StopTimeout is how long a worker gets to return once its context ended;
	// then it counts as one that ignores it. At the end of Run all get it
	// together; with a Strategy other than OneForOne those that stand behind one
	// that ignores its context get it once more. 0: 10 s, as in suture.
	StopTimeout time.Duration
	// MaxAbandoned is how many runs that were replaced, and ignore their context,
	// may still be going: a goroutine cannot be ended from outside, so that
	// replacing without a bound is a leak. 0: 3, as the catalogue suggests
	// (GO-6); -1: no worker is ever replaced.
	MaxAbandoned int
	// Done and End are errors of another library that mean [ErrDone] and
	// [ErrEndGroup]. nil: none.
	Done, End error
	// Logger is told of what OnEvent is told of: starts and ends as debug,
	// failures as warnings, what needs a person as errors. nil: slog.Default.
	Logger *slog.Logger
	// OnEvent is told what happens, in order, on a goroutine of its own: it may
	// take its time and call anything, and no restart waits for it. 1,024 events
	// wait for it at most; more are dropped and counted by Status. A panic in it
	// is logged. ctx ends when Run has waited for it long enough. nil: nobody.
	OnEvent func(ctx context.Context, e Event)
}

const (
	defaultStopTimeout  = 10 * time.Second
	defaultMaxAbandoned = 3
)

type phase uint8

const (
	fresh   phase = iota // Run was never called
	running              // Run is under way
	ending               // Run stops the workers
	ended                // Run has returned
)

// A Group keeps workers running. There is no loop in it: whoever sees a worker
// end, its own goroutine, starts it again, so that one never waits for another.
// [NewGroup] makes it. All methods are safe for concurrent use and from anywhere,
// a worker and OnEvent included.
type Group struct {
	o      GroupOptions
	origin time.Time
	events events

	// mu guards what follows. No code of the user's runs under it.
	mu        sync.Mutex
	phase     phase
	base      context.Context // of the workers: that of Run with its values, without its end
	over      chan error      // asks Run to return
	idle      chan struct{}   // closed when the last run is over, while ending
	live      int             // members with a run
	asking    int             // of them those whose context has ended
	members   []*member       // in the order of their start
	names     map[string]*member
	policies  map[policy]*policy // each kind once: most workers are alike
	timed     []*member          // those with a budget
	unwell    map[*member]struct{}
	round     *round
	abandoned map[*run]*Abandoned
	given     uint64 // runs ever abandoned
	problems  []error
	wakes     map[any]func()
	looked    time.Duration // of the last look at the beats
	gap       time.Duration // before it
	quiet     int           // workers that were silent for longer than their budget then
	stacks    stackBudget
}

// NewGroup returns a group without workers. Mistakes in o do not panic: see
// [Group.Validate].
func NewGroup(o GroupOptions) *Group {
	g := &Group{
		origin: time.Now(), names: map[string]*member{}, policies: map[policy]*policy{},
		unwell: map[*member]struct{}{}, abandoned: map[*run]*Abandoned{}, wakes: map[any]func(){},
	}
	if why := badName(o.Name); o.Name != "" && why != "" {
		g.problems = append(g.problems, fmt.Errorf("worker: group %q: %s", o.Name, why))
	}
	if o.Strategy > OneForAll {
		g.problems = append(g.problems, fmt.Errorf("worker: GroupOptions.Strategy is unknown (%v): use OneForOne, RestForOne or OneForAll", o.Strategy))
		o.Strategy = OneForOne
	}
	if errs := o.Restart.validate(); len(errs) > 0 {
		g.problems = append(g.problems, fmt.Errorf("worker: GroupOptions: %w", errors.Join(errs...)))
		o.Restart = Restart{}
	}
	if o.StopTimeout < 0 {
		g.problems = append(g.problems, fmt.Errorf("worker: GroupOptions.StopTimeout is %v: use a duration, or 0 for %v", o.StopTimeout, defaultStopTimeout))
	}
	if o.StopTimeout <= 0 {
		o.StopTimeout = defaultStopTimeout
	}
	if o.MaxAbandoned < -1 {
		g.problems = append(g.problems, fmt.Errorf("worker: GroupOptions.MaxAbandoned is %d: use a count, 0 for %d, or -1 to replace none", o.MaxAbandoned, defaultMaxAbandoned))
	}
	switch {
	case o.MaxAbandoned == 0:
		o.MaxAbandoned = defaultMaxAbandoned
	case o.MaxAbandoned < 0:
		o.MaxAbandoned = 0
	}
	o.Restart = o.Restart.or(defaultRestart)
	g.o = o
	g.events = newEvents(o)
	return g
}

// Name is GroupOptions.Name.
func (g *Group) Name() string { return g.o.Name }

// Validate returns what is wrong with the options and with the specs that were
// given to Add, all of it at once; nil when nothing is. The watches of this
// package ask it.
func (g *Group) Validate() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return errors.Join(g.problems...)
}

// Add adds workers, in the order of their dependencies. While Run is under way
// they are started at once. A spec that is not sound is left out, returned as an
// error, and kept for Validate; the others are added.
func (g *Group) Add(specs ...Spec) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for _, s := range specs {
		err := s.validate()
		if err == nil && g.names[s.Name] != nil {
			err = fmt.Errorf("worker %q: two workers of the group have this name: rename one", s.Name)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		g.add(s)
	}
	g.problems = append(g.problems, errs...)
	return errors.Join(errs...)
}

func (g *Group) add(s Spec) {
	m := &member{g: g, name: s.Name, f: s.Run, p: g.policy(s)}
	g.members = append(g.members, m)
	g.names[s.Name] = m
	if s.Budget > 0 {
		g.timed = append(g.timed, m)
	}
	if g.phase == running {
		g.launch(m, g.now())
	}
}

// policy is what a worker shares with those that are like it.
type policy struct {
	Restart
	budget            time.Duration
	always, essential bool
}

func (g *Group) policy(s Spec) *policy {
	p := policy{s.Restart.or(g.o.Restart), s.Budget, s.Always, s.Essential}
	if g.policies[p] == nil {
		g.policies[p] = &p
	}
	return g.policies[p]
}

// now is monotonic.
func (g *Group) now() time.Duration { return time.Since(g.origin) }

// Run starts the workers in order and keeps them running until ctx ends, then
// stops them and returns nil: all at once, or one by one in reverse order where
// the Strategy makes them depend on each other. It blocks, so it drops into an
// errgroup. It goes on when all workers are done: more may be added.
//
// It also ends, with an error, when a worker returns [ErrEndGroup] or an
// essential one is given up (*[GiveUpError]). Workers that have not returned
// within the stop time-out are abandoned and named by a *[LeftError]. Once it
// has returned it may be called again; beside another it returns [ErrRunning].
func (g *Group) Run(ctx context.Context) error {
	over, err := g.begin(ctx)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-over:
	}
	why := err
	if why == nil {
		why = context.Cause(ctx)
	}
	return g.finish(why, err)
}

// Serve is Run under the name by which a suture supervisor calls it, and by which
// [Service] puts one group into another.
func (g *Group) Serve(ctx context.Context) error { return g.Run(ctx) }

func (g *Group) begin(ctx context.Context) (<-chan error, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase == running || g.phase == ending {
		return nil, ErrRunning
	}
	for _, err := range g.problems {
		g.events.push(Event{Kind: Mistake, Group: g.o.Name, Err: err, At: time.Now()})
	}
	g.base = context.WithoutCancel(ctx)
	g.over = make(chan error, 1)
	g.idle = make(chan struct{})
	g.phase = running
	now := g.now()
	g.looked, g.gap = now, 0
	if ctx.Err() != nil {
		return g.over, nil
	}
	clear(g.unwell)
	for _, m := range g.members {
		m.fails = nil
		g.start(m, now)
	}
	return g.over, nil
}

// finish stops everything and says what is left.
func (g *Group) finish(why, err error) error {
	g.mu.Lock()
	g.phase = ending
	g.dropRound()
	members := slices.Clone(g.members)
	for _, m := range members {
		m.disarm()
		if m.run == nil && m.state != finished {
			m.state = resting
		}
	}
	ordered := g.o.Strategy != OneForOne
	g.mu.Unlock()

	end := time.NewTimer(g.o.StopTimeout)
	defer end.Stop()
	late := false
	for _, m := range slices.Backward(members) {
		g.mu.Lock()
		var gone <-chan struct{}
		if r := m.run; r != nil {
			if m.then != thenForget {
				m.then = thenRest
			}
			g.ask(m, why, m.then)
			gone = r.over()
		}
		g.mu.Unlock()
		if gone == nil || !ordered || late {
			continue
		}
		select {
		case <-gone:
		case <-end.C:
			late = true
			end.Reset(g.o.StopTimeout)
		}
	}
	g.mu.Lock()
	if g.live == 0 {
		g.signalIdle()
	}
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
	case <-end.C:
	}
	left := g.leave()
	g.events.drain(g.o.StopTimeout)
	if len(left) > 0 {
		return &LeftError{Workers: left, Err: err}
	}
	return err
}

// leave abandons what has not returned, and says what that is.
func (g *Group) leave() []string {
	stuck := g.runsLeft()
	var stacks map[string]trace
	if len(stuck) > 0 {
		stacks = g.look(stuck, true)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var left []string
	now := g.now()
	for _, m := range g.members {
		if m.run != nil {
			left = append(left, m.name)
			g.abandon(m, stacks[m.label()].text, now)
			m.state = resting
		}
	}
	g.phase = ended
	g.base = nil
	return left
}

// runsLeft are the labels of the workers that still run.
func (g *Group) runsLeft() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var labels []string
	for _, m := range g.members {
		if m.run != nil {
			labels = append(labels, m.label())
		}
	}
	return labels
}

func (g *Group) signalIdle() {
	select {
	case <-g.idle:
	default:
		close(g.idle)
	}
}

// endWith asks Run to return err. The first one counts.
func (g *Group) endWith(err error) {
	select {
	case g.over <- err:
	default:
	}
}
