package sqlpool

import (
	"context"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

const (
	// rebuildGap is the least time between two times that the pool is rebuilt. What
	// did not help helps no better when it is repeated, and the database pays for it.
	rebuildGap = 10 * time.Minute
	// rebuildFor is how long a rebuild without a Tracker replaces what is returned,
	// and rebuildAge what it lets live: a slot dials once a second at most.
	rebuildFor = 5 * time.Second
	rebuildAge = time.Second
)

// Rebuild returns the step "rebuild-pool": every connection of the pool is replaced
// by a new one, once, in case they lead to a server that is gone or has changed its
// role. Idle ones are closed now, those in use when they are returned; new ones are
// opened as they are needed, not all together.
//
// With a Tracker no setting is touched. Without one, SetMaxIdleConns and
// SetConnMaxLifetime are lowered for 5 s and put back to Options.Settings; without
// those it skips. It also skips within 10 min of the last time. Make the step once for a
// pool: each knows only what it did itself.
func Rebuild(o Options) remediate.Step { return newPack(o).rebuild() }

func (p *pack) rebuild() remediate.Step {
	return remediate.Step{
		Name: "rebuild-pool", Run: remediate.Once(p.runRebuild), Lasting: true, Settle: settle, Risk: remediate.Disruptive,
	}
}

func (p *pack) runRebuild(ctx context.Context, req remediate.Request) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	switch {
	case p.o.Tracker == nil && p.o.Settings == nil:
		return fmt.Errorf("sqlpool: without Options.Tracker or Settings a pool cannot be rebuilt and left as it was: %w", remediate.ErrSkip)
	case p.o.DB.Stats().OpenConnections == 0:
		return fmt.Errorf("sqlpool: the pool has no connections: %w", remediate.ErrSkip)
	}
	r := &p.rebuilt
	r.mu.Lock()
	since := time.Since(r.last)
	soon := !r.last.IsZero() && since < rebuildGap
	if !soon {
		r.last = time.Now()
	}
	r.mu.Unlock()
	if soon {
		return fmt.Errorf("sqlpool: the pool was rebuilt %v ago: %w", since.Round(time.Second), remediate.ErrSkip)
	}
	if t := p.o.Tracker; t != nil {
		closed, later := t.renew(ctx)
		if req.Log != nil {
			req.Log.Warn("sqlpool: pool rebuilt", "closed", closed, "when_returned", later)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	}
	if err := p.contradicted(); err != nil {
		return err
	}
	return p.turnOver(ctx)
}

// turnOver lets connections die young for a while. It puts back what it lowered,
// however it ends.
func (p *pack) turnOver(ctx context.Context) error {
	db, s := p.o.DB, p.o.Settings
	before := db.Stats().MaxLifetimeClosed
	defer func() {
		p.rebuilt.mu.Lock()
		p.rebuilt.expired += db.Stats().MaxLifetimeClosed - before
		p.rebuilt.mu.Unlock()
	}()
	age := rebuildAge
	if s.MaxLifetime > 0 {
		age = min(age, s.MaxLifetime)
	}
	defer db.SetConnMaxLifetime(s.MaxLifetime)
	db.SetConnMaxLifetime(age)
	func() {
		defer db.SetMaxIdleConns(s.MaxIdle)
		db.SetMaxIdleConns(-1) // closes what is idle
	}()
	wait := time.NewTimer(p.rebuildFor)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sqlpool: connections were replaced for less than %v: %w", p.rebuildFor, context.Cause(ctx))
	}
}
