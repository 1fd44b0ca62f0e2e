package dependency

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

var errNoBudget = errors.New("dependency: the retry budget is spent")

// affords says whether one more retry fits into the budget of the window. c.mu is
// held.
func (c *Client) affords(now time.Duration) bool {
	if c.mute > 0 || c.o.RetryBudget < 0 {
		return false
	}
	t := c.window.totals(now)
	first := float64(t.begun - t.retries)
	return float64(t.retries+1) <= max(1, c.o.RetryBudget*first)
}

// TakeRetry says whether a call may be repeated, and counts it, for callers with
// retry loops of their own; they draw on the budget that Do and Transport draw on.
// It is false where the budget is spent and while retries are stopped.
func (c *Client) TakeRetry() bool {
	if c.problem != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if !c.affords(now) {
		return false
	}
	c.keepTime(now).retries.Add(1)
	c.counts.retries++
	return true
}

// again waits for the pause before the next try and takes its permit. It is false
// where there is to be no further try.
func (c *Client) again(ctx context.Context, try int) (Permit, bool) {
	if !c.mayRetry() {
		return Permit{}, false
	}
	t := time.NewTimer(c.o.Retry.Pause(try, rand.Float64()))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return Permit{}, false
	}
	p, err := c.enter(ctx, true)
	return p, err == nil
}

// mayRetry spares callers a pause that leads to nothing.
func (c *Client) mayRetry() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.affords(c.now())
}

// repeat tries a call again that failed with err. What it returns is the error of
// the last call that was made: that a retry was refused helps nobody.
func (c *Client) repeat(ctx context.Context, call func(ctx context.Context) error, err error) error {
	for try := 1; try < c.o.Retry.Tries && c.judgeError(err) == Failure; try++ {
		p, ok := c.again(ctx, try)
		if !ok {
			return err
		}
		if err = c.run(ctx, p, call); err == nil {
			return nil
		}
	}
	return err
}
