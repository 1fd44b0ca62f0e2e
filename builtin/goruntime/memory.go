package goruntime

import (
	"fmt"
	"log/slog"
	"math"
	"runtime/metrics"
	"time"
)

// memory reads how full the memory is that this process may use.
type memory struct {
	samples []metrics.Sample
	groups  bounds
}

func newMemory(root string) *memory {
	return &memory{
		groups: bounds{root: root, controller: "memory"},
		samples: []metrics.Sample{
			{Name: "/memory/classes/total:bytes"},
			{Name: "/memory/classes/heap/released:bytes"},
			{Name: "/memory/classes/heap/objects:bytes"},
			{Name: "/memory/classes/heap/free:bytes"},
			{Name: "/memory/classes/heap/unused:bytes"},
			{Name: "/gc/heap/live:bytes"},
			{Name: "/gc/gomemlimit:bytes"},
		},
	}
}

// fill is what it read.
type fullness struct {
	used float64 // bytes that the Go runtime holds
	// need is what it cannot do without: what the last collection left, stacks and
	// its own structures.
	need  float64
	live  float64
	limit float64 // GOMEMLIMIT; 0 where there is none

	group    grip // of the control group that is fullest
	grouped  bool
	headroom uint64
}

func (m *memory) read(now time.Duration) (f fullness, err error) {
	metrics.Read(m.samples)
	at := func(i int) float64 { return number(m.samples[i]) }
	f.used = max(0, at(0)-at(1))
	f.live = at(5)
	f.need = f.live + max(0, f.used-at(2)-at(3)-at(4))
	if f.limit = at(6); f.limit >= math.MaxInt64 {
		f.limit = 0
	}
	f.group, f.headroom, f.grouped, err = m.groups.tightest(now)
	return f, err
}

// share is how full it is, by the limit that is nearer.
//
// Against GOMEMLIMIT it counts need, not used: the runtime fills the heap with
// garbage up to that limit by design, so a process with GOGC=off is at 100 % of it
// whenever it is well. Against a control group it counts everything in it that
// the kernel cannot take back, since that is what the kernel kills for.
func (f *fullness) share() (share float64, what string, value, limit float64) {
	if f.limit > 0 {
		share, what, value, limit = f.need/f.limit, "GOMEMLIMIT", f.need, f.limit
	}
	if f.grouped {
		used := max(float64(f.group.used), f.used)
		if s := used / float64(f.group.limit); s > share {
			share, what, value, limit = s, "the control group", used, float64(f.group.limit)
		}
	}
	return share, what, value, limit
}

// watch is the reading of the memory watch.
func (m *memory) watch(o Options) func(now time.Duration) (reading, error) {
	var f fullness
	text := func(_, limit float64) string {
		share, what, value, of := f.share()
		return fmt.Sprintf("memory is at %.0f %% of %s, %s of %s (limit %.0f %%)", 100*share, what, bytesText(value), bytesText(of), 100*limit)
	}
	evidence := func() []slog.Attr {
		_, what, _, _ := f.share()
		return []slog.Attr{
			slog.String("limit", what),
			slog.Float64("go_used_bytes", f.used),
			slog.Float64("go_needed_bytes", f.need),
			slog.Float64("live_heap_bytes", f.live),
			slog.Float64("gomemlimit_bytes", f.limit),
			slog.Uint64("cgroup_limit_bytes", f.group.limit),
			slog.Uint64("cgroup_used_bytes", f.group.used),
			slog.String("cgroup", f.group.dir),
		}
	}
	return func(now time.Duration) (reading, error) {
		var err error
		f, err = m.read(now)
		share, what, _, _ := f.share()
		return reading{
			value: share, t1: o.MemoryEarly, t2: o.MemoryAct, clear: o.MemoryClear,
			text: text, evidence: evidence, silent: what == "",
		}, err
	}
}

func bytesText(n float64) string {
	const unit = 1024
	for i, name := range []string{"B", "KiB", "MiB", "GiB"} {
		if n < unit || i == 3 {
			return fmt.Sprintf("%.4g %s", n, name)
		}
		n /= unit
	}
	return ""
}
