package goruntime

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/metrics"
	"time"
)

var (
	errNoLatencies = errors.New("goruntime: this runtime has no metric /sched/latencies:seconds: build with Go 1.26 or later")
	errNoThreads   = errors.New("goruntime: this runtime has no metric /sched/threads/total:threads: build with Go 1.26 or later")
)

// threads reads how many threads there are against what ends the process: the
// runtime's own limit, at which it crashes, and pids.max of its control groups.
type threads struct {
	samples []metrics.Sample
	groups  bounds
}

func newThreads(root string) *threads {
	return &threads{
		groups:  bounds{root: root, controller: "pids"},
		samples: []metrics.Sample{{Name: "/sched/threads/total:threads"}},
	}
}

func (x *threads) watch(o Options) func(now time.Duration) (reading, error) {
	var count, used, limit float64
	var what string
	text := func(_, at float64) string {
		return fmt.Sprintf("%.0f threads of %.0f that %s allows (limit %.0f %%)", used, limit, what, 100*at)
	}
	evidence := func() []slog.Attr {
		return []slog.Attr{slog.Float64("threads", count), slog.String("bound", what)}
	}
	return func(now time.Duration) (reading, error) {
		metrics.Read(x.samples)
		if x.samples[0].Value.Kind() == metrics.KindBad {
			return reading{silent: true}, errNoThreads
		}
		count = number(x.samples[0])
		used, limit, what = count, float64(o.MaxThreads), "the runtime"
		if o.MaxThreads == -1 {
			limit = 0
		}
		group, _, ok, err := x.groups.tightest(now)
		if ok && (limit == 0 || group.share() > used/limit) {
			used, limit, what = float64(group.used), float64(group.limit), "the control group"
		}
		if limit == 0 {
			return reading{silent: true}, err
		}
		return reading{
			value: used / limit, t1: o.ThreadsEarly, t2: o.ThreadsAct, clear: o.ThreadsClear,
			text: text, evidence: evidence,
		}, err
	}
}
