package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// kind is what of a file system is judged.
type kind struct {
	files bool // inodes, not bytes
	share func(*usage) (percent float64, ok bool)
	total func(*usage) string // as in "4.2 % of 20 GiB are free"
	left  func(*usage) uint64
}

func bytesKind() kind {
	return kind{
		share: (*usage).space,
		total: func(u *usage) string { return size(u.size - u.free + u.avail) },
		left:  func(u *usage) uint64 { return u.avail },
	}
}

func inodesKind() kind {
	return kind{
		files: true,
		share: (*usage).inodeSpace,
		total: func(u *usage) string { return strconv.FormatUint(u.inodes, 10) + " inodes" },
		left:  func(u *usage) uint64 { return u.ifree },
	}
}

func (k *kind) bytes() bool { return !k.files }

// limits is how one watch judges.
type limits struct {
	below, clear float64 // percent
	critical     bool    // what is below is Critical
	// A forecast: below from percent, used up within soon, by the line through
	// window. soon 0: none.
	from         float64
	soon, window time.Duration
}

// spaceDetector finds file systems that are, or soon will be, full. The key of a
// finding is the path.
type spaceDetector struct {
	kind    kind
	limits  limits
	mounts  *mounts
	problem error
	spare   atomic.Pointer[[]reading]

	mu   sync.Mutex
	each []*judged
}

// judged is what is remembered of one path.
type judged struct {
	low   bool
	now   float64
	trend detect.Detector
}

func newSpaceDetector(k kind, l limits, ms *mounts, problem error) *spaceDetector {
	d := &spaceDetector{kind: k, limits: l, mounts: ms, problem: problem}
	for range ms.at {
		j := &judged{}
		if l.soon > 0 {
			j.trend = detect.Exhaustion(detect.ExhaustionOptions{
				Read:  func(context.Context) (float64, error) { return j.now, nil },
				Level: l.from, Within: l.soon, Window: l.window, Critical: -1, Unit: "%",
			})
		}
		d.each = append(d.each, j)
	}
	return d
}

// Validate reports everything that is wrong with the options.
func (d *spaceDetector) Validate() error { return d.problem }

// Detect reads every file system and judges each.
func (d *spaceDetector) Detect(ctx context.Context) ([]detect.Finding, error) {
	if d.problem != nil {
		return nil, d.problem
	}
	buf := d.spare.Swap(nil)
	if buf == nil {
		buf = new([]reading)
	}
	readings, err := d.mounts.look(ctx, *buf)
	*buf = readings
	if err != nil {
		d.spare.Store(buf)
		return nil, err
	}
	var found []detect.Finding
	var errs []error
	d.mu.Lock()
	for i := range readings {
		switch r := &readings[i]; {
		case r.err != nil:
			errs = append(errs, r.err)
		case !r.skip:
			if f, sick := d.judge(ctx, i, &r.usage); sick {
				found = append(found, f)
			}
		}
	}
	d.mu.Unlock()
	d.spare.Store(buf)
	if errs != nil {
		return found, errors.Join(errs...)
	}
	return found, nil
}

func (d *spaceDetector) judge(ctx context.Context, i int, u *usage) (f detect.Finding, sick bool) {
	j := d.each[i]
	percent, ok := d.kind.share(u)
	if !ok {
		j.low = false
		return f, false
	}
	j.now = percent
	l := &d.limits
	j.low = l.below >= 0 && (percent < l.below || j.low && percent <= l.clear)
	var forecast []detect.Finding
	if j.trend != nil {
		forecast, _ = j.trend.Detect(ctx) // its Read never fails
	}
	if !j.low && len(forecast) == 0 {
		return f, false
	}
	f = detect.Finding{
		Key: d.mounts.at[i].path, Value: percent, Limit: l.below, Unit: "%",
		Evidence: []slog.Attr{slog.Uint64("left", d.kind.left(u)), slog.Uint64("bytes_total", u.size), slog.Uint64("inodes_total", u.inodes)},
	}
	of := fmt.Sprintf("%s %% of %s left", share(percent), d.kind.total(u))
	switch {
	case j.low && percent < l.below:
		f.Summary = fmt.Sprintf("%s, below %s %%", of, share(l.below))
		if l.critical {
			f.Severity = detect.Critical
		}
	case j.low:
		f.Summary = fmt.Sprintf("%s, not yet above %s %%", of, share(l.clear))
	default:
		f.Limit = l.from
		f.Summary = of + ", used up within " + short(l.soon)
		for _, a := range forecast[0].Evidence {
			if a.Key == "time_left" {
				f.Summary = of + ", used up in " + short(a.Value.Duration()) + " as it goes"
			}
		}
	}
	if len(forecast) > 0 {
		f.Evidence = append(f.Evidence, forecast[0].Evidence...)
	}
	return f, true
}

// wellAgain says whether the file system of path is above the clear level now:
// what a step asks before it goes on.
func (d *spaceDetector) wellAgain(read func(path string) func(*usage) error, path string) (bool, error) {
	var u usage
	if err := read(path)(&u); err != nil {
		return false, fmt.Errorf("disk: statfs of %s: %w", path, err)
	}
	percent, ok := d.kind.share(&u)
	level := d.limits.clear
	d.mu.Lock()
	for i, m := range d.mounts.at {
		// What was found by forecast is not below any level yet: it ends where a
		// forecast would not count any more.
		if m.path == path && !d.each[i].low && d.limits.soon > 0 {
			level = d.limits.from
		}
	}
	d.mu.Unlock()
	return !ok || percent > level, nil
}

// share writes a percentage with the digits that a person needs.
func share(p float64) string { return strconv.FormatFloat(p, 'g', 3, 64) }

// size writes bytes in binary units.
func size(b uint64) string {
	const units = "KMGTPE"
	if b < 1024 {
		return strconv.FormatUint(b, 10) + " B"
	}
	v, i := float64(b)/1024, 0
	for v >= 1023.95 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[i:i+1] + "iB"
}

// short writes a forecast no finer than it deserves.
func short(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return strconv.Itoa(int(d/(24*time.Hour))) + " days"
	case d >= time.Hour:
		return strconv.Itoa(int(d.Round(time.Hour)/time.Hour)) + " h"
	case d >= time.Minute:
		return strconv.Itoa(int(d.Round(time.Minute)/time.Minute)) + " min"
	}
	return "less than a minute"
}
