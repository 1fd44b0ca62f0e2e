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

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// JanitorOptions configure a [Janitor]. (S) marks a start value of ours.
type JanitorOptions struct {
	// Dirs are the directories whose files are disposable, by absolute path
	// without symbolic links: the whole list of what may be touched. Required.
	Dirs []string
	// Depth is how many levels of directories below Dirs are cleaned too, at most
	// 32. 0: none. Directories themselves always stay.
	Depth int
	// Match says which files are ours, by name without directory. nil: all.
	Match func(name string) bool
	// Keep is how many of the newest files always stay in each directory,
	// whatever their age. 0: 10 (S); there is no way to keep none.
	Keep int
	// MinAge is how old the last change of a file must be. 0: 10 min (S); -1: any
	// age.
	MinAge time.Duration
	// MaxBytes is how much a run may free, in blocks that really become free. A
	// file that no longer fits stays, and a smaller, younger one may go instead.
	// 0: 10 GiB (S); -1: no limit.
	MaxBytes int64
	// MaxFiles is how many files a run may remove, at most 1,000,000; it bounds the
	// memory of a run, at about 200 bytes each. 0: 10,000 (S).
	MaxFiles int
	// Enough is asked before each removal; true ends the run, and an error too.
	// f is what the action is run for, zero in Run and Plan. nil: only the
	// limits end it; Module asks the file system.
	Enough func(ctx context.Context, f detect.Finding) (bool, error)
	// Audit is told of each file before it is removed, and once more, with Err
	// set, when that failed. An error stops the run, so that nothing goes
	// unaudited. nil: the action writes a line for each to the log of its step;
	// the report of Run has them all.
	Audit func(ctx context.Context, r Removal) error
}

// Defaults and bounds of a janitor.
const (
	defaultKeep     = 10
	defaultMinAge   = 10 * time.Minute
	defaultMaxBytes = 10 << 30
	defaultMaxFiles = 10_000
	mostFiles       = 1_000_000
	mostDepth       = 32
)

// A Removal is a file that a janitor removed, or would.
type Removal struct {
	Path    string // as it is, newlines and all: quote it where it is printed
	Bytes   int64  // that became free: none while other hard links remain
	Size    int64  // of its content
	ModTime time.Time
	Inode   uint64
	Err     error // why it is still there; nil
}

// A Report is what a run did, or a plan would do.
type Report struct {
	Removed []Removal // oldest first
	Bytes   int64     // freed

	// Left alone, and why. A file is counted once.
	Kept    int // among the newest
	Young   int // changed within MinAge
	Foreign int // not ours: not matched, or of another owner than we or the directory
	InUse   int // open elsewhere
	Unknown int // nobody can tell whether they are open elsewhere
	Changed int // not what was listed any more when their turn came
	Large   int // did not fit into MaxBytes
	Later   int // beyond the limits or after enough: for another run
	Other   int // links, directories not entered, devices, mount points
	// Refused says why directories were not cleaned, and what failed.
	Refused error
}

// String is the report on one line, without paths.
func (r Report) String() string {
	s := fmt.Sprintf("%d files, %s", len(r.Removed), size(uint64(max(0, r.Bytes))))
	var left []string
	for _, c := range []struct {
		n    int
		what string
	}{
		{r.Kept, "kept as the newest"}, {r.Young, "too young"}, {r.Foreign, "not ours"}, {r.InUse, "open elsewhere"},
		{r.Unknown, "unknown whether open"}, {r.Changed, "changed meanwhile"}, {r.Large, "too large for this run"},
		{r.Later, "left for another run"}, {r.Other, "no plain files"},
	} {
		if c.n > 0 {
			left = append(left, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if len(left) > 0 {
		s += "; left: " + strings.Join(left, ", ")
	}
	return s
}

// A Janitor removes disposable files from directories that are declared so:
// oldest first, never the newest few, never more than its limits, and never a
// file that somebody has open.
//
// It opens each directory with [os.Root], component by component without
// following a link, and refuses one that is, or lies below, a directory that
// others can write and whose sticky bit is not set: they could swap it. It stays
// on the mount of the directory, judged by mount id, since a bind mount of the
// same file system has the same device number. It removes regular files only.
// Kernels before 5.8 do not tell mount ids; there it refuses.
//
// Before a file goes it must be the one that was listed (mount, inode, time of
// change), and a write lease on it (fcntl F_SETLEASE) must be granted, which the
// kernel does only if nobody else has it open; the lease is held until the name is
// gone. Where leases are not supported, or not permitted because the file is not
// owned by this process, the file is skipped and counted. An opener that meets the lease
// waits the microseconds until it is gone.
//
// One race remains: between the last check of a name and its removal, who may
// write the directory can put another file under that name, and that file is
// removed. Only such a user, in that directory, can lose a name so.
//
// Methods are safe for concurrent use; of two runs at once the second returns
// [ErrBusy]. Linux only; elsewhere every run fails with errors.ErrUnsupported.
type Janitor struct {
	o       JanitorOptions
	problem error
	once    remediate.Action
	busy    atomic.Bool
}

// ErrBusy says that a run of this janitor is still under way.
var ErrBusy = errors.New("disk: the janitor is still at work: wait for its run to end")

// NewJanitor returns a janitor. Mistakes in the options are returned by
// [Janitor.Validate], and by every run.
func NewJanitor(o JanitorOptions) *Janitor {
	j := &Janitor{problem: o.problem()}
	o.Dirs = slices.Clone(o.Dirs)
	if len(o.Dirs) == 0 {
		j.problem = errors.Join(j.problem, errors.New("disk: a janitor has no Dirs: name the directories whose files are disposable"))
	}
	o.Keep = cmp.Or(o.Keep, defaultKeep)
	o.MinAge = cmp.Or(o.MinAge, defaultMinAge)
	o.MaxBytes = cmp.Or(o.MaxBytes, defaultMaxBytes)
	o.MaxFiles = cmp.Or(o.MaxFiles, defaultMaxFiles)
	j.o = o
	j.once = remediate.Once(j.clean)
	return j
}

func (o *JanitorOptions) problem() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("disk: janitor: "+format, args...))
	}
	for i, d := range o.Dirs {
		switch why := badPath(d); {
		case why != "":
			bad("Dirs has %q, which %s", d, why)
		case d == filepath.Dir(d):
			bad("Dirs has %q, the root of everything: name directories of disposable files", d)
		}
		for _, other := range o.Dirs[:i] {
			if within(d, other) || within(other, d) {
				bad("Dirs has %q and %q, one inside the other: name only one, and use Depth", other, d)
			}
		}
	}
	if o.Depth < 0 || o.Depth > mostDepth {
		bad("Depth is %d: use 0 to %d", o.Depth, mostDepth)
	}
	if o.Keep < 0 {
		bad("Keep is %d: keep at least one of the newest files, or 0 for %d", o.Keep, defaultKeep)
	}
	if o.MinAge < -1 {
		bad("MinAge is %v: use a positive time, 0 for %v, or -1 for any age", o.MinAge, defaultMinAge)
	}
	if o.MaxBytes < -1 {
		bad("MaxBytes is %d: use a number of bytes, 0 for %d, or -1 for no limit", o.MaxBytes, int64(defaultMaxBytes))
	}
	if o.MaxFiles < 0 || o.MaxFiles > mostFiles {
		bad("MaxFiles is %d: use 1 to %d, or 0 for %d", o.MaxFiles, mostFiles, defaultMaxFiles)
	}
	return errors.Join(errs...)
}

