package command

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/selfheal-go/selfheal/internal/process"
	"github.com/selfheal-go/selfheal/remediate"
)

// New makes an action that runs a program as the options say. It returns nil
// when the program exits with 0 and leaves nothing running, and an [*Error]
// otherwise. The options are copied. Check them with [Options.Validate] in a
// test: an action made from wrong ones runs nothing and says why.
//
// The action is safe for concurrent use, and each call is a process of its
// own. It returns when the program has ended and, after the end of ctx, at most
// WaitDelay and a little later, unless the kernel cannot kill the program or we
// may not: then it waits, because what still runs must not be taken for ended.
func New(o Options) remediate.Action {
	wrong := o.Validate()
	o = o.effective()
	return func(ctx context.Context, req remediate.Request) error {
		if wrong != nil {
			return fmt.Errorf("command: not run, its options are wrong: %w", wrong)
		}
		if ctx.Err() != nil {
			return &Error{Path: o.Path, ExitCode: -1, Err: context.Cause(ctx)}
		}
		return run(ctx, o, req)
	}
}

func run(ctx context.Context, o Options, req remediate.Request) error {
	input, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("command %s: write the request: %w", o.Path, err)
	}
	token := rand.Text()
	began := time.Now()
	exit, err := process.Run(ctx, process.Program{
		Path: o.Path, Args: o.Args, Dir: o.Dir, Bounds: o.bounds(),
		Env:   environment(o, req, token),
		Input: append(input, '\n'),
	})
	if err != nil {
		return &Error{Path: o.Path, ExitCode: -1, Err: err}
	}
	e := &Error{
		Path: o.Path, ExitCode: exit.Code, Signal: exit.Signal, Output: exit.Output, Missing: exit.Missing,
		Abandoned: abandoned(token, exit.Group), Held: exit.Held, ran: true, cut: exit.Interrupted,
	}
	e.Err = cause(ctx, o, e, exit.Err)
	failed := e.ExitCode != 0 || e.Err != nil || e.left() && !o.LeaveRunning
	report(req.Log, e, failed, time.Since(began))
	if failed {
		return e
	}
	return nil
}

// cause says why, beyond its exit code, a program counts as failed.
func cause(ctx context.Context, o Options, e *Error, unknown error) error {
	if e.cut {
		// Also with exit code 0: a program that ends well after a SIGTERM
		// has not said that it finished its work.
		return context.Cause(ctx)
	}
	if e.ExitCode > 0 && e.ExitCode == o.EscalateExit {
		return remediate.ErrEscalate
	}
	// A skip says that nothing was done; what still runs says otherwise.
	if e.ExitCode > 0 && e.ExitCode == o.SkipExit && (!e.left() || o.LeaveRunning) {
		return remediate.ErrSkip
	}
	return unknown
}

func report(log *slog.Logger, e *Error, failed bool, took time.Duration) {
	if log == nil {
		return
	}
	attrs := []any{"path", e.Path, "exit", e.ExitCode, "took", took, "output", e.Output}
	if e.Signal != nil {
		attrs = append(attrs, "signal", e.Signal.String())
	}
	if len(e.Abandoned) > 0 {
		attrs = append(attrs, "abandoned", e.Abandoned)
	}
	switch {
	case failed:
		log.Warn("command failed", append(attrs, "error", e.Error())...)
	case e.left():
		log.Info("command ended and left processes running", attrs...)
	default:
		log.Info("command ended", attrs...)
	}
}
