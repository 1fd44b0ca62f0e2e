package schedule

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A world is a scheduler that runs in a bubble, and its beginning.
type world struct {
	*Scheduler
	t      testing.TB
	start  time.Time
	cancel context.CancelCauseFunc
	done   chan error
}

// begin runs a scheduler with these tasks. The bubble must be idle when begin is
// called, and is idle when it returns: the first looks were made.
func begin(t testing.TB, o Options, tasks ...*Task) *world {
	t.Helper()
	w := &world{Scheduler: New(o), t: t, start: time.Now(), done: make(chan error, 1)}
	for _, task := range tasks {
		w.Add(task)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	w.cancel = cancel
	t.Cleanup(func() { cancel(nil) })
	go func() { w.done <- w.Run(ctx) }()
	synctest.Wait()
	return w
}

// end stops the scheduler and checks that nothing is left of it.
func (w *world) end() Stats {
	w.t.Helper()
	w.cancel(nil)
	require.NoError(w.t, <-w.done)
	synctest.Wait()
	st := w.Stats()
	require.Zero(w.t, st.Running, "workers after the end of Run")
	require.Zero(w.t, w.pending, "timers after the end of Run")
	return st
}

// A diary notes when runs start, and that they never overlap.
type diary struct {
	mu      sync.Mutex
	start   time.Time
	starts  []time.Duration
	active  int
	overlap bool
}

func newDiary() *diary { return &diary{start: time.Now()} }

// run wraps a check; nil does nothing.
func (d *diary) run(check func(ctx context.Context)) func(context.Context, *Task, time.Time) {
	return func(ctx context.Context, _ *Task, started time.Time) {
		d.mu.Lock()
		d.starts = append(d.starts, started.Sub(d.start))
		d.active++
		d.overlap = d.overlap || d.active > 1
		d.mu.Unlock()
		defer func() {
			d.mu.Lock()
			d.active--
			d.mu.Unlock()
		}()
		if check != nil {
			check(ctx)
		}
	}
}

func (d *diary) seen() []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.starts)
}

func (d *diary) count() int { return len(d.seen()) }

const ms = time.Millisecond

// every lists from, from+step, … up to and without to.
func every(from, step, to time.Duration) (at []time.Duration) {
	for ; from < to; from += step {
		at = append(at, from)
	}
	return at
}

// started is a scheduler that runs, without tasks.
func started(b testing.TB) (s *Scheduler, stop func()) {
	s = New(Options{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	for up := false; !up; {
		s.mu.Lock()
		up = s.life == running
		s.mu.Unlock()
		runtime.Gosched()
	}
	return s, func() {
		cancel()
		<-done
	}
}
