package dependency

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
)

// prober asks the targets that can be asked, all within one round, and remembers
// what that says of each.
type prober struct {
	o       *Options
	targets []*target // with a probe

	mu    sync.Mutex
	round chan struct{} // closed when the round under way ends; nil: none is
}

// target is what is known of one target. The lock of the prober guards it.
type target struct {
	name  string
	check func(context.Context) error
	phi   *detect.Phi

	since time.Time // of a call that has not returned; zero: none
	verdict
}

type verdict struct {
	sick  bool
	row   int           // probes that failed in a row
	well  int           // probes that succeeded in a row
	last  error         // of the last probe that failed
	blind error         // the last probe could not tell
	hung  time.Duration // for how long a call has not returned, as the last round saw it
}

func newProber(o *Options) *prober {
	p := &prober{o: o}
	for i := range o.Targets {
		check := o.Targets[i].check()
		if check == nil {
			continue
		}
		t := &target{name: o.Targets[i].Name, check: check}
		if o.Phi != nil {
			t.phi = detect.PhiAccrual(*o.Phi)
		}
		p.targets = append(p.targets, t)
	}
	return p
}

// waves is how many times the longest probe a round may take.
func (p *prober) waves() int { return (len(p.targets) + parallel - 1) / parallel }

// patience is how long a probe that ignores its context is waited for beyond its
// timeout.
const patience = 100 * time.Millisecond

// ask probes every target once. Whoever comes while a round is under way waits for
// that one: two answers of one moment do not count twice.
func (p *prober) ask(ctx context.Context) error {
	if len(p.targets) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.mu.Lock()
	if round := p.round; round != nil {
		p.mu.Unlock()
		select {
		case <-round:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	done := make(chan struct{})
	p.round = done
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.round = nil
		p.mu.Unlock()
		close(done)
	}()
	return p.probe(ctx)
}

// answer is what one probe said.
type answer struct {
	of    *target
	err   error
	blind error
}

func (p *prober) probe(ctx context.Context) error {
	free := p.free()
	answers := make(chan answer, len(free)) // nobody who comes late is kept
	var next atomic.Int64
	var over atomic.Bool
	defer over.Store(true)
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	for range min(parallel, len(free)) {
		go func() {
			for i := int(next.Add(1) - 1); i < len(free) && !over.Load(); i = int(next.Add(1) - 1) {
				p.call(inner, free[i], answers)
			}
		}()
	}
	limit := time.NewTimer(time.Duration(p.waves())*p.o.Timeout + patience)
	defer limit.Stop()
	got := make(map[*target]answer, len(free))
	for waiting := true; waiting && len(got) < len(free); {
		select {
		case a := <-answers:
			got[a.of] = a
		case <-ctx.Done():
			// The look was stopped: what fails because of that says nothing.
			return fmt.Errorf("dependency: the look ended before the probes did: %w", context.Cause(ctx))
		case <-limit.C:
			waiting = false
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("dependency: the look ended before the probes did: %w", context.Cause(ctx))
	}
	p.judge(got)
	return nil
}

// free are the targets whose last call has returned.
func (p *prober) free() []*target {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := make([]*target, 0, len(p.targets))
	for _, t := range p.targets {
		if t.since.IsZero() {
			free = append(free, t)
		}
	}
	return free
}

// call makes one probe and sends what it said, whatever became of it: a panic is
// no answer, and neither is the end of the goroutine.
func (p *prober) call(ctx context.Context, t *target, answers chan<- answer) {
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	p.mu.Lock()
	t.since = time.Now()
	p.mu.Unlock()
	a := answer{of: t}
	returned := false
	defer func() {
		if x := recover(); x != nil {
			a.blind = &selfheal.PanicError{Where: "the check of target " + t.name, Value: x, Stack: debug.Stack()}
		} else if !returned {
			a.blind = selfheal.ErrGoexit
		}
		p.mu.Lock()
		t.since = time.Time{}
		p.mu.Unlock()
		answers <- a
	}()
	a.err = t.check(ctx)
	if a.err != nil && ctx.Err() != nil && errors.Is(a.err, context.DeadlineExceeded) {
		a.err = fmt.Errorf("no answer within %v", p.o.Timeout)
	}
	returned = true
}

// judge counts the answers of a round.
func (p *prober) judge(got map[*target]answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.targets {
		a, answered := got[t]
		t.blind, t.hung = nil, 0
		switch {
		case answered && a.blind != nil:
			t.blind = a.blind
		case answered && a.err == nil:
			t.good(p.o)
		case answered:
			t.bad(p.o, a.err)
		case t.since.IsZero():
			t.blind = errors.New("its turn did not come in time")
		default:
			t.hung = time.Since(t.since)
			t.bad(p.o, fmt.Errorf("no answer within %v, and the check ignores that its time is over", p.o.Timeout))
		}
	}
}

func (t *target) good(o *Options) {
	t.row, t.last = 0, nil
	t.well++
	if t.phi != nil {
		t.phi.Beat()
	}
	if t.well >= o.Successes {
		t.sick = false
	}
}

func (t *target) bad(o *Options, err error) {
	t.well = 0
	t.row++
	t.last = err
	if t.phi == nil {
		t.sick = t.sick || t.row >= o.Failures
		return
	}
	found, _ := t.phi.Detect(context.Background()) // looks at numbers only
	t.sick = t.sick || len(found) > 0
}

// verdicts copies what is known of each target, by name.
func (p *prober) verdicts() map[string]verdict {
	if len(p.targets) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]verdict, len(p.targets))
	for _, t := range p.targets {
		all[t.name] = t.verdict
	}
	return all
}
