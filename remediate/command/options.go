package command

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
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

const (
	defaultMaxOutput = 64 << 10
	defaultGrace     = time.Second
	defaultWaitDelay = 2 * time.Second
	reserved         = "SELFHEAL_"
)

// Validate returns everything that is wrong, joined, each with what to do about
// it. It looks at no file. Call it in a test: an action made from wrong options
// fails whenever it is run.
func (o Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("command: "+format, args...)) }
	if !filepath.IsAbs(o.Path) {
		bad("Path %q is not absolute: write the full path of the program", o.Path)
	}
	if o.Dir != "" && !filepath.IsAbs(o.Dir) {
		bad("Dir %q is not absolute: write the full path, or leave it empty", o.Dir)
	}
	for _, s := range append([]string{o.Path, o.Dir}, o.Args...) {
		if strings.ContainsRune(s, 0) {
			bad("%q contains a NUL byte: remove it", s)
		}
	}
	seen := map[string]bool{}
	name := func(field, n string) {
		switch {
		case n == "" || strings.ContainsAny(n, "=\x00"):
			bad("%s: %q cannot name a variable: use letters, digits and underscores", field, n)
		case strings.HasPrefix(strings.ToUpper(n), reserved):
			bad("%s: %q: names that begin with %s are set by the action: use another name", field, n, reserved)
		case seen[n]:
			bad("%s: %q is listed twice: keep it in one place of Env and Set", field, n)
		}
		seen[n] = true
	}
	for _, n := range o.Env {
		name("Env", n)
	}
	for _, n := range sortedKeys(o.Set) {
		name("Set", n)
		if strings.ContainsRune(o.Set[n], 0) {
			bad("Set: the value of %q contains a NUL byte: remove it", n)
		}
	}
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
	if o.MaxOutput < 0 {
		bad("MaxOutput is %d: use a number of bytes, or 0 for %d", o.MaxOutput, defaultMaxOutput)
	}
	if o.Grace < 0 && o.Grace != -1 {
		bad("Grace is %v: use a duration, 0 for %v, or -1 for none", o.Grace, defaultGrace)
	}
	if o.WaitDelay < 0 {
		bad("WaitDelay is %v: use a duration, or 0 for %v", o.WaitDelay, defaultWaitDelay)
	}
	if e := o.effective(); o.WaitDelay >= 0 && e.Grace >= e.WaitDelay {
		bad("Grace (%v) is not shorter than WaitDelay (%v): raise WaitDelay or lower Grace", e.Grace, e.WaitDelay)
	}
	return errors.Join(errs...)
}

// effective is a copy of its own with the defaults filled in.
func (o Options) effective() Options {
	o.Args, o.Env = slices.Clone(o.Args), slices.Clone(o.Env)
	set := make(map[string]string, len(o.Set))
	for n, v := range o.Set {
		set[n] = v
	}
	o.Set = set
	if o.MaxOutput == 0 {
		o.MaxOutput = defaultMaxOutput
	}
	if o.WaitDelay == 0 {
		o.WaitDelay = defaultWaitDelay
	}
	switch o.Grace {
	case 0:
		o.Grace = min(defaultGrace, o.WaitDelay/2)
	case -1:
		o.Grace = 0
	}
	return o
}
