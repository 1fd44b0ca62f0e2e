package dependency

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// measure is what a step of a playbook asks of a client.
type measure uint8

const (
	measureBreak measure = iota + 1
	measureCut
	measureMute
)

// maxHolds bounds what playbooks that never undo could pile up.
const maxHolds = 1000

// Break is a [remediate.Action] for Step.Run: the client refuses all calls, and
// serves degraded, until [Client.Restore]. For callers that would each have to
// find out: a probe has found the dependency down, and nobody has called it yet.
// It does not apply ([remediate.ErrSkip]) while the calls of the window work, and
// where the breaker is open already.
func (c *Client) Break(ctx context.Context, req remediate.Request) error {
	return c.take(ctx, req, measureBreak, func(now time.Duration) string {
		t := c.window.totals(now)
		switch n := t.calls(); {
		case c.force > 0 || c.breaker.tripped():
			return "its breaker is open already"
		case t.ok > 0 && share(t.failed, n) < c.o.FailureRate && share(t.slow, n) < c.o.SlowRate:
			return fmt.Sprintf("its calls work: %d of %d within %v", t.ok, n, c.o.Window)
		}
		return ""
	})
}

// Cut is a [remediate.Action] for Step.Run: no more than ClientOptions.CutTo calls
// may be under way at once until [Client.Restore]; others are refused.
func (c *Client) Cut(ctx context.Context, req remediate.Request) error {
	return c.take(ctx, req, measureCut, func(time.Duration) string {
		if c.cut > 0 {
			return "its concurrency is cut already"
		}
		return ""
	})
}

// StopRetries is a [remediate.Action] for Step.Run: no call is repeated until
// [Client.Restore].
func (c *Client) StopRetries(ctx context.Context, req remediate.Request) error {
	return c.take(ctx, req, measureMute, func(time.Duration) string {
		if c.mute > 0 {
			return "its retries are stopped already"
		}
		return ""
	})
}

func (c *Client) take(ctx context.Context, req remediate.Request, m measure, skip func(now time.Duration) string) error {
	if c.problem != nil {
		return c.problem
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	key := holdKey(req)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, held := c.holds[key]; held {
		return nil
	}
	if len(c.holds) >= maxHolds {
		return fmt.Errorf("dependency: %d measures hold client %q already: undo some", len(c.holds), c.o.Name)
	}
	now := c.now()
	c.breaker.advance(now, &c.o)
	if why := skip(now); why != "" {
		return fmt.Errorf("dependency: client %q: %s: %w", c.o.Name, why, remediate.ErrSkip)
	}
	c.holds[key] = m
	*c.held(m)++
	c.publish(now)
	return nil
}

// holdKey names what Run took and Undo gives back: Request.Key without the phase.
func holdKey(req remediate.Request) string {
	req.Phase = remediate.Run
	return req.Key()
}

func (c *Client) held(m measure) *int {
	switch m {
	case measureBreak:
		return &c.force
	case measureCut:
		return &c.cut
	}
	return &c.mute
}

// Restore is the [remediate.Action] for Step.Undo of Break, Cut and StopRetries:
// it gives back what was taken under the same incident, step and attempt, and
// returns at once. The way back takes its time all the same, and needs nobody to
// wait for it: after Break one call is let through to try, and then a growing
// share; after Cut the calls beyond the limit are let through in a ramp.
func (c *Client) Restore(_ context.Context, req remediate.Request) error {
	key := holdKey(req)
	c.mu.Lock()
	defer c.mu.Unlock()
	m, held := c.holds[key]
	if !held {
		return nil
	}
	delete(c.holds, key)
	left := c.held(m)
	*left--
	if *left > 0 {
		return nil
	}
	now := c.now()
	b := &c.breaker
	b.advance(now, &c.o)
	switch {
	case m == measureBreak && !b.tripped():
		b.state, b.trial, b.until = HalfOpen, 0, now
		c.window.forget(now)
	case m == measureCut:
		c.uncut = span{now, time.Duration(float64(c.o.Ramp) * (1 + rand.Float64()))}
	}
	c.publish(now)
	return nil
}
