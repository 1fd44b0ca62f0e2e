package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// deleted is what a process holds in files that are deleted and still open.
type deleted struct {
	bytes   int64 // in blocks
	files   int
	largest string // the path that it had
	most    int64  // the bytes of that
}

// deletedMark is what the kernel puts behind the path of a deleted file.
const deletedMark = " (deleted)"

// deletedTarget reads the link of a descriptor: the path that the file had, and
// whether it is a deleted file of a disk: memory that looks like a file is none.
func deletedTarget(link string) (path string, ok bool) {
	path, ok = strings.CutSuffix(link, deletedMark)
	if !ok || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "/memfd:") || strings.HasPrefix(path, "/SYSV") {
		return "", false
	}
	return path, true
}

// deletedDetector finds a process that keeps deleted files open: space that no
// listing shows and no cleaning frees. It looks at its own process only.
type deletedDetector struct {
	above    int64
	patience time.Duration
	problem  error
	dir      string // of descriptors

	turn chan struct{}
	call *solo
	ctx  context.Context // of the call
	out  deleted
	err  error
	hung bool // and not waited for until it is done

	mu   sync.Mutex
	sick bool
}

func newDeletedDetector(o Options, problem error) *deletedDetector {
	d := &deletedDetector{
		above: o.DeletedAbove, patience: o.Patience, problem: problem,
		dir: "/proc/self/fd", turn: make(chan struct{}, 1),
	}
	d.call = newSolo(func() { d.out, d.err = readDeleted(d.ctx, d.dir) })
	return d
}

// Validate reports everything that is wrong with the options.
func (d *deletedDetector) Validate() error { return d.problem }

var errDeletedHung = errors.New("disk: the listing of own descriptors does not answer: a deleted file lies on a mount that hangs")

// Detect lists the descriptors of this process.
func (d *deletedDetector) Detect(ctx context.Context) ([]detect.Finding, error) {
	if d.problem != nil {
		return nil, d.problem
	}
	held, err := d.read(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sick = held.bytes > d.above || d.sick && held.bytes >= d.above/2
	if !d.sick {
		return nil, nil
	}
	return []detect.Finding{{
		Summary: fmt.Sprintf("this process holds %s in %d deleted files, more than %s; the largest, of %s, was %s",
			size(uint64(held.bytes)), held.files, size(uint64(d.limit(held.bytes))), size(uint64(held.most)), clip(held.largest)),
		Value: float64(held.bytes), Limit: float64(d.above), Unit: "B",
		Evidence: []slog.Attr{slog.Int("files", held.files), slog.String("largest", held.largest)},
	}}, nil
}

// limit is what bytes are beyond: between the two levels, the one to clear.
func (d *deletedDetector) limit(bytes int64) int64 {
	if bytes > d.above {
		return d.above
	}
	return d.above / 2
}

func (d *deletedDetector) read(ctx context.Context) (deleted, error) {
	stopped := func() error {
		return fmt.Errorf("disk: the look at own descriptors was stopped: %w", context.Cause(ctx))
	}
	if ctx.Err() != nil {
		return deleted{}, stopped()
	}
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return deleted{}, stopped()
	}
	defer func() { <-d.turn }()
	if d.call.flying && d.hung && !d.call.landed() {
		return deleted{}, errDeletedHung
	}
	// Many descriptors take their time; only silence without end is a hang.
	late := time.NewTimer(max(d.patience, 5*time.Second))
	defer late.Stop()
	for {
		fresh := !d.call.flying // else the call of a look that was stopped
		if fresh {
			d.ctx, d.hung = ctx, false
			d.call.begin()
		}
		select {
		case <-d.call.done:
			d.call.flying = false
			if fresh {
				return d.out, d.err
			}
		case <-ctx.Done():
			return deleted{}, stopped()
		case <-late.C:
			d.hung = true
			return deleted{}, errDeletedHung
		}
	}
}

// clip makes a path from outside fit for a line.
func clip(path string) string {
	const most = 120
	if len(path) > most {
		path = path[:most] + "…"
	}
	return strconv.Quote(path)
}
