package sqlpool

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

const (
	// settle is longer than the window over which waits are averaged.
	settle = window + 5*time.Second
	// awaitFor is how long holders are given, and awaitEvery how often it is seen
	// whether one is past its time.
	awaitFor   = 2 * time.Minute
	awaitEvery = 5 * time.Second
	// answerFor is how long holders get to give back what they had when their call
	// was cancelled.
	answerFor = 2 * time.Second
	// letIn is how long a connection for those that wait may take to open.
	letIn = 2 * time.Second
)

// AwaitHolders returns the step "await-holders": it gives holders the time that
// Options.IdleHold, MaxHold and [AllowHold] leave them, for up to 2 min, so that
// [CancelHolders] after it finds them past it. It does nothing and is Safe. It skips
// once somebody is past his time, and where waiting brings nobody there.
func AwaitHolders(o Options) remediate.Step { return newPack(o).awaitHolders() }

func (p *pack) awaitHolders() remediate.Step {
	const pause = time.Millisecond // the settling is the pause
	run := func(ctx context.Context, _ remediate.Request) error {
		if err := p.ready(ctx); err != nil {
			return err
		}
		if p.o.Tracker == nil {
			return errNoTracker
		}
		soon := false
		list := p.o.Tracker.holds()
		for i := range list {
			h := &list[i]
			in, _, ever := p.due(h, p.o.Tracker.locate(h))
			switch {
			case ever && in <= 0, h.taken && !h.off && !h.busy:
				return fmt.Errorf("sqlpool: a holder is past its time already: %w", remediate.ErrSkip)
			case ever && in <= awaitFor && (h.idle >= idleFor || h.busy && h.held >= idleFor):
				soon = true
			}
		}
		if !soon {
			return fmt.Errorf("sqlpool: no holder will be past its time within %v: %w", awaitFor, remediate.ErrSkip)
		}
		return nil
	}
	return remediate.Step{
		Name: "await-holders", Run: run, Settle: awaitEvery, Risk: remediate.Safe,
		Retry: remediate.Backoff{Tries: int(awaitFor/awaitEvery) + 1, Initial: pause, Max: pause, Multiplier: 1},
	}
}

var errNoTracker = fmt.Errorf("sqlpool: nobody knows who holds a connection without Options.Tracker: %w", remediate.ErrSkip)

// CancelHolders returns the step "cancel-holders": it takes connections back from
// holders past their time, by Options.IdleHold, MaxHold and [AllowHold], and from
// those that can never return them. A call under way is cancelled by its context. A
// connection that is held without one is closed, which ends its transaction at the
// server, and the pool gets a slot in its place until the holder returns it. The
// holder's next call returns a [TakenError].
//
// A holder whose context ends by itself is left to that, and one within
// [sql.Conn.Raw] is never touched. It skips without a Tracker and where nobody is
// past his time, and fails where nobody answers.
func CancelHolders(o Options) remediate.Step { return newPack(o).cancelHolders() }

func (p *pack) cancelHolders() remediate.Step {
	run := func(ctx context.Context, req remediate.Request) error {
		return p.takeBack(ctx, req, p.overdue, "no holder is past its time")
	}
	return remediate.Step{
		Name: "cancel-holders", Run: remediate.Once(run), Lasting: true, Settle: settle, Risk: remediate.Disruptive,
	}
}

// Reclaim returns the step "reclaim": [CancelHolders] for the connections that are
// proven leaked at the site of the finding, whether others wait or not. It is Safe:
// nobody is left to notice.
func Reclaim(o Options) remediate.Step { return newPack(o).reclaim() }

func (p *pack) reclaim() remediate.Step {
	run := func(ctx context.Context, req remediate.Request) error {
		return p.takeBack(ctx, req, func(h *hold, at origin) string {
			if h.taken || !proven(h, at) || at.site != req.Finding.Key {
				return ""
			}
			return unreachable
		}, "nothing is proven leaked there")
	}
	return remediate.Step{Name: "reclaim", Run: remediate.Once(run), Settle: 2 * time.Second, Risk: remediate.Safe}
}

