package command

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
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

const (
	defaultTimeout   = 30 * time.Second
	defaultMaxOutput = 64 << 10
	defaultGrace     = time.Second
	defaultWaitDelay = 2 * time.Second
	reserved         = "SELFHEAL_"
)

func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("command: "+format, args...)) }
	if !filepath.IsAbs(c.Path) {
		bad("Path %q is not absolute: write the full path of the program", c.Path)
	}
	if c.Dir != "" && !filepath.IsAbs(c.Dir) {
		bad("Dir %q is not absolute: write the full path, or leave it empty", c.Dir)
	}
	if slices.ContainsFunc(append([]string{c.Path, c.Dir}, c.Args...), func(s string) bool { return strings.ContainsRune(s, 0) }) {
		bad("Path, Dir or Args contain a NUL byte: remove it")
	}
	seen := map[string]bool{}
	name := func(field, n string) {
		switch {
		case n == "" || strings.ContainsAny(n, "=\x00"):
			bad("%s: %q cannot name a variable: use letters, digits and underscores", field, n)
		case strings.HasPrefix(strings.ToUpper(n), reserved):
			bad("%s: %q: names that begin with %s are set by the notifier: use another name", field, n, reserved)
		case seen[n]:
			bad("%s: %q is listed twice: keep it in one place of Env and Set", field, n)
		}
		seen[n] = true
	}
	for _, n := range c.Env {
		name("Env", n)
	}
	for _, n := range slices.Sorted(maps.Keys(c.Set)) {
		name("Set", n)
		if strings.ContainsRune(string(c.Set[n]), 0) {
			bad("Set: the value of %q contains a NUL byte: remove it", n)
		}
	}
	if c.Timeout < 0 && c.Timeout != -1 {
		bad("Timeout is %v: use a duration, 0 for %v, or -1 for the time of the context", c.Timeout, defaultTimeout)
	}
	if c.MaxOutput < 0 {
		bad("MaxOutput is %d: use a number of bytes, or 0 for %d", c.MaxOutput, defaultMaxOutput)
	}
	if c.Grace < 0 && c.Grace != -1 {
		bad("Grace is %v: use a duration, 0 for %v, or -1 for none", c.Grace, defaultGrace)
	}
	if c.WaitDelay < 0 {
		bad("WaitDelay is %v: use a duration, or 0 for %v", c.WaitDelay, defaultWaitDelay)
	}
	if e := c.effective(); c.WaitDelay >= 0 && e.Grace >= e.WaitDelay {
		bad("Grace (%v) is not shorter than WaitDelay (%v): raise WaitDelay or lower Grace", e.Grace, e.WaitDelay)
	}
	return errors.Join(errs...)
}

// effective is a copy of its own with the defaults filled in.
func (c Config) effective() Config {
	c.Args, c.Env, c.Set = slices.Clone(c.Args), slices.Clone(c.Env), maps.Clone(c.Set)
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.MaxOutput == 0 {
		c.MaxOutput = defaultMaxOutput
	}
	if c.WaitDelay == 0 {
		c.WaitDelay = defaultWaitDelay
	}
	switch c.Grace {
	case 0:
		c.Grace = min(defaultGrace, c.WaitDelay/2)
	case -1:
		c.Grace = 0
	}
	return c
}
