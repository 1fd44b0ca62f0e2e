package disk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// Options configure the pack. The zero value watches the usual file systems and
// tells people; what may be done about a full one is for the service to declare,
// because only it knows which files are disposable. (S) marks a start value of
// ours, to be tuned in shadow mode.
type Options struct {
	// Paths are absolute paths whose file systems are watched; a path is the key
	// of its findings. Paths on one file system count as the first of them.
	// nil: "/", the working directory and the temporary directory, those that
	// exist.
	Paths []string
	// Every is the interval of the watches of space and inodes. 0: 10 s, the
	// housekeeping interval of the kubelet. The watch of deleted files looks six
	// times as rarely, because it lists every descriptor.
	Every time.Duration
	// Patience is how long a look waits for a file system to answer before it is
	// blind. 0: 500 ms (S).
	Patience time.Duration
	// Space are the levels of the bytes that are left to non-root.
	Space Levels
	// Inodes are the levels of the free inodes.
	Inodes Levels
	// Forecast is how soon space or inodes may be used up, by the straight line
	// through the last 6 h, to be a finding of the watches space-low and
	// inodes-low once less than 40 % is left; a sixth of it, through the last
	// hour, once less than 20 % is left, is one of space and inodes. Both are the
	// node-mixin's: level and slope, since a slope alone cries wolf. 0: 24 h; -1: no
	// forecast.
	Forecast time.Duration
	// DeletedAbove is how many bytes this process may hold in files that are
	// deleted and still open before it is a finding, which clears at half of it.
	// 0: 1 GiB (S); -1: the watch is left out.
	DeletedAbove int64

	// Clean declares directories of disposable files. No Dirs: nothing is removed.
	Clean JanitorOptions
	// Logs are own log files, to be rotated and compressed. No Files: none.
	Logs LogOptions
	// Ballast is a file that only takes up space, to be given up when all else
	// failed. No Path: none.
	Ballast BallastOptions
	// QuietLogs turns the writing of debug logs off (quiet is true) and on again.
	// It is undone when the incident clears. nil: no such step.
	QuietLogs func(ctx context.Context, quiet bool) error
	// ReadOnly makes the service stop writing, or serve a degraded mode, and ends
	// that. It is undone when the incident clears. nil: no such step.
	ReadOnly func(ctx context.Context, on bool) error

	// read stands in for statfs in tests.
	read func(path string) func(*usage) error
}

// Levels say how much may be left, in percent.
type Levels struct {
	// Warn is the share below which people are warned and only steps that nobody
	// notices run. 0: 15 (S); -1: the watch is left out.
	Warn float64
	// Act is the share below which the ladder is climbed. 0: 10, the hard
	// eviction level of the kubelet for bytes; -1: the watch is left out.
	Act float64
	// Margin is by how much the share must lie above its level to be well again.
	// 0: 5 percentage points (S).
	Margin float64
}

// Defaults; the fields that they belong to say where they are from.
const (
	defaultEvery     = 10 * time.Second
	defaultPatience  = 500 * time.Millisecond
	defaultWarn      = 15
	defaultAct       = 10
	defaultMargin    = 5
	defaultForecast  = 24 * time.Hour
	defaultDeleted   = 1 << 30
	deletedSlowdown  = 6
	forecastWarnFrom = 40 // percent left below which a forecast counts
	forecastActFrom  = 20
	forecastActShare = 6 // of Forecast
)

func (o Options) withDefaults() Options {
	for _, l := range []*Levels{&o.Space, &o.Inodes} {
		l.Warn = cmp.Or(l.Warn, defaultWarn)
		l.Act = cmp.Or(l.Act, defaultAct)
		l.Margin = cmp.Or(l.Margin, defaultMargin)
	}
	o.Every = cmp.Or(o.Every, defaultEvery)
	o.Patience = cmp.Or(o.Patience, defaultPatience)
	o.Forecast = cmp.Or(o.Forecast, defaultForecast)
	o.DeletedAbove = cmp.Or(o.DeletedAbove, defaultDeleted)
	if o.read == nil {
		o.read = reader
	}
	return o
}

