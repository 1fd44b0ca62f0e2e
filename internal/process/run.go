package process

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
)

// A Program is what is run.
type Program struct {
	Path   string   // absolute; no shell interprets it
	Args   []string // without the name of the program
	Dir    string   // "" means that of the service
	Env    []string // all that it gets; nothing is inherited
	Input  []byte   // its standard input; it need not read it
	Bounds Bounds   // as Effective returns them
}

// An Exit says how a program ended that was started.
type Exit struct {
	Group  int       // id of its process group, 0 where there are none
	Code   int       // exit code; -1 when a signal ended it or nobody knows
	Signal os.Signal // that ended it, or nil
	// Interrupted says that ctx ended while it ran, and that it was told so. Its
	// exit code is then no sign that it did its work, even if it is 0.
	Interrupted bool
	// Held says that a process outside of the group held the output open for the
	// whole of WaitDelay, so that Output may be incomplete.
	Held bool
	// Output is what was kept of standard output and standard error together, as
	// valid UTF-8 with a note where something is missing, and Missing how many
	// bytes were not kept.
	Output  string
	Missing int64
	// Err is why nobody knows how it ended: an error of the system, else nil.
	Err error
}

// Run runs a program to its end. An error means that it was not started: the cause
// of ctx if that has ended, else the error of the system without the path.
//
// Run returns when the program has ended and, after the end of ctx, at most
// WaitDelay and a little later, unless the kernel cannot kill the program or we
// may not: then it waits, because what still runs must not be taken for ended. It
// is safe for concurrent use.
func Run(ctx context.Context, p Program) (Exit, error) {
	output := newCapture(p.Bounds.MaxOutput)
	cmd := exec.CommandContext(ctx, p.Path, p.Args...)
	cmd.Dir, cmd.Env = p.Dir, p.Env
	cmd.Stdin = bytes.NewReader(p.Input)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.WaitDelay = p.Bounds.WaitDelay

	g := newGroup(cmd)
	cmd.Cancel = func() error { return g.end(p.Bounds.Grace) }

	if err := cmd.Start(); err != nil {
		if ctx.Err() != nil {
			return Exit{}, context.Cause(ctx)
		}
		return Exit{}, plain(err)
	}
	g.awaitLeader()
	err := cmd.Wait()
	g.finish()

	e := Exit{Group: g.id, Code: -1, Interrupted: g.interrupted(), Output: output.String(), Missing: output.missing()}
	if state := cmd.ProcessState; state != nil { // nil when somebody else reaped it
		e.Code, e.Signal = state.ExitCode(), signalOf(state)
	}
	e.Held = !output.complete || errors.Is(err, exec.ErrWaitDelay)
	var exit *exec.ExitError
	if !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		e.Err = err
	}
	return e, nil
}

// plain drops what the caller says anyway.
func plain(err error) error {
	var path *os.PathError
	var lookup *exec.Error
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &lookup):
		return lookup.Err
	}
	return err
}
