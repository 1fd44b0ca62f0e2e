package host

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// settleFor is the time that a measure needs to show in averages over 10 s; also
// oomd's post_action_delay.
const settleFor = 15 * time.Second

func skip(why string) error { return fmt.Errorf("host: %s: %w", why, remediate.ErrSkip) }

// turn is a hook with a switch as a step that is undone. It does not run on early
// warnings, which only tell and do what nobody notices.
func turn(name string, f func(context.Context, bool) error, settle time.Duration) remediate.Step {
	to := func(on bool) remediate.Action {
		return func(ctx context.Context, _ remediate.Request) error { return f(ctx, on) }
	}
	return remediate.Step{
		Name: name, Run: onlyAcute(to(true)), Undo: to(false), Measure: "host/" + name,
		Settle: settle, Risk: remediate.Disruptive,
	}
}

// appendTurn is turn for a hook that may be nil.
func appendTurn(steps []remediate.Step, name string, f func(context.Context, bool) error, settle time.Duration) []remediate.Step {
	if f == nil {
		return steps
	}
	return append(steps, turn(name, f, settle))
}

// appendDrop gives up caches, which nobody notices.
func (o Options) appendDrop(steps []remediate.Step, settle time.Duration) []remediate.Step {
	drop := o.DropCaches
	if drop == nil {
		return steps
	}
	return append(steps, remediate.Step{
		Name: "drop-caches", Settle: settle, Risk: remediate.Safe,
		Run: func(ctx context.Context, _ remediate.Request) error { return drop(ctx) },
	})
}

// onlyAcute makes an action skip on early warnings.
func onlyAcute(run remediate.Action) remediate.Action {
	return func(ctx context.Context, req remediate.Request) error {
		if req.Finding.Severity != detect.Critical {
			return skip("not for a warning")
		}
		return run(ctx, req)
	}
}

// CloseIdle is a step that closes idle connections: those of f, or of
// http.DefaultTransport if f is nil. It is Safe: an idle connection is made again
// when it is needed.
func CloseIdle(f func(ctx context.Context) error) remediate.Step {
	if f == nil {
		f = func(context.Context) error {
			// What replaced it may have connections to close as well.
			if t, ok := http.DefaultTransport.(interface{ CloseIdleConnections() }); ok {
				t.CloseIdleConnections()
			}
			return nil
		}
	}
	return remediate.Step{
		Name: "close-idle", Settle: 5 * time.Second, Risk: remediate.Safe,
		Run: func(ctx context.Context, req remediate.Request) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return f(ctx)
		},
	}
}

// appendRecycle adds the last rung: it asks for the process to be replaced, unless ready
// returns why that would not help.
func (o Options) appendRecycle(steps []remediate.Step, ready func() error) []remediate.Step {
	if o.RecycleCode == -1 {
		return steps
	}
	exit := remediate.Recycle(o.RecycleCode)
	run := func(ctx context.Context, req remediate.Request) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if req.Finding.Key != "" {
			return skip("a restart does not help against " + req.Finding.Key)
		}
		if err := ready(); err != nil {
			return err
		}
		return exit(ctx, req)
	}
	return append(steps, remediate.Step{Name: "recycle", Run: onlyAcute(run), Lasting: true})
}

// callFor makes a ladder stop at its first rung for some keys, with the reason why
// people are called at once. That rung must be Safe, since no rail may hold up a call
// for help, and no measure, which another incident may have taken; where the first one
// is not so, another is put before it.
func callFor(keys map[string]string, steps []remediate.Step) []remediate.Step {
	if len(steps) == 0 {
		return nil // an empty ladder calls at once by itself
	}
	next := func(context.Context, remediate.Request) error { return skip("only some keys call people at once") }
	if steps[0].Risk == remediate.Safe && steps[0].Undo == nil {
		next = steps[0].Run
	} else {
		steps = append([]remediate.Step{{Name: "triage", Risk: remediate.Safe, Settle: time.Second}}, steps...)
	}
	steps[0].Run = func(ctx context.Context, req remediate.Request) error {
		if why := keys[req.Finding.Key]; why != "" {
			return fmt.Errorf("host: %s: %w", why, remediate.ErrEscalate)
		}
		return next(ctx, req)
	}
	return steps
}
