package queue

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// A Seat tells a worker of a [Pool] which one it is and when to leave.
type Seat struct {
	// ID counts the workers from 1; it is never used again.
	ID int
	// Leave is closed when the worker is to end: after the job at hand.
	Leave <-chan struct{}
}

// PoolOptions are for [NewPool]. Only Work is required.
type PoolOptions struct {
	// Work is one worker: it takes jobs and does them until seat.Leave is closed,
	// and then returns nil. [Each] makes one for a channel. ctx ends when the pool
	// is to end at once. A worker that returns nil unasked has found the end of
	// the queue: the pool starts no more of them. One that returns an error or
	// panics is counted and started again after a pause of Restart. Required.
	Work func(ctx context.Context, seat Seat) error
	// Size is how many workers there are usually. 0: Min.
	Size int
	// Min and Max bound the number of workers, by hand and by steps. Min 0: 1.
	// Max 0: 4 times the larger of Size and Min (our choice). What the thing
	// behind the workers can bear is for you to say.
	Min, Max int
	// Grow is by what [Pool.ScaleUp] multiplies the number of workers; it adds one
	// at least. 0: 2 (our choice). Not less than 1.
	Grow float64
	// Restart is the pause before a worker that failed is started again; its
	// Tries are not read. Zero: 1 s, doubling up to 1 min. A worker that lived
	// longer than the longest pause begins anew.
	Restart remediate.Backoff
}

func (o PoolOptions) effective() PoolOptions {
	if o.Min == 0 {
		o.Min = 1
	}
	if o.Size == 0 {
		o.Size = o.Min
	}
	if o.Max == 0 {
		o.Max = 4 * max(o.Size, o.Min)
	}
	if o.Grow == 0 {
		o.Grow = 2
	}
	o.Restart.Tries = 0
	o.Restart = o.Restart.Effective()
	return o
}

// Validate returns everything that is wrong with the options, nil when nothing
// is.
func (o PoolOptions) Validate() error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf("queue: "+format, args...)) }
	if o.Work == nil {
		say("PoolOptions.Work is nil: give it the function that takes and does jobs")
	}
	e := o.effective()
	switch {
	case o.Min < 0 || o.Max < 0 || o.Size < 0:
		say("PoolOptions has Size %d, Min %d and Max %d: use numbers of workers, or 0 for the default", o.Size, o.Min, o.Max)
	case e.Max < e.Min:
		say("PoolOptions.Max (%d) is less than Min (%d): swap them", e.Max, e.Min)
	case e.Size < e.Min || e.Size > e.Max:
		say("PoolOptions.Size is %d, outside of Min and Max, %d to %d: choose one between", e.Size, e.Min, e.Max)
	}
	if !(e.Grow >= 1) || math.IsInf(e.Grow, 0) { // also NaN
		say("PoolOptions.Grow is %v: use 1 for one worker more each time, 2 for twice as many, or 0 for 2", o.Grow)
	}
	for _, err := range o.Restart.Validate() {
		say("PoolOptions.Restart: %w", err)
	}
	return errors.Join(errs...)
}

// Each is the Work of a pool whose jobs come by a channel: it does one after the
// other until it is asked to leave or jobs is closed. An error of do ends the
// worker; return nil for a job that failed.
func Each[T any](jobs <-chan T, do func(ctx context.Context, job T) error) func(context.Context, Seat) error {
	return func(ctx context.Context, seat Seat) error {
		for {
			select { // leaving comes first where a job waits, too
			case <-seat.Leave:
				return nil
			default:
			}
			select {
			case <-seat.Leave:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			case job, ok := <-jobs:
				if !ok {
					return nil
				}
				if err := do(ctx, job); err != nil {
					return err
				}
			}
		}
	}
}

// A Pool runs workers and changes their number while it runs, within bounds.
// [NewPool] makes it. All methods are safe for concurrent use.
type Pool struct {
	o       PoolOptions
	problem error

	mu       sync.Mutex
	base     int            // what was asked for, without holds
	holds    map[string]int // by key: not fewer than that
	ctx      context.Context
	seats    []*seat // that are not asked to leave, oldest first
	running  int     // those that leave included
	seatID   int
	finished bool // a worker found the end of the queue
	idle     chan struct{}
	failures uint64
	lastErr  error
}

// NewPool returns a pool that does not run yet. Mistakes in o are returned by
// Validate and by Run.
func NewPool(o PoolOptions) *Pool {
	p := &Pool{o: o.effective(), problem: o.Validate(), holds: map[string]int{}}
	p.base = p.o.Size
	return p
}

