package disk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// LogOptions configure [Logs].
type LogOptions struct {
	// Files are the log files that this process writes, by absolute path without
	// symbolic links. Required.
	Files []string
	// Reopen makes the process open its log files anew, under the same names; it
	// returns once nothing is written to the old ones any more. nil: nothing is
	// rotated, only what was rotated before is compressed.
	Reopen func(ctx context.Context) error
	// MinBytes is how large a file must be to be rotated. 0: 1 MiB (S); -1: any
	// size but nothing.
	MinBytes int64
}

const defaultMinBytes = 1 << 20

// Logs rotates and compresses own log files. A file is rotated by giving it a
// name with the time behind it, "app.log.20060102T150405.000000000Z", and
// compressed into that name with ".gz". Only names of exactly this form are
// touched: what logrotate or a log library keeps is theirs.
//
// The original is removed when the compressed copy is complete and on disk, the
// original has not changed since, has no other name and nobody has it open (see
// [Janitor] for how that is known). So a crash, a full disk or a writer that
// still has the file open leave the original. Compressing needs room for the
// copy, which is removed again where there is none.
//
// Old logs are not removed: that is for a [Janitor] on their directory, whose
// Match [Logs.Rotated] is. Methods are safe for concurrent use; of two calls at
// once the second returns [ErrBusy]. Linux only.
type Logs struct {
	o       LogOptions
	problem error
	once    remediate.Action
	busy    atomic.Bool
}

// NewLogs returns a rotator. Mistakes are returned by [Logs.Validate] and by
// every call.
func NewLogs(o LogOptions) *Logs {
	l := &Logs{problem: o.problem()}
	o.Files = slices.Clone(o.Files)
	if len(o.Files) == 0 {
		l.problem = errors.Join(l.problem, errors.New("disk: logs have no Files: name those that this process writes"))
	}
	o.MinBytes = cmp.Or(o.MinBytes, defaultMinBytes)
	l.o = o
	l.once = remediate.Once(l.compress)
	return l
}

func (o *LogOptions) problem() error {
	var errs []error
	for i, f := range o.Files {
		if why := badPath(f); why != "" {
			errs = append(errs, fmt.Errorf("disk: logs: Files has %q, which %s", f, why))
		}
		if slices.Contains(o.Files[:i], f) {
			errs = append(errs, fmt.Errorf("disk: logs: Files has %q twice: drop one", f))
		}
	}
	if o.MinBytes < -1 {
		errs = append(errs, fmt.Errorf("disk: logs: MinBytes is %d: use a number of bytes, 0 for %d, or -1 for any size", o.MinBytes, defaultMinBytes))
	}
	return errors.Join(errs...)
}

// Validate reports everything that is wrong with the options.
func (l *Logs) Validate() error { return l.problem }

// Compress is a [remediate.Action]: it rotates what is large enough and
// compresses what was rotated. It returns remediate.ErrSkip where there was
// nothing to do. When Reopen fails or panics the files get their names back.
func (l *Logs) Compress(ctx context.Context, req remediate.Request) error { return l.once(ctx, req) }

func (l *Logs) compress(ctx context.Context, req remediate.Request) error {
	if l.problem != nil {
		return l.problem
	}
	if !l.busy.CompareAndSwap(false, true) {
		return ErrBusy
	}
	defer l.busy.Store(false)
	done, err := l.rotate(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("disk: after %d log files: %w", done, err)
	case done == 0:
		return fmt.Errorf("disk: no log file to rotate or compress: %w", remediate.ErrSkip)
	}
	if req.Log != nil {
		req.Log.LogAttrs(ctx, slog.LevelInfo, "disk: log files rotated or compressed", slog.Int("files", done))
	}
	return nil
}

// Rotated says whether a name, without directory, is that of one of Files after
// it was rotated, compressed or not.
func (l *Logs) Rotated(name string) bool {
	for _, f := range l.o.Files {
		if _, _, ok := rotatedName(filepath.Base(f), name); ok {
			return true
		}
	}
	return false
}

// rotatedLayout sorts by time and holds what two rotations in one second need.
const rotatedLayout = "20060102T150405.000000000Z"

func rotateTo(base string, at time.Time) string {
	return base + "." + at.UTC().Format(rotatedLayout)
}

// rotatedName reads what rotateTo wrote, with or without ".gz", and nothing else.
func rotatedName(base, name string) (at time.Time, zipped, ok bool) {
	rest, ok := strings.CutPrefix(name, base+".")
	if !ok || base == "" {
		return time.Time{}, false, false
	}
	rest, zipped = strings.CutSuffix(rest, ".gz")
	at, err := time.Parse(rotatedLayout, rest)
	if err != nil || at.Format(rotatedLayout) != rest {
		return time.Time{}, false, false
	}
	return at, zipped, true
}
