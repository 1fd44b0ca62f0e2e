package selfheal

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// calls are the calls of user code that are under way. Each has a goroutine, a
// context that ends at its time-out, and is given up when it ignores that.
type calls struct {
	mu        sync.Mutex
	going     map[*call]struct{}
	given     map[*call]struct{} // given up, and not back yet
	abandoned atomic.Int64       // given up, and still running
	everGiven atomic.Uint64
	ended     bool

	runs, all       context.Context
	endRuns, endAll context.CancelCauseFunc
}

// call is one of them.
type call struct {
	where   string
	undo    bool // outlives the end of runs at shutdown
	timeout time.Duration
	f       func(context.Context) error
	done    func(err error, abandoned bool) // exactly once
	late    func()                          // when one that was given up returns; may be nil
	stuck   func()                          // when it has ignored its context for long; may be nil

	state atomic.Int32
	timer *time.Timer
}

const (
	callGoing int32 = iota
	callDone
	callGivenUp
	callLate
)

func (c *calls) begin(base context.Context) {
	c.going, c.given = map[*call]struct{}{}, map[*call]struct{}{}
	c.all, c.endAll = context.WithCancelCause(base)
	c.runs, c.endRuns = context.WithCancelCause(c.all)
}

func (c *calls) cancelRuns(cause error) { c.endRuns(cause) }
func (c *calls) cancelAll(cause error)  { c.endAll(cause) }

// none says whether nothing is under way that has not been given up.
func (c *calls) none() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.going) == 0
}

// start runs x on a goroutine of its own.
func (c *calls) start(x *call) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.going[x] = struct{}{}
	parent := c.runs
	if x.undo {
		parent = c.all
	}
	ctx, cancel := context.WithTimeout(parent, x.timeout)
	x.timer = time.AfterFunc(x.timeout+overdue, func() { c.giveUp(x) })
	c.mu.Unlock()
	go c.run(x, ctx, cancel)
}

func (c *calls) run(x *call, ctx context.Context, cancel context.CancelFunc) {
	var err error
	returned := false
	defer func() {
		cancel()
		if !returned {
			if v := recover(); v != nil {
				err = newPanic(x.where, v)
			} else {
				err = ErrGoexit
			}
		}
		c.end(x, err)
	}()
	err = x.f(ctx)
	returned = true
}

func (c *calls) end(x *call, err error) {
	if x.state.CompareAndSwap(callGoing, callDone) {
		c.forget(x)
		x.done(err, false)
		return
	}
	x.state.Store(callLate)
	c.forget(x)
	c.abandoned.Add(-1)
	if x.late != nil {
		x.late()
	}
}

func (c *calls) forget(x *call) {
	c.mu.Lock()
	delete(c.going, x)
	delete(c.given, x)
	t := x.timer
	c.mu.Unlock()
	t.Stop()
}

// giveUp stops waiting for x, and says so to people if it stays that way.
func (c *calls) giveUp(x *call) {
	if !x.state.CompareAndSwap(callGoing, callGivenUp) {
		return
	}
	c.abandoned.Add(1)
	c.everGiven.Add(1)
	c.mu.Lock()
	delete(c.going, x)
	if x.state.Load() == callGivenUp {
		c.given[x] = struct{}{}
	}
	if !c.ended && x.stuck != nil && x.state.Load() == callGivenUp {
		x.timer = time.AfterFunc(abandonAfter-overdue, func() {
			if x.state.Load() == callGivenUp {
				x.stuck()
			}
		})
	}
	c.mu.Unlock()
	x.done(fmt.Errorf("no answer within %v, and the call ignores its context: %w", x.timeout, context.DeadlineExceeded), true)
}

// abandonAll gives up on everything at the end of Run; no timer is left.
func (c *calls) abandonAll() {
	c.endAll(context.Canceled)
	c.mu.Lock()
	c.ended = true
	left := make([]*call, 0, len(c.going))
	for x := range c.going {
		left = append(left, x)
		x.timer.Stop()
	}
	for x := range c.given {
		x.timer.Stop()
	}
	c.mu.Unlock()
	for _, x := range left {
		c.giveUp(x)
	}
}