// takeBack takes the connections that why gives a reason for, and skips for none
// where there are none.
func (p *pack) takeBack(ctx context.Context, req remediate.Request, why func(*hold, origin) string, none string) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	t := p.o.Tracker
	if t == nil {
		return errNoTracker
	}
	var taken, given int
	var cancelled []waiting
	list := t.holds()
	for i := range list {
		h := &list[i]
		if ctx.Err() != nil {
			return fmt.Errorf("sqlpool: %d connections were taken back, and then: %w", taken, context.Cause(ctx))
		}
		if mine, _ := h.c.abandon(h.seq); mine { // its call was cancelled before, and went on until now
			taken++
			if p.writeOff(h.c) {
				given++
			}
			continue
		}
		at := t.locate(h)
		reason := why(h, at)
		if reason == "" {
			continue
		}
		told := &TakenError{Site: at.site, Held: h.held.Round(time.Millisecond), Reason: reason}
		ended, ok := h.c.take(h, told)
		if !ok {
			continue // it was used or returned since
		}
		taken++
		if ended != nil {
			cancelled = append(cancelled, waiting{h, ended})
		} else if p.writeOff(h.c) {
			given++
		}
		if req.Log != nil {
			req.Log.Warn("sqlpool: connection taken back", "site", at.site, "kind", at.kind, "held", h.held, "idle", h.idle,
				"in_call", h.busy, "reason", reason, "for", t.describe(h.ctx), "stack", at.stack)
		}
	}
	if taken == 0 {
		return fmt.Errorf("sqlpool: %s: %w", none, remediate.ErrSkip)
	}
	stuck, more := p.await(ctx, cancelled)
	p.letIn(ctx, given+more)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("sqlpool: %d connections were taken back, and then: %w", taken, context.Cause(ctx))
	case stuck == taken:
		return fmt.Errorf("sqlpool: %s: the driver goes on with calls that were cancelled %v ago: see whether it honours contexts", plural(stuck), answerFor)
	}
	return nil
}

// writeOff closes a connection that was taken and gives the pool a slot in its place.
func (p *pack) writeOff(c *conn) bool {
	_ = c.hangUp() // given up, whatever the driver says
	return p.limit.give(c)
}

// waiting is a call that was cancelled.
type waiting struct {
	h     *hold
	ended <-chan struct{}
}

// await gives holders time to return what they held in a call, and writes off what
// they keep.
func (p *pack) await(ctx context.Context, list []waiting) (stuck, given int) {
	if len(list) == 0 {
		return 0, 0
	}
	ctx, cancel := context.WithTimeout(ctx, answerFor)
	defer cancel()
	for _, w := range list {
		select {
		case <-w.ended:
		case <-ctx.Done():
		}
	}
	// The call has ended; what follows, closing rows say, may be the holder's next.
	const returnFor = 100 * time.Millisecond
	select {
	case <-time.After(returnFor):
	case <-ctx.Done():
	}
	for _, w := range list {
		switch mine, goesOn := w.h.c.abandon(w.h.seq); {
		case goesOn:
			stuck++
		case mine:
			if p.writeOff(w.h.c) {
				given++
			}
		}
	}
	return stuck, given
}

// letIn opens connections for those that wait: a larger limit alone wakes nobody, the
// end of any call does.
func (p *pack) letIn(ctx context.Context, n int) {
	ctx, cancel := context.WithTimeout(ctx, letIn)
	defer cancel()
	for range n {
		if p.o.DB.PingContext(ctx) != nil {
			return // whoever comes next lets them in
		}
	}
}

// Shrink returns the step "shrink-pool": it lets the pool have no more than
// Options.FairShare connections while the database is slow, since more callers at
// once make a slow database slower. Undo puts limits back to what they were, unless
// the program has set others meanwhile. It skips where the pool is no larger, and
// where most connections are held without a call: the database is not what is slow
// then. It never lets the pool grow.
func Shrink(o Options) remediate.Step { return newPack(o).shrink() }

