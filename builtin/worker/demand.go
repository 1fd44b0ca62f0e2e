package worker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Restart ends the context of a worker and starts it again when it has returned,
// with those that depend on it where the group has such a strategy. One that
// waits in a pause, in quarantine, or is done, is started at once; after a
// quarantine it has one trial, not a fresh count. It returns nil once the old run
// has returned; [ErrIgnored] when it has not within the stop time-out, after which
// it is started as soon as it does; and the cause of ctx when that ends first.
// What a run returns that was asked to end is no failure.
func (g *Group) Restart(ctx context.Context, name string) error {
	if err := dead(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	m, err := g.find(name)
	if err != nil {
		g.mu.Unlock()
		return err
	}
	now := g.now()
	r := m.run
	if r == nil {
		err := g.lift(m, now)
		g.mu.Unlock()
		return err
	}
	gone := r.over()
	wait := g.o.StopTimeout
	if g.o.Strategy == OneForOne {
		g.ask(m, ErrRestarting, thenStart)
	} else {
		g.join(m, now)
		wait *= time.Duration(g.round.hi - g.round.lo + 1)
		g.advance(now)
	}
	g.mu.Unlock()
	return g.await(ctx, m.name, gone, wait)
}

// lift starts one that is down. g.mu is held.
func (g *Group) lift(m *member, now time.Duration) error {
	switch {
	case m.state == held && g.round == nil:
		return fmt.Errorf("worker %q: %w", m.name, ErrHeld)
	case m.state == held: // the round starts it
	case m.state == gaveUp:
		m.disarm()
		m.fails.why = ""
		g.try(m, now)
	default:
		m.disarm()
		g.launch(m, now)
	}
	return nil
}

// Replace gives up on the run of a worker and starts the next one beside it: for
// a worker that is stuck and ignores its context. The old run goes on, because
// Go cannot end it; its context has ended, it is counted and shown with its stack
// by [Group.Status], and what it still does, with a lock that it holds for one, is
// its own. Returns [ErrCap] where as many such runs go on as may. A worker that is
// not running is started.
func (g *Group) Replace(ctx context.Context, name string) error {
	if err := dead(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	m, err := g.find(name)
	if err != nil {
		g.mu.Unlock()
		return err
	}
	r, label := m.run, m.label()
	if r == nil {
		err := g.lift(m, g.now())
		g.mu.Unlock()
		return err
	}
	if len(g.abandoned) >= g.o.MaxAbandoned {
		g.mu.Unlock()
		return fmt.Errorf("worker %q: %w", name, ErrCap)
	}
	g.mu.Unlock()

	stack := g.look([]string{label}, true)[label].text // while only the old one bears its label
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.phase != running:
		return ErrNotRunning
	case m.run != r: // it has returned meanwhile
		return nil
	case len(g.abandoned) >= g.o.MaxAbandoned:
		return fmt.Errorf("worker %q: %w", name, ErrCap)
	}
	now := g.now()
	next := m.then
	g.abandon(m, stack, now)
	switch next {
	case thenForget:
		g.forget(m)
	case thenDown:
		m.state = gaveUp
	default:
		g.launch(m, now)
	}
	g.advance(now)
	return nil
}

// Quarantine stops a worker and keeps it down until [Group.Release] or
// [Group.Restart]; why is shown. Those that depend on it are held meanwhile.
// Returns as [Group.Restart] does.
func (g *Group) Quarantine(ctx context.Context, name, why string) error {
	if err := dead(ctx); err != nil {
		return err
	}
	if why == "" {
		why = "put into quarantine"
	}
	g.mu.Lock()
	m, err := g.find(name)
	if err != nil {
		g.mu.Unlock()
		return err
	}
	f := m.failures()
	f.why = oneLine(why)
	m.disarm()
	g.unwell[m] = struct{}{}
	now := g.now()
	r := m.run
	if r == nil {
		m.state = gaveUp
		g.follow(m, now)
		g.mu.Unlock()
		return nil
	}
	gone := r.over()
	wait := g.o.StopTimeout
	if g.o.Strategy == OneForOne || r.asked > 0 {
		g.ask(m, ErrRemoved, thenDown)
	} else {
		m.then = thenDown // the round stops it after those that depend on it
		wait *= time.Duration(len(g.members))
	}
	g.follow(m, now)
	g.mu.Unlock()
	return g.await(ctx, name, gone, wait)
}

// follow makes those that depend on m follow what happens to it. g.mu is held.
func (g *Group) follow(m *member, now time.Duration) {
	if g.o.Strategy != OneForOne {
		g.join(m, now)
		g.advance(now)
	}
}

// Release ends the quarantine of a worker, forgets its failures, and starts it:
// for a person who has mended the cause.
func (g *Group) Release(name string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	m, err := g.find(name)
	if err != nil {
		return err
	}
	m.disarm()
	m.fails = nil
	delete(g.unwell, m)
	switch {
	case m.run != nil && m.then == thenDown:
		m.then = thenStart
	case m.run == nil && m.state != finished:
		g.launch(m, g.now())
	}
	return nil
}

// Remove takes a worker out of the group and waits for it to return, as
// [Group.Restart] does; its name is free when it has.
func (g *Group) Remove(ctx context.Context, name string) error {
	g.mu.Lock()
	m := g.names[name]
	if m == nil {
		g.mu.Unlock()
		return fmt.Errorf("worker %q: %w", name, ErrUnknown)
	}
	r := m.run
	if r == nil {
		g.forget(m)
		g.advance(g.now())
		g.mu.Unlock()
		return nil
	}
	gone := r.over()
	g.ask(m, ErrRemoved, thenForget)
	g.mu.Unlock()
	return g.await(ctx, name, gone, g.o.StopTimeout)
}

// find returns a worker of a group that runs. g.mu is held.
func (g *Group) find(name string) (*member, error) {
	m := g.names[name]
	switch {
	case m == nil || m.then == thenForget && m.run != nil:
		return nil, fmt.Errorf("worker %q: %w", name, ErrUnknown)
	case g.phase != running:
		return nil, fmt.Errorf("worker %q: %w", name, ErrNotRunning)
	}
	return m, nil
}

// await waits for the end of a run.
func (g *Group) await(ctx context.Context, name string, gone <-chan struct{}, most time.Duration) error {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-gone:
		return nil
	default:
	}
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("worker %q: not waited for any longer: %w", name, context.Cause(ctx))
	case <-t.C:
		g.wake()
		return fmt.Errorf("worker %q: %w: %v", name, ErrIgnored, most)
	}
}

// dead says that ctx has ended before anything was done.
func dead(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return errors.Join(errors.New("worker: nothing was done"), context.Cause(ctx))
}