// Validate returns what is wrong with the options of the pool.
func (p *Pool) Validate() error { return p.problem }

// Run runs the workers and blocks until ctx has ended, or a worker has found the
// end of the queue, and all workers have returned. It then returns nil, so that
// it drops into an errgroup. One that has returned may be called again; a second
// one meanwhile is an error.
func (p *Pool) Run(ctx context.Context) error {
	if p.problem != nil {
		return p.problem
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.mu.Lock()
	if p.idle != nil {
		p.mu.Unlock()
		return errors.New("queue: the pool runs already: call Run once")
	}
	idle := make(chan struct{})
	p.ctx, p.idle, p.finished = ctx, idle, false
	p.adjust()
	p.mu.Unlock()
	// A worker may look at Leave alone.
	stop := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.adjust()
	})
	defer stop()
	<-idle
	return nil
}

// target is how many workers there should be. p.mu is held.
func (p *Pool) target() int {
	n := p.base
	for _, h := range p.holds {
		n = max(n, h)
	}
	return n
}

// adjust starts or dismisses workers. p.mu is held.
func (p *Pool) adjust() {
	if p.idle == nil {
		return
	}
	want := p.target()
	if p.finished || p.ctx.Err() != nil {
		want = 0
	}
	for len(p.seats) > want {
		last := p.seats[len(p.seats)-1] // the youngest: the others have warmer caches
		p.seats = p.seats[:len(p.seats)-1]
		close(last.leave)
	}
	// Those that are about to leave still work: they count until they have left.
	for len(p.seats) < want && p.running < p.o.Max {
		p.seatID++
		s := &seat{id: p.seatID, leave: make(chan struct{})}
		p.seats = append(p.seats, s)
		p.running++
		go p.work(p.ctx, s, 0)
	}
	if p.running == 0 && want == 0 {
		close(p.idle)
		p.idle = nil
	}
}

// Resize sets how many workers there are, apart from what steps have added.
// Workers that are too many leave after the job at hand; it does not wait for
// them. It returns an error outside of Min and Max.
func (p *Pool) Resize(n int) error {
	if p.problem != nil {
		return p.problem
	}
	if n < p.o.Min || n > p.o.Max {
		return fmt.Errorf("queue: %d workers are outside of the bounds of the pool, %d to %d", n, p.o.Min, p.o.Max)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.base = n
	p.adjust()
	return nil
}

// ScaleUp is a [remediate.Action] for Step.Run: it multiplies the workers by
// PoolOptions.Grow, up to Max, until ScaleBack. At Max already, and while the
// pool does not run, it does not apply ([remediate.ErrSkip]).
func (p *Pool) ScaleUp(ctx context.Context, req remediate.Request) error {
	if p.problem != nil {
		return p.problem
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	key := holdKey(req)
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, held := p.holds[key]; held {
		return nil
	}
	now := p.target()
	switch {
	case p.idle == nil || p.finished:
		return fmt.Errorf("queue: the pool does not run: %w", remediate.ErrSkip)
	case now >= p.o.Max:
		return fmt.Errorf("queue: the pool has %d workers, as many as it may: %w", now, remediate.ErrSkip)
	}
	p.holds[key] = min(p.o.Max, max(now+1, int(math.Ceil(min(float64(now)*p.o.Grow, float64(p.o.Max))))))
	p.adjust()
	return nil
}

// ScaleBack is the [remediate.Action] for Step.Undo: workers that ScaleUp added
// leave after the job at hand, unless another incident needs them.
func (p *Pool) ScaleBack(_ context.Context, req remediate.Request) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.holds, holdKey(req))
	p.adjust()
	return nil
}

// PoolState is what a [Pool] does now.
type PoolState struct {
	Target   int    // workers that should run
	Running  int    // that do, those included that leave after the job at hand
	Failures uint64 // workers that ended with an error or a panic
	Last     error  // of the last of them; a panic is a *remediate.PanicError
}

// State returns what the pool does now.
func (p *Pool) State() PoolState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PoolState{Target: p.target(), Running: p.running, Failures: p.failures, Last: p.lastErr}
}

// seat is one worker.
type seat struct {
	id    int
	leave chan struct{}
}

func (s *seat) leaving() bool {
	select {
	case <-s.leave:
		return true
	default:
		return false
	}
}

var errGoexit = errors.New("queue: the worker ended its goroutine with runtime.Goexit: return an error instead")

// rest is the pause after the given failure; false: it is not to come back.
func (p *Pool) rest(ctx context.Context, s *seat, pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.leave:
	case <-ctx.Done():
	}
	return false
}
