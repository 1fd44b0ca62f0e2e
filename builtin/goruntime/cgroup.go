package goruntime

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/selfheal-go/selfheal/internal/cgroup"
)

// A gauge file is kept open and read again and again without allocating.
type gaugeFile struct {
	file *os.File
	buf  []byte
}

func openGauge(name string, size int) (*gaugeFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return &gaugeFile{f, make([]byte, size)}, nil
}

func (g *gaugeFile) read() ([]byte, error) {
	n, err := g.file.ReadAt(g.buf, 0)
	if n == 0 && err != nil {
		return nil, err
	}
	return g.buf[:n], nil
}

// refreshEvery is how often the hierarchy is looked up anew: limits can come and
// processes can be moved while they run.
const refreshEvery = time.Minute

// bound is the limit of one group.
type bound struct {
	dir                string
	limit, usage, stat *gaugeFile
	cache              string // the field of stat that says what the kernel can take back
}

// bounds reads what a controller allows this process.
type bounds struct {
	root, controller string
	fresh            time.Duration // until when levels hold, plus 1
	all              []bound
	err              error
}

// names of the files of a controller.
func (b *bounds) files(v2 bool) (limit, usage, stat, cache string) {
	switch {
	case b.controller == "pids":
		return "pids.max", "pids.current", "", ""
	case v2:
		return "memory.max", "memory.current", "memory.stat", "inactive_file"
	}
	return "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "total_inactive_file"
}

func (b *bounds) refresh() {
	b.close()
	groups, err := cgroup.Find(b.root, b.controller)
	switch {
	case errors.Is(err, cgroup.ErrNone), errors.Is(err, fs.ErrNotExist):
		return // nothing limits
	case err != nil:
		b.err = fmt.Errorf("goruntime: control groups: %w", err)
		return
	}
	limit, usage, stat, cache := b.files(groups.V2)
	for _, dir := range groups.Dirs {
		// The root of a hierarchy has no limit of its own.
		l, err := openGauge(filepath.Join(dir, limit), 64)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			b.err = fmt.Errorf("goruntime: control groups: %w", err)
			return
		}
		x := bound{dir: dir, limit: l, cache: cache}
		b.all = append(b.all, x)
		last := &b.all[len(b.all)-1]
		if last.usage, err = openGauge(filepath.Join(dir, usage), 64); err != nil {
			b.err = fmt.Errorf("goruntime: control groups: %w", err)
			return
		}
		if stat != "" {
			if last.stat, err = openGauge(filepath.Join(dir, stat), 16<<10); err != nil {
				b.err = fmt.Errorf("goruntime: control groups: %w", err)
				return
			}
		}
	}
}

func (b *bounds) close() {
	for _, x := range b.all {
		for _, g := range []*gaugeFile{x.limit, x.usage, x.stat} {
			if g != nil {
				_ = g.file.Close() // it was only read
			}
		}
	}
	b.all, b.err = b.all[:0], nil
}

// grip is one group's limit and use.
type grip struct {
	limit, used uint64
	dir         string
}

func (g grip) share() float64 { return float64(g.used) / float64(g.limit) }

// tightest returns the group whose limit is nearest, and the least number by which
// any could still grow. ok is false where nothing limits.
func (b *bounds) tightest(now time.Duration) (most grip, headroom uint64, ok bool, err error) {
	if now+1 >= b.fresh {
		b.refresh()
		b.fresh = now + 1 + refreshEvery
	}
	if b.err != nil {
		return grip{}, 0, false, b.err
	}
	headroom = math.MaxUint64
	for i := range b.all {
		g, limited, err := b.all[i].read()
		if err != nil {
			b.fresh = 0 // the process may have been moved
			return grip{}, 0, false, err
		}
		if !limited {
			continue
		}
		headroom = min(headroom, g.limit-min(g.used, g.limit))
		if !ok || g.share() > most.share() {
			most, ok = g, true
		}
	}
	return most, headroom, ok, nil
}

func (x *bound) read() (g grip, limited bool, err error) {
	text, err := x.limit.read()
	if err == nil {
		g.limit, err = cgroup.Limit(text)
	}
	if err != nil || g.limit == cgroup.Unlimited || g.limit == 0 {
		return g, false, x.wrap(err)
	}
	if text, err = x.usage.read(); err == nil {
		g.used, err = cgroup.Limit(text)
	}
	if err != nil {
		return g, false, x.wrap(err)
	}
	if x.stat != nil {
		if text, err = x.stat.read(); err != nil {
			return g, false, x.wrap(err)
		}
		if cache, ok := cgroup.Field(text, x.cache); ok {
			g.used -= min(cache, g.used) // page cache that the kernel drops first
		}
	}
	g.dir = x.dir
	return g, true, nil
}

func (x *bound) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("goruntime: control group %s: %w", x.dir, err)
}
