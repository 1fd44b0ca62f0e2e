package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// RestartWorker restarts the worker of req.Finding.Key as [Group.Restart] does:
// once for a key of a request. ErrSkip where there is no such worker, where its
// group does not run, and where a person put it into quarantine. Its reach is
// Self; a step with it is Disruptive and Lasting. Its time-out should be above
// the stop time-out of the groups.
func RestartWorker(groups ...*Group) remediate.Action {
	o := Options{Groups: groups}
	return remediate.Once(func(ctx context.Context, req remediate.Request) error {
		g, name, err := o.of(req.Finding.Key)
		if err != nil {
			return err
		}
		if why := g.why(name); why != "" {
			return fmt.Errorf("%w: a person put it into quarantine: %s", remediate.ErrSkip, why)
		}
		return skip(g.Restart(ctx, name))
	})
}

// ReplaceWorker replaces the worker of req.Finding.Key as [Group.Replace] does:
// once for a key of a request. ErrSkip as [RestartWorker]; ErrEscalate where the
// cap is reached, and where the worker hangs in the operating system, which its
// successor would do as well. Its reach is Self; a step with it is Disruptive and
// Lasting.
func ReplaceWorker(groups ...*Group) remediate.Action {
	o := Options{Groups: groups}
	return remediate.Once(func(ctx context.Context, req remediate.Request) error {
		g, name, err := o.of(req.Finding.Key)
		if err != nil {
			return err
		}
		if why := g.why(name); why != "" {
			return fmt.Errorf("%w: a person put it into quarantine: %s", remediate.ErrSkip, why)
		}
		if g.inSyscall(ctx, name) {
			return fmt.Errorf("%w: worker %q hangs in the operating system: look at the host", remediate.ErrEscalate, name)
		}
		err = g.Replace(ctx, name)
		if errors.Is(err, ErrCap) {
			return fmt.Errorf("%w: %w", remediate.ErrEscalate, err)
		}
		return skip(err)
	})
}

// skip makes of what cannot be done here, and of no worker's fault, an ErrSkip.
func skip(err error) error {
	for _, e := range []error{ErrUnknown, ErrNotRunning, ErrHeld} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", remediate.ErrSkip, err)
		}
	}
	return err
}

// why is the reason of a quarantine on demand.
func (g *Group) why(name string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m := g.names[name]; m != nil && m.fails != nil {
		return m.fails.why
	}
	return ""
}

// inSyscall says whether a worker is in the operating system, at one place in two
// looks.
func (g *Group) inSyscall(ctx context.Context, name string) bool {
	g.mu.Lock()
	m := g.names[name]
	if m == nil || m.run == nil {
		g.mu.Unlock()
		return false
	}
	label := m.label()
	g.mu.Unlock()
	first := g.look([]string{label}, true)[label]
	if !first.inSyscall() {
		return false
	}
	wait := time.NewTimer(betweenLooks)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
	return g.look([]string{label}, true)[label].pcs == first.pcs
}

// betweenLooks is long for a system call that makes progress.
const betweenLooks = 100 * time.Millisecond

// beats is the verification of a restart: the new run has beaten within its
// budget. One without a budget only has to run.
func (o Options) beats(ctx context.Context, req remediate.Request) error {
	g, name, err := o.of(req.Finding.Key)
	if err != nil {
		return nil // it was removed: nothing of it is sick
	}
	look := time.NewTicker(beatPoll)
	defer look.Stop()
	for {
		done, err := g.hasBeaten(name)
		if done || err != nil {
			return err
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: it has not beaten yet: %w", remediate.ErrSkip, context.Cause(ctx))
		}
	}
}

// beatPoll is how often a verification looks for the first beat.
const beatPoll = 20 * time.Millisecond

func (g *Group) hasBeaten(name string) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := g.names[name]
	switch {
	case m == nil || m.state == finished:
		return true, nil
	case m.run == nil:
		return false, fmt.Errorf("worker %q is %s", name, stateNames[m.state])
	case m.run.seen == nil || m.run.seen.first.Load():
		return true, nil
	case g.now()-m.run.began > m.p.budget:
		return false, fmt.Errorf("worker %q has not beaten within its budget of %v since it was restarted", name, m.p.budget)
	}
	return false, nil
}

// stepTimeout leaves a restart the time that the groups allow for it, with those
// that depend on the worker, and a verification the time of a usual budget.
func (o Options) stepTimeout() time.Duration { return 2*o.stopTimeout() + 30*time.Second }

// withRecycle adds the last rung where it is wanted.
func (o Options) withRecycle(steps []remediate.Step) []remediate.Step {
	if o.Recycle > 0 {
		steps = append(steps, remediate.Step{Name: "recycle", Run: remediate.Recycle(o.Recycle), Lasting: true})
	}
	return steps
}
