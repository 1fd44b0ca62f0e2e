package disk

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// Module returns the pack: the watches space-low, space, inodes-low, inodes and
// deleted, less those that the options leave out.
func Module(o Options) selfheal.Module {
	p := newPack(o)
	m := selfheal.Module{Name: "disk", Version: "v0.1.0"}
	add := func(on bool, w selfheal.Watch, after ...string) {
		if on {
			w.After = after
			m.Watches = append(m.Watches, w)
		}
	}
	after := func(level float64, name string) []string {
		if level == -1 {
			return nil
		}
		return []string{name}
	}
	add(p.o.Space.Warn != -1, p.low("space-low", bytesKind(), p.o.Space), after(p.o.Space.Act, "space")...)
	add(p.o.Space.Act != -1, p.act("space", bytesKind(), p.o.Space))
	add(p.o.Inodes.Warn != -1, p.low("inodes-low", inodesKind(), p.o.Inodes), after(p.o.Inodes.Act, "inodes")...)
	add(p.o.Inodes.Act != -1, p.act("inodes", inodesKind(), p.o.Inodes))
	add(p.o.DeletedAbove != -1, p.deleted())
	return m
}

// SpaceLow watches for little space, or space that is used up soon: it warns, and
// runs what nobody notices.
func SpaceLow(o Options) selfheal.Watch {
	p := newPack(o)
	return p.low("space-low", bytesKind(), p.o.Space)
}

// Space watches for too little space (LX-1), and climbs the ladder of the pack.
func Space(o Options) selfheal.Watch {
	p := newPack(o)
	return p.act("space", bytesKind(), p.o.Space)
}

// InodesLow is SpaceLow for inodes.
func InodesLow(o Options) selfheal.Watch {
	p := newPack(o)
	return p.low("inodes-low", inodesKind(), p.o.Inodes)
}

// Inodes is Space for inodes (LX-2).
func Inodes(o Options) selfheal.Watch {
	p := newPack(o)
	return p.act("inodes", inodesKind(), p.o.Inodes)
}

// Deleted watches for files that this process holds open though they are
// deleted. Its only step makes the logs be opened anew.
func Deleted(o Options) selfheal.Watch { return newPack(o).deleted() }

// pack is what the watches of one module share.
type pack struct {
	o       Options
	problem error
	mounts  *mounts

	logs *Logs
}

func newPack(o Options) *pack {
	p := &pack{problem: o.problem(), o: o.withDefaults()}
	paths, given := p.o.paths()
	p.mounts = newMounts(paths, !given, p.o.Patience, p.o.read)
	if len(o.Logs.Files) > 0 {
		p.logs = NewLogs(o.Logs)
	}
	return p
}

// every keeps a watch sound whose interval is not: its detector tells.
func (p *pack) every(times time.Duration) time.Duration { return max(p.o.Every, 0) * times }

// ladders of the pack never overlap: they work on the same files.
func (p *pack) playbook(name string, steps ...remediate.Step) remediate.Playbook {
	return remediate.Playbook{Name: name, Steps: steps, Limits: remediate.Limits{Exclusive: "disk"}}
}

const (
	lowFor  = 5 * time.Minute // warned of is what lasts
	actFor  = 20 * time.Second
	keepFor = 5 * time.Minute // the kubelet's eviction-pressure-transition-period
	// Listing a million files takes seconds, compressing gigabytes minutes.
	workTimeout = 5 * time.Minute
)

func (p *pack) low(name string, k kind, l Levels) selfheal.Watch {
	d := newSpaceDetector(k, p.limits(l.Warn, l.Margin, forecastWarnFrom, 1, 6*time.Hour), p.mounts, p.problem)
	var steps []remediate.Step
	if k.bytes() {
		steps = p.compress()
	}
	return selfheal.Watch{
		Name: name, Detector: d, Every: p.every(1), Timeout: p.timeout(), For: lowFor, KeepFor: keepFor,
		Playbook: p.playbook(name, steps...), Evidence: p.evidence(),
	}
}

func (p *pack) act(name string, k kind, l Levels) selfheal.Watch {
	lim := p.limits(l.Act, l.Margin, forecastActFrom, forecastActShare, time.Hour)
	lim.critical = true
	d := newSpaceDetector(k, lim, p.mounts, p.problem)
	var steps []remediate.Step
	if k.bytes() {
		steps = p.compress()
	}
	if len(p.o.Clean.Dirs) > 0 {
		steps = append(steps, remediate.Step{
			Name: "clean", Run: p.cleaner(d).Clean, Lasting: true, Risk: remediate.Disruptive, Timeout: workTimeout,
		})
	}
	if k.bytes() {
		steps = append(steps, p.reopen()...)
	}
	if quiet := p.o.QuietLogs; quiet != nil {
		steps = append(steps, remediate.Step{Name: "quiet-logs", Run: turn(quiet, true), Undo: turn(quiet, false), Measure: "disk/quiet-logs", Risk: remediate.Safe})
	}
	if on := p.o.ReadOnly; on != nil {
		steps = append(steps, remediate.Step{Name: "read-only", Run: turn(on, true), Undo: turn(on, false), Measure: "disk/read-only", Risk: remediate.Disruptive})
	}
	if p.o.Ballast.Path != "" && k.bytes() {
		steps = append(steps, p.release(d))
	}
	return selfheal.Watch{
		Name: name, Detector: d, Every: p.every(1), Timeout: p.timeout(), For: actFor, KeepFor: keepFor,
		Playbook: p.playbook(name, steps...), Evidence: p.evidence(),
	}
}

