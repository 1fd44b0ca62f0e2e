package command

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/internal/process"
)

// Options say what is run. Every field but Path may be left zero.
type Options struct {
	// Path is the program, absolute. It is not searched for and no shell
	// interprets it.
	Path string
	// Args are the arguments, without the name of the program.
	Args []string
	// Dir is the working directory, absolute. "" means that of the service.
	Dir string
	// Env lists names of variables that the program gets from the service, such
	// as PATH or HOME, with their values at the time of the run. Nothing is
	// inherited that is not listed.
	Env []string
	// Set are further variables with fixed values.
	Set map[string]string
	// SkipExit and EscalateExit are the exit codes, 1 to 255, by which the
	// program says remediate.ErrSkip and remediate.ErrEscalate. 0 means that
	// there is none: every code but 0 is a failure.
	SkipExit, EscalateExit int
	// MaxOutput bounds what is kept of standard output and standard error
	// together, in bytes: the first half and the last half of it, with a note
	// of how much is missing between them. 0 means 64 KiB.
	MaxOutput int
	// Grace is how long the process group may take to end after SIGTERM before
	// it gets SIGKILL. 0 means 1 s, or half of WaitDelay if that is less; -1
	// means SIGKILL at once. It is over as soon as the program itself ended.
	Grace time.Duration
	// WaitDelay is how long the output is waited for after the program ended
	// or ctx did, when a process that left the group holds it open. 0 means 2 s.
	WaitDelay time.Duration
	// LeaveRunning declares that the program leaves processes outside of its
	// group on purpose, because it starts a daemon. They are then logged, but
	// no error. A daemon should not keep the output open: see WaitDelay.
	LeaveRunning bool
}

// Validate returns everything that is wrong, joined, each with what to do about
// it. It looks at no file. Call it in a test: an action made from wrong options
// fails whenever it is run.
func (o Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("command: "+format, args...)) }
	process.CheckPlace(bad, o.Path, o.Dir)
	for _, s := range append([]string{o.Path, o.Dir}, o.Args...) {
		if strings.ContainsRune(s, 0) {
			bad("%q contains a NUL byte: remove it", s)
		}
	}
	process.CheckVariables(bad, "action", o.Env, o.Set)
	for _, c := range []struct {
		name string
		code int
	}{{"SkipExit", o.SkipExit}, {"EscalateExit", o.EscalateExit}} {
		if c.code < 0 || c.code > 255 {
			bad("%s is %d: use an exit code from 1 to 255, or 0 for none", c.name, c.code)
		}
	}
	if o.SkipExit != 0 && o.SkipExit == o.EscalateExit {
		bad("SkipExit and EscalateExit are both %d: use two codes", o.SkipExit)
	}
	o.bounds().Check(bad)
	return errors.Join(errs...)
}

func (o Options) bounds() process.Bounds {
	return process.Bounds{MaxOutput: o.MaxOutput, Grace: o.Grace, WaitDelay: o.WaitDelay}
}

// effective is a copy of its own with the defaults filled in.
func (o Options) effective() Options {
	o.Args, o.Env, o.Set = slices.Clone(o.Args), slices.Clone(o.Env), maps.Clone(o.Set)
	b := o.bounds().Effective()
	o.MaxOutput, o.Grace, o.WaitDelay = b.MaxOutput, b.Grace, b.WaitDelay
	return o
}
