package schedule

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// over is the deadline of a context between runs.
const over = math.MinInt64

// A runContext is the context of one run after the other on one worker, for as
// long as no run looks at its end: whoever called Done, Err or AfterFunc may
// still hold it, perhaps in a goroutine that outlives the run, and must see it
// end. So such a context is used, is cancelled after the run, and is not lent
// out again. A run that does not care costs one atomic store.
type runContext struct {
	s        *Scheduler
	deadline atomic.Int64 // nanoseconds since the scheduler's start, or over
	used     atomic.Bool

	mu    sync.Mutex // innermost: nothing else is locked or called under it
	done  chan struct{}
	err   error
	after map[*func()]struct{}
}

// lend prepares the context for a run; false if another is needed. The order
// matters: a goroutine left behind by an earlier run marks the context before it
// looks at the deadline. So either we see the mark here, or it sees the new
// deadline and not the old one, which would cancel the new run.
func (c *runContext) lend(deadline int64) bool {
	c.deadline.Store(deadline)
	return !c.used.Load()
}

func (c *runContext) use() {
	if !c.used.Load() {
		c.used.Store(true)
	}
}

func (c *runContext) Deadline() (time.Time, bool) {
	own := c.s.anchor.Add(time.Duration(max(c.deadline.Load(), 0)))
	if outer, ok := c.s.ctx.Deadline(); ok && outer.Before(own) {
		return outer, true
	}
	return own, true
}

func (c *runContext) Done() <-chan struct{} {
	c.use()
	c.mu.Lock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	done := c.done
	c.mu.Unlock()
	c.expire()
	return done
}

func (c *runContext) Err() error {
	c.use()
	c.expire()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Value comes from the context of Scheduler.Run. context.Cause finds the cause
// of the scheduler's end there too.
func (c *runContext) Value(key any) any { return c.s.ctx.Value(key) }

// AfterFunc lets package context tie children to c without a goroutine each.
// Like context.AfterFunc it runs f on its own goroutine: package context
// registers while it holds a lock that f needs, and others may block.
func (c *runContext) AfterFunc(f func()) (stop func() bool) {
	c.use()
	c.expire()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = make(map[*func()]struct{})
	}
	key := &f
	c.after[key] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waiting := c.after[key]
		delete(c.after, key)
		return waiting
	}
}

// expire keeps the promise of Err and Done at the deadline itself, even before
// the watchdog had its turn.
func (c *runContext) expire() {
	switch deadline := c.deadline.Load(); {
	case deadline == over:
		c.cancel(context.Canceled)
	case c.s.since() >= deadline:
		c.cancel(context.DeadlineExceeded)
	}
}

func (c *runContext) cancel(err error) {
	c.use()
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for f := range after {
		go (*f)()
	}
}
