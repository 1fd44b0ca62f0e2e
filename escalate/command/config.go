package command

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/process"
)

// Config says what is run. Every field but Path may be left zero.
type Config struct {
	// Path is the program, absolute. It is not searched for and no shell
	// interprets it.
	Path string
	// Args are the arguments, without the name of the program. Everybody on the
	// machine can read them: a secret belongs into Set.
	Args []string
	// Dir is the working directory, absolute. "" means that of the service.
	Dir string
	// Env lists names of variables that the program gets from the service, such
	// as PATH or HOME, with their values at the time of the run. Nothing is
	// inherited that is not listed.
	Env []string
	// Set are further variables with fixed values. The values are taken out of
	// what errors quote of the program's output, if they have 4 bytes or more.
	Set map[string]escalate.Secret
	// Timeout bounds one run, within the time that its context has. 0 means 30 s,
	// -1 means the time of the context alone.
	Timeout time.Duration
	// MaxOutput bounds what is kept of standard output and standard error
	// together, in bytes: the first half and the last half of it, with a note of
	// how much is missing between them. 0 means 64 KiB.
	MaxOutput int
	// Grace is how long the process group may take to end after SIGTERM before
	// it gets SIGKILL. 0 means 1 s, or half of WaitDelay if that is less; -1
	// means SIGKILL at once. It is over as soon as the program itself ended.
	Grace time.Duration
	// WaitDelay is how long the output is waited for after the program ended or
	// its time was over, when a process that left the group holds it open. 0
	// means 2 s.
	WaitDelay time.Duration
}

const defaultTimeout = 30 * time.Second

func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("command: "+format, args...)) }
	process.CheckPlace(bad, c.Path, c.Dir)
	if slices.ContainsFunc(append([]string{c.Path, c.Dir}, c.Args...), func(s string) bool { return strings.ContainsRune(s, 0) }) {
		bad("Path, Dir or Args contain a NUL byte: remove it")
	}
	process.CheckVariables(bad, "notifier", c.Env, c.Set)
	if c.Timeout < 0 && c.Timeout != -1 {
		bad("Timeout is %v: use a duration, 0 for %v, or -1 for the time of the context", c.Timeout, defaultTimeout)
	}
	c.bounds().Check(bad)
	return errors.Join(errs...)
}

func (c Config) bounds() process.Bounds {
	return process.Bounds{MaxOutput: c.MaxOutput, Grace: c.Grace, WaitDelay: c.WaitDelay}
}

// effective is a copy of its own with the defaults filled in.
func (c Config) effective() Config {
	c.Args, c.Env, c.Set = slices.Clone(c.Args), slices.Clone(c.Env), maps.Clone(c.Set)
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	b := c.bounds().Effective()
	c.MaxOutput, c.Grace, c.WaitDelay = b.MaxOutput, b.Grace, b.WaitDelay
	return c
}