// paths are those to watch, and whether they are ours to choose.
func (o *Options) paths() (paths []string, chosen bool) {
	if o.Paths != nil {
		return slices.Clone(o.Paths), true
	}
	paths = []string{string(filepath.Separator)}
	if wd, err := os.Getwd(); err == nil {
		paths = append(paths, wd)
	}
	if tmp := filepath.Clean(os.TempDir()); filepath.IsAbs(tmp) {
		paths = append(paths, tmp)
	}
	slices.Sort(paths[1:])
	paths = slices.Compact(paths)
	return slices.DeleteFunc(paths, func(p string) bool { return badPath(p) != "" }), false
}

// problem is everything that is wrong with the options, each with what to do.
func (o *Options) problem() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("disk: "+format, args...)) }
	if o.Paths != nil && len(o.Paths) == 0 {
		bad("Options.Paths is empty and not nil: name a path, or leave it nil for the usual ones")
	}
	for i, p := range o.Paths {
		if why := badPath(p); why != "" {
			bad("Options.Paths has %q, which %s", p, why)
		}
		if slices.Contains(o.Paths[:i], p) {
			bad("Options.Paths has %q twice: drop one", p)
		}
	}
	if o.Every < 0 {
		bad("Options.Every is %v: use a positive interval, or 0 for %v", o.Every, defaultEvery)
	}
	if o.Patience < 0 {
		bad("Options.Patience is %v: use a positive time, or 0 for %v", o.Patience, defaultPatience)
	}
	if o.Forecast < 0 && o.Forecast != -1 || o.Forecast > 0 && o.Forecast < time.Minute {
		bad("Options.Forecast is %v: use a minute or more, 0 for %v, or -1 for none", o.Forecast, defaultForecast)
	}
	if o.DeletedAbove < -1 {
		bad("Options.DeletedAbove is %d: use a number of bytes, 0 for %d, or -1 for no such watch", o.DeletedAbove, defaultDeleted)
	}
	for _, err := range o.Space.problems() {
		bad("Options.Space: %w", err)
	}
	for _, err := range o.Inodes.problems() {
		bad("Options.Inodes: %w", err)
	}
	for _, d := range o.Clean.Dirs {
		if o.Ballast.Path != "" && within(o.Ballast.Path, d) {
			bad("Options.Ballast.Path is %q, in %q, whose files Options.Clean declares disposable: put it elsewhere", o.Ballast.Path, d)
		}
	}
	errs = append(errs, o.Clean.problem(), o.Logs.problem(), o.Ballast.problem())
	return errors.Join(errs...)
}

func (l Levels) problems() []error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	share := func(name string, v float64) {
		if v != -1 && !(v >= 0 && v < 100) {
			bad("%s is %v: use a share of 0 to 100 percent, 0 for the default, or -1 to leave the watch out", name, v)
		}
	}
	share("Warn", l.Warn)
	share("Act", l.Act)
	if !(l.Margin >= 0 && l.Margin < 100) {
		bad("Margin is %v: use percentage points, or 0 for %v", l.Margin, defaultMargin)
	}
	act, warn, margin := l.Act, l.Warn, l.Margin
	if act == 0 {
		act = defaultAct
	}
	if warn == 0 {
		warn = defaultWarn
	}
	if margin == 0 {
		margin = defaultMargin
	}
	if act != -1 && warn != -1 && act > warn {
		bad("Act is %v and Warn %v: people are warned before anything is done, so use an Act that is not greater", act, warn)
	}
	if max(act, warn)+margin >= 100 {
		bad("a level of %v with a margin of %v never clears: use less", max(act, warn), margin)
	}
	return errs
}

// badPath says why a path cannot be watched or worked in; "" where it can.
func badPath(p string) string {
	switch {
	case p == "":
		return "is empty: use an absolute path"
	case !filepath.IsAbs(p):
		return "is relative: use an absolute path"
	case filepath.Clean(p) != p:
		return fmt.Sprintf("is not in its shortest form: use %q", filepath.Clean(p))
	case !utf8.ValidString(p) || len(p) > 400:
		return "is longer than 400 bytes or not UTF-8: it names findings, so use a plain one"
	}
	for _, r := range p {
		if !unicode.IsPrint(r) {
			return "contains a character that cannot be printed: it names findings, so use a plain one"
		}
	}
	return ""
}