func (p *pack) deleted() selfheal.Watch {
	return selfheal.Watch{
		Name: "deleted", Detector: newDeletedDetector(p.o, p.problem), Every: p.every(deletedSlowdown), KeepFor: keepFor,
		Playbook: p.playbook("deleted", p.reopen()...),
	}
}

func (p *pack) limits(below, margin, from float64, share time.Duration, window time.Duration) limits {
	l := limits{below: below, clear: below + margin}
	if p.o.Forecast > 0 {
		l.from, l.soon, l.window = from, p.o.Forecast/share, window
	}
	return l
}

// timeout leaves room for one mount that hangs, and for the turns of the others.
func (p *pack) timeout() time.Duration { return 10*time.Second + 5*max(p.o.Patience, 0) }

func (p *pack) evidence() []escalate.Gatherer {
	dirs := slices.Clone(p.o.Clean.Dirs)
	for _, f := range p.o.Logs.Files {
		dirs = append(dirs, filepath.Dir(f))
	}
	slices.Sort(dirs)
	if dirs = slices.Compact(dirs); len(dirs) == 0 {
		return nil
	}
	return []escalate.Gatherer{Survey(dirs...)}
}

func (p *pack) compress() []remediate.Step {
	if p.logs == nil {
		return nil
	}
	return []remediate.Step{{Name: "compress-logs", Run: p.logs.Compress, Risk: remediate.Safe, Timeout: workTimeout}}
}

func (p *pack) reopen() []remediate.Step {
	reopen := p.o.Logs.Reopen
	if reopen == nil {
		return nil
	}
	return []remediate.Step{{
		Name: "reopen-logs", Risk: remediate.Safe,
		Run: func(ctx context.Context, _ remediate.Request) error { return reopen(ctx) },
	}}
}

// cleaner is a janitor that goes on only while the file system of the finding is
// still short, as it is now and not when it was found.
func (p *pack) cleaner(d *spaceDetector) *Janitor {
	o := p.o.Clean
	theirs := o.Enough
	o.Enough = func(ctx context.Context, f detect.Finding) (bool, error) {
		if filepath.IsAbs(f.Key) {
			if well, err := d.wellAgain(p.o.read, f.Key); well || err != nil {
				return well, err
			}
		}
		if theirs != nil {
			return theirs(ctx, f)
		}
		return false, nil
	}
	return NewJanitor(o)
}

func (p *pack) release(d *spaceDetector) remediate.Step {
	b := NewBallast(p.o.Ballast)
	dir := filepath.Dir(p.o.Ballast.Path)
	b.roomy = func() (bool, error) {
		var u usage
		if err := p.o.read(dir)(&u); err != nil {
			return false, fmt.Errorf("disk: statfs of %s: %w", dir, err)
		}
		taken := uint64(b.o.Bytes)
		if u.avail < taken || u.free < taken {
			return false, nil
		}
		u.avail, u.free = u.avail-taken, u.free-taken
		percent, ok := d.kind.share(&u)
		return !ok || percent >= d.limits.below, nil
	}
	run := func(ctx context.Context, req remediate.Request) error {
		if filepath.IsAbs(req.Finding.Key) {
			if here, err := sameFileSystem(p.o.read, req.Finding.Key, dir); err != nil {
				return err
			} else if !here {
				return fmt.Errorf("disk: the ballast lies on another file system: %w", remediate.ErrSkip)
			}
		}
		return b.Release(ctx, req)
	}
	return remediate.Step{Name: "release-ballast", Run: run, Undo: b.Restore, Measure: "disk/ballast", Risk: remediate.Disruptive}
}

func sameFileSystem(read func(path string) func(*usage) error, a, b string) (bool, error) {
	var x, y usage
	if err := errors.Join(read(a)(&x), read(b)(&y)); err != nil {
		return false, fmt.Errorf("disk: statfs: %w", err)
	}
	if x.id == 0 && y.id == 0 {
		return x.size == y.size && x.inodes == y.inodes, nil
	}
	return x.id == y.id, nil
}

func turn(f func(context.Context, bool) error, on bool) remediate.Action {
	return func(ctx context.Context, _ remediate.Request) error { return f(ctx, on) }
}