// within says whether path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, string(filepath.Separator))+string(filepath.Separator))
}

// Validate reports everything that is wrong with the options.
func (j *Janitor) Validate() error { return j.problem }

// Run cleans all directories once. What it could not do is in Report.Refused and
// in the error, beside what it did.
func (j *Janitor) Run(ctx context.Context) (Report, error) { return j.start(ctx, task{}) }

// Plan says what Run would do now, and changes nothing. It tests each file as Run
// does, which may hold up an opener for some microseconds.
func (j *Janitor) Plan(ctx context.Context) (Report, error) { return j.start(ctx, task{dry: true}) }

// Clean is a [remediate.Action]: it cleans the directories, those alone that lie
// on the file system that the finding names, where its key is an absolute path.
// It returns remediate.ErrSkip when there is nothing that may go, and does its work
// once for a key of the request. The step that carries it is Disruptive and
// Lasting.
func (j *Janitor) Clean(ctx context.Context, req remediate.Request) error { return j.once(ctx, req) }

func (j *Janitor) clean(ctx context.Context, req remediate.Request) error {
	log := req.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t := task{finding: req.Finding, audit: j.o.Audit}
	if filepath.IsAbs(req.Finding.Key) {
		t.on = req.Finding.Key
	}
	if t.audit == nil {
		t.audit = func(ctx context.Context, r Removal) error {
			if r.Err != nil {
				log.LogAttrs(ctx, slog.LevelWarn, "disk: not removed", slog.String("path", r.Path), slog.Any("error", r.Err))
				return nil
			}
			log.LogAttrs(ctx, slog.LevelInfo, "disk: removing", slog.String("path", r.Path), slog.Int64("bytes", r.Bytes),
				slog.Time("changed", r.ModTime), slog.Uint64("inode", r.Inode))
			return nil
		}
	}
	report, err := j.start(ctx, t)
	switch {
	case errors.Is(err, errNowhere):
		return fmt.Errorf("%w: %w", err, remediate.ErrSkip)
	case err != nil && len(report.Removed) == 0:
		return fmt.Errorf("disk: nothing removed (%v): %w", report, err)
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("disk: stopped after %v: %w", report, err)
	case err != nil:
		log.LogAttrs(ctx, slog.LevelWarn, "disk: cleaned in part", slog.String("report", report.String()), slog.Any("error", err))
	case len(report.Removed) == 0:
		return fmt.Errorf("disk: nothing may be removed (%v): %w", report, remediate.ErrSkip)
	default:
		log.LogAttrs(ctx, slog.LevelInfo, "disk: cleaned", slog.String("report", report.String()))
	}
	return nil
}

// errNowhere says that no directory lies where it would help.
var errNowhere = errors.New("disk: no directory to clean lies on that file system")

// task is one run.
type task struct {
	dry     bool
	on      string // only directories on the file system of this path; "": all
	finding detect.Finding
	audit   func(context.Context, Removal) error
}

func (j *Janitor) start(ctx context.Context, t task) (Report, error) {
	if j.problem != nil {
		return Report{}, j.problem
	}
	if !j.busy.CompareAndSwap(false, true) {
		return Report{}, ErrBusy
	}
	defer j.busy.Store(false)
	if t.audit == nil {
		t.audit = j.o.Audit
	}
	return j.run(ctx, t)
}
