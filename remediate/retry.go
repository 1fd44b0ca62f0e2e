package remediate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Do calls op until it returns nil, as often and with the pauses that b says:
// for retries inside an action. To repeat a whole rung, set Step.Retry instead.
//
// It stops early at [ErrSkip], [ErrEscalate] and a [RecycleRequest], which
// another try cannot change, and when ctx ends, also in the middle of a pause.
// The error is that of the last try, with the count of tries and, where ctx
// ended, its cause. A panic of op is the caller's.
func (b Backoff) Do(ctx context.Context, op func(ctx context.Context) error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("remediate: not tried: %w", context.Cause(ctx))
	}
	p := &pauses{plan: b, ctx: ctx}
	var last error
	tries := 0
	err := backoff.Retry(func() error {
		tries++
		if last = op(ctx); last != nil && final(last) {
			return backoff.Permanent(last)
		}
		return last
	}, backoff.WithContext(p, ctx))
	switch {
	case err == nil:
		return nil
	case final(last):
		return last
	case ctx.Err() != nil && !errors.Is(last, context.Cause(ctx)):
		return fmt.Errorf("remediate: try %d of %d: %w; no further try: %w", tries, b.Attempts(), last, context.Cause(ctx))
	}
	return fmt.Errorf("remediate: try %d of %d: %w", tries, b.Attempts(), last)
}

// pauses lets the retry loop wait by our own arithmetic: its own needs a clock
// and reaches a pause only by way of all that come before.
type pauses struct {
	plan Backoff
	ctx  context.Context
	try  int
}

// Reset is called by the loop before its first try.
func (p *pauses) Reset() { p.try = 0 }

// NextBackOff is called by the loop after each failed try.
func (p *pauses) NextBackOff() time.Duration {
	p.try++
	if p.try >= p.plan.Attempts() || p.ctx.Err() != nil {
		return backoff.Stop
	}
	return p.plan.Pause(p.try, rand.Float64())
}