func (p *pack) shrink() remediate.Step {
	return remediate.Step{
		Name: "shrink-pool", Run: remediate.Once(p.runShrink), Undo: p.undoShrink, Settle: 30 * time.Second, Risk: remediate.Disruptive,
	}
}

// shrunk is the memo: the limit before and after, and of idle connections what is to
// be put back; 0 where that was not touched.
type shrunk struct{ From, To, MaxIdle int }

func (p *pack) runShrink(ctx context.Context, req remediate.Request) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	if p.o.FairShare == 0 {
		return fmt.Errorf("sqlpool: Options.FairShare does not say what to shrink to: %w", remediate.ErrSkip)
	}
	base, _ := p.limit.read()
	if base > 0 && base <= p.o.FairShare {
		return fmt.Errorf("sqlpool: the pool has %d connections, no more than its share: %w", base, remediate.ErrSkip)
	}
	if p.o.Tracker != nil {
		if s := p.o.Tracker.survey(); 2*s.idle > s.held {
			return fmt.Errorf("sqlpool: %d of %d connections are held without a call: a smaller pool would not help: %w", s.idle, s.held, remediate.ErrSkip)
		}
	}
	if err := p.contradicted(); err != nil {
		return err
	}
	memo := shrunk{From: base, To: p.o.FairShare}
	if p.o.Settings.MaxIdle > p.o.FairShare {
		memo.MaxIdle = p.o.Settings.MaxIdle
	}
	text, err := json.Marshal(memo)
	if err != nil {
		return fmt.Errorf("sqlpool: shrink the pool: %w", err)
	}
	if req.Save != nil {
		if err := req.Save(text); err != nil {
			return fmt.Errorf("sqlpool: shrink the pool: %w", err)
		}
	}
	if memo.MaxIdle != 0 {
		p.o.DB.SetMaxIdleConns(memo.To)
	}
	if !p.limit.set(memo.From, memo.To) {
		return fmt.Errorf("sqlpool: shrink the pool: the program has set another limit at this moment: it is left alone")
	}
	return nil
}

func (p *pack) undoShrink(_ context.Context, req remediate.Request) error {
	if len(req.Memo) == 0 {
		return nil // Run came to nothing
	}
	if p.problem != nil {
		return p.problem
	}
	var memo shrunk
	if err := json.Unmarshal(req.Memo, &memo); err != nil {
		return fmt.Errorf("sqlpool: put the limit back: the memo: %w", err)
	}
	if memo.From >= 0 && memo.To > 0 && (memo.From == 0 || memo.From > memo.To) {
		p.limit.set(memo.To, memo.From)
		if memo.MaxIdle > 0 {
			p.o.DB.SetMaxIdleConns(memo.MaxIdle)
		}
	}
	return nil
}

// contradicted says that Settings cannot be true: what would be put back would be
// wrong.
func (p *pack) contradicted() error {
	s, stats := p.o.Settings, p.o.DB.Stats()
	switch {
	case stats.Idle > max(s.MaxIdle, 0):
		return fmt.Errorf("sqlpool: %d connections are idle, and Options.Settings says that at most %d are kept: say what SetMaxIdleConns was called with: %w", stats.Idle, max(s.MaxIdle, 0), remediate.ErrEscalate)
	case s.MaxLifetime == 0 && stats.MaxLifetimeClosed > p.expired():
		return fmt.Errorf("sqlpool: connections were closed for their age, and Options.Settings says that they have none: say what SetConnMaxLifetime was called with: %w", remediate.ErrEscalate)
	}
	return nil
}

// ready says why nothing can be done.
func (p *pack) ready(ctx context.Context) error {
	if p.problem != nil {
		return p.problem
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// rebuilt is when the pool was rebuilt last, and what that cost.
type rebuilt struct {
	mu      sync.Mutex
	last    time.Time
	expired int64 // connections that were closed for their age by it
}

func (p *pack) expired() int64 {
	p.rebuilt.mu.Lock()
	defer p.rebuilt.mu.Unlock()
	return p.rebuilt.expired
}
