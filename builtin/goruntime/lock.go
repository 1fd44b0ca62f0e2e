package goruntime

import (
	"fmt"
	"log/slog"
	"math"
	"runtime/metrics"
	"time"
)

// locks reads how long goroutines wait for mutexes.
type locks struct {
	samples []metrics.Sample
	window  window
	usual   baseline
}

func newLocks(length time.Duration) *locks {
	return &locks{window: newWindow(length), samples: []metrics.Sample{
		{Name: "/sync/mutex/wait/total:seconds"},
		{Name: "/sched/gomaxprocs:threads"},
	}}
}

// watch is the reading of lock contention: seconds waited a second, over cores,
// against what is usual for this process.
func (l *locks) watch(o Options) func(now time.Duration) (reading, error) {
	var usual, cores float64
	text := func(value, limit float64) string {
		return fmt.Sprintf("goroutines wait %s s a second and core for locks (limit %s, usual %s)", short(value), short(limit), short(usual))
	}
	evidence := func() []slog.Attr {
		return []slog.Attr{slog.Float64("usual_wait", usual), slog.Float64("cores", cores)}
	}
	return func(now time.Duration) (reading, error) {
		metrics.Read(l.samples)
		cores = max(1, number(l.samples[1]))
		waited, _, over := l.window.increase(now, number(l.samples[0]), 0)
		if !l.window.full(over) {
			return reading{silent: true}, nil
		}
		rate := waited / over.Seconds() / cores
		var known bool
		usual, known = l.usual.value(now)
		r := reading{
			value: rate, text: text, evidence: evidence, unit: "s/s",
			t1: max(o.LockFloor, o.LockFactor*usual), t2: max(4*o.LockFloor, 4*o.LockFactor*usual),
		}
		r.clear = 0.6 * r.t1
		r.silent = !known
		if rate <= r.t1 || !known {
			l.usual.learn(now, rate)
		}
		return r, nil
	}
}

// baseline is a slow mean. It is not known before it has learned for a while, and
// it climbs by half at most in each reading, so that trouble that begins slowly is
// not taken for usual.
type baseline struct {
	begun, last time.Duration
	mean        float64
	started     bool
}

const (
	learnFor = 2 * time.Minute
	halfLife = time.Hour
)

func (b *baseline) value(now time.Duration) (float64, bool) {
	return b.mean, b.started && now-b.begun >= learnFor
}

func (b *baseline) learn(now time.Duration, v float64) {
	if !b.started {
		b.started, b.begun, b.last, b.mean = true, now, now, v
		return
	}
	dt := (now - b.last).Seconds()
	b.last = now
	life := halfLife.Seconds()
	if now-b.begun < learnFor {
		life = learnFor.Seconds() / 4
	} else if b.mean > 0 {
		v = min(v, 1.5*b.mean)
	}
	b.mean += (1 - math.Exp2(-dt/life)) * (v - b.mean)
}
