package schedule

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWakeIsServedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		task := &Task{Every: time.Hour, Phase: 30 * time.Minute, Run: d.run(nil)}
		w := begin(t, Options{}, task)
		time.Sleep(1234 * time.Microsecond)
		w.Wake(task)
		synctest.Wait()
		require.Equal(t, []time.Duration{0, 1234 * time.Microsecond}, d.seen())
		w.end()
	})
}

func TestWakesBeforeARunAreOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		task := &Task{Every: time.Hour, Phase: 30 * time.Minute, Run: d.run(nil)}
		w := begin(t, Options{}, task)
		w.mu.Lock() // so that no run can begin in between
		go w.Wake(task)
		for task.state.Load()&woken == 0 {
			runtime.Gosched()
		}
		for range 100 {
			w.Wake(task) // does not even wait for the mutex
		}
		w.mu.Unlock()
		synctest.Wait()
		require.Equal(t, 2, d.count())
		w.end()
	})
}

func TestWakesDuringARunAreExactlyOneMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		task := &Task{Every: time.Hour, Phase: 30 * time.Minute, Timeout: time.Minute, Run: d.run(func(context.Context) { time.Sleep(time.Second) })}
		w := begin(t, Options{}, task)
		for range 7 {
			time.Sleep(100 * ms)
			w.Wake(task)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, []time.Duration{0, time.Second}, d.seen())
		w.end()
	})
}

func TestWakeFromInsideRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		var w *world
		task := &Task{Every: time.Hour, Phase: 30 * time.Minute}
		task.Run = d.run(func(context.Context) {
			if d.count() < 4 {
				w.Wake(task)
				w.Wake(task)
			}
		})
		w = &world{}
		*w = *begin(t, Options{}) // w is set before the first run
		w.Add(task)
		synctest.Wait()
		require.Equal(t, []time.Duration{0, 0, 0, 0}, d.seen())
		require.False(t, d.overlap)
		w.end()
	})
}

func TestWakeOfAQuickTaskDuringALongBlock(t *testing.T) {
	// All lie in one block. The wake of one that had its turn already must not
	// wait for the end of one that blocks.
	synctest.Test(t, func(t *testing.T) {
		var block atomic.Bool
		diaries := make([]*diary, 20)
		tasks := make([]*Task, len(diaries))
		for i := range tasks {
			diaries[i] = newDiary()
			tasks[i] = &Task{Every: time.Second, Phase: 500 * ms, Timeout: time.Minute, Run: diaries[i].run(func(context.Context) {
				if i == 10 && block.Load() {
					time.Sleep(30 * time.Second)
				}
			})}
		}
		elsewhere := newDiary()
		aside := &Task{Every: time.Hour, Phase: 30 * time.Minute, Run: elsewhere.run(nil)}
		w := begin(t, Options{}, append(tasks[:20:20], aside)...)
		time.Sleep(time.Second)
		block.Store(true)
		time.Sleep(500*ms + ms) // one is stuck since 1 ms, and not yet found
		synctest.Wait()
		for _, task := range tasks {
			w.Wake(task)
		}
		w.Wake(aside)
		synctest.Wait()
		require.Equal(t, []time.Duration{0, 1501 * ms}, elsewhere.seen(), "not in the block: served at once")
		time.Sleep(8 * ms)
		synctest.Wait()
		for i, d := range diaries {
			seen := d.seen()
			last := seen[len(seen)-1]
			if i != 10 {
				require.InDelta(t, 1501*ms, last, float64(5*ms), "task %d: %v", i, seen)
			}
		}
		time.Sleep(time.Minute)
		w.end()
	})
}

func TestWakeBeforeRunAndAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		task := &Task{Every: time.Second, Phase: 500 * ms, Run: d.run(nil)}
		s := New(Options{})
		s.Wake(task) // not even added
		s.Add(task)
		s.Wake(task)
		require.Zero(t, task.state.Load()&woken, "the mark would swallow later wakes")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		require.Equal(t, []time.Duration{0}, d.seen())
		s.Wake(task)
		synctest.Wait()
		require.Equal(t, 2, d.count(), "the wake before Run must not block later ones")
		cancel()
		<-done
		s.Wake(task)
		s.LookAt(task, time.Now().Add(time.Second))
		s.Add(&Task{Every: time.Second, Run: d.run(nil)})
		time.Sleep(time.Minute)
		require.Equal(t, 2, d.count())
		require.ErrorIs(t, s.Run(t.Context()), ErrTwice)
	})
}

func TestRunWithAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		s := New(Options{})
		s.Add(&Task{Every: time.Second, Run: d.run(nil)})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, s.Run(ctx))
		require.Zero(t, d.count())
	})
}

func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick, slow, other := newDiary(), newDiary(), newDiary()
		a := &Task{Every: time.Second, Phase: 500 * ms, Run: quick.run(nil)}
		b := &Task{Every: time.Second, Phase: 500 * ms, Timeout: time.Minute, Run: slow.run(func(context.Context) { time.Sleep(3 * time.Second) })}
		c := &Task{Every: time.Second, Phase: 500 * ms, Run: other.run(nil)}
		never := &Task{Every: time.Second, Phase: 0, Run: func(context.Context, *Task, time.Time) { t.Error("removed before Run, and run") }}
		s := New(Options{})
		s.Add(never)
		s.Remove(never)
		w := &world{}
		*w = *begin(t, Options{}, a, b, c, never)
		w.LookAt(a, w.start.Add(1700*ms))
		w.LookAt(c, w.start.Add(1700*ms))
		time.Sleep(1600 * ms)
		require.True(t, w.Running(b))
		require.False(t, w.Running(a))
		w.Remove(a)
		w.Remove(a)
		require.Len(t, w.looks, 1)
		w.Remove(b)
		w.Wake(a)
		w.Wake(b)
		w.LookAt(a, w.start.Add(3*time.Second))
		require.Equal(t, 1, w.Stats().Tasks)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.False(t, w.Running(b))
		require.Equal(t, []time.Duration{0, 500 * ms, 1500 * ms}, quick.seen())
		require.Equal(t, []time.Duration{0}, slow.seen())
		require.Equal(t, []time.Duration{0, 500 * ms, 1500 * ms, 1700 * ms, 2500 * ms, 3500 * ms, 4500 * ms, 5500 * ms, 6500 * ms}, other.seen())
		w.end()
	})
}

func TestEverythingFromInsideRunAndHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *Scheduler
		var added, hung, calls atomic.Int32
		all := func(task *Task) {
			if calls.Add(1)%3 == 0 { // each time would be for ever
				s.Wake(task)
			}
			s.LookAt(task, time.Now().Add(time.Second))
			extra := &Task{Every: time.Second, Run: func(context.Context, *Task, time.Time) { added.Add(1) }}
			s.Add(extra)
			s.Wake(extra)
			s.Remove(extra)
			s.Stats()
			s.Running(task)
			s.Abandoned()
		}
		s = New(Options{})
		for _, lasts := range []time.Duration{0, 3 * time.Second} {
			s.Add(&Task{
				Every: 10 * time.Second, Phase: 5 * time.Second, Timeout: time.Second,
				Run:  func(_ context.Context, task *Task, _ time.Time) { all(task); time.Sleep(lasts) },
				Hung: func(task *Task, _ time.Time) { all(task); hung.Add(1) },
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(30 * time.Second)
		cancel()
		require.NoError(t, <-done)
		require.NotZero(t, hung.Load())
	})
}
