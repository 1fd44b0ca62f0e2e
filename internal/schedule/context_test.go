package schedule

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestContextEndsAtItsDeadline(t *testing.T) {
	// How the check learns of it must not matter.
	for name, wait := range map[string]func(context.Context){
		"done":      func(ctx context.Context) { <-ctx.Done() },
		"late done": func(ctx context.Context) { time.Sleep(1500 * ms); <-ctx.Done() },
		"child":     func(ctx context.Context) { c, stop := context.WithCancel(ctx); defer stop(); <-c.Done() },
		"value":     func(ctx context.Context) { <-context.WithValue(ctx, ms, 1).Done() },
		"longer": func(ctx context.Context) {
			c, stop := context.WithTimeout(ctx, time.Hour)
			defer stop()
			<-c.Done()
		},
		"after": func(ctx context.Context) {
			over := make(chan struct{})
			context.AfterFunc(ctx, func() { close(over) })
			<-over
		},
		"polling": func(ctx context.Context) {
			for ctx.Err() == nil {
				time.Sleep(500 * ms)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				w := begin(t, Options{}, &Task{
					Every: 5 * time.Second, Phase: 2500 * ms, Timeout: 2 * time.Second,
					Run: func(ctx context.Context, _ *Task, started time.Time) {
						n++
						deadline, ok := ctx.Deadline()
						require.True(t, ok)
						require.True(t, deadline.Equal(started.Add(2*time.Second)))
						require.NoError(t, ctx.Err())
						wait(ctx)
						require.Equal(t, 2*time.Second, time.Since(started))
						require.Equal(t, context.DeadlineExceeded, ctx.Err())
						require.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
						<-ctx.Done()
					},
				})
				time.Sleep(30 * time.Second)
				synctest.Wait()
				require.Equal(t, 7, n)
				require.Zero(t, w.Stats().Panics)
				w.end()
			})
		})
	}
}

func TestContextIsCancelledWhenTheRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := map[string]func(context.Context, chan<- error){
			"done": func(ctx context.Context, e chan<- error) { d := ctx.Done(); go func() { <-d; e <- ctx.Err() }() },
			"child": func(ctx context.Context, e chan<- error) {
				c, cancel := context.WithCancel(ctx)
				go func() { defer cancel(); <-c.Done(); e <- c.Err() }()
			},
			"after":  func(ctx context.Context, e chan<- error) { context.AfterFunc(ctx, func() { e <- ctx.Err() }) },
			"polled": func(ctx context.Context, e chan<- error) { _ = ctx.Err(); go func() { <-ctx.Done(); e <- ctx.Err() }() },
			"panic": func(ctx context.Context, e chan<- error) {
				d := ctx.Done()
				go func() { <-d; e <- ctx.Err() }()
				panic("check")
			},
			"goexit": func(ctx context.Context, e chan<- error) {
				d := ctx.Done()
				go func() { <-d; e <- ctx.Err() }()
				runtime.Goexit()
			},
		}
		for name, leave := range left {
			ended := make(chan error, 100)
			var seen []context.Context
			w := begin(t, Options{}, &Task{
				Every: time.Second, Phase: 500 * ms, Timeout: 10 * time.Second,
				Run: func(ctx context.Context, _ *Task, _ time.Time) {
					seen = append(seen, ctx)
					leave(ctx, ended)
				},
			})
			time.Sleep(3 * time.Second)
			synctest.Wait()
			require.Len(t, seen, 4, name)
			require.Len(t, ended, 4, "%s: each context ended with its run", name)
			for range 4 {
				require.Equal(t, context.Canceled, <-ended, name)
			}
			for i := range seen {
				require.ErrorIs(t, seen[i].Err(), context.Canceled)
				for _, other := range seen[:i] {
					require.NotSame(t, other, seen[i], "%s: lent twice", name)
				}
			}
			w.end()
		}
	})
}

func TestPolledContextEndsForGood(t *testing.T) {
	// A goroutine that a check left behind asks only now and then, and each time
	// another run is in progress on the same worker.
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		n := 0
		w := begin(t, Options{}, &Task{Every: time.Second, Phase: 500 * ms, Run: func(ctx context.Context, _ *Task, _ time.Time) {
			n++
			require.NoError(t, ctx.Err())
			if kept != nil {
				require.Equal(t, context.Canceled, kept.Err())
			}
			kept = ctx
		}})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, 6, n)
		require.Zero(t, w.Stats().Goexits)
		w.end()
	})
}

func TestUntouchedContextIsLentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var seen []context.Context
		s := New(Options{})
		s.Add(&Task{Every: time.Second, Phase: 500 * ms, Run: func(ctx context.Context, _ *Task, started time.Time) {
			require.Equal(t, "v", ctx.Value(key{}))
			deadline, _ := ctx.Deadline()
			require.True(t, deadline.Equal(started.Add(10*time.Second)))
			seen = append(seen, ctx)
		}})
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		require.Len(t, seen, 4)
		for _, c := range seen {
			require.Same(t, seen[0], c)
		}
		// Whoever kept it sees that its run is over, even long after.
		require.Equal(t, context.Canceled, seen[0].Err())
		<-seen[0].Done()
		time.Sleep(time.Second)
		synctest.Wait()
		require.NotSame(t, seen[0], seen[len(seen)-1], "touched between runs: not lent any more")
		cancel()
		require.NoError(t, <-done)
	})
}

func TestContextAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("stopping")
		errs := make(chan error, 10)
		run := func(ctx context.Context, _ *Task, _ time.Time) {
			child, stop := context.WithTimeout(ctx, time.Hour)
			defer stop()
			<-child.Done()
			errs <- context.Cause(child)
			errs <- context.Cause(ctx)
			errs <- ctx.Err()
		}
		w := begin(t, Options{}, &Task{Every: time.Second, Timeout: time.Hour, Run: run})
		w.cancel(why)
		require.NoError(t, <-w.done)
		require.Equal(t, why, <-errs)
		require.Equal(t, why, <-errs)
		require.Equal(t, context.Canceled, <-errs)
	})
}

func TestContextOfAnEndingParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{})
		errs := make(chan error, 10)
		s.Add(&Task{Every: time.Second, Timeout: time.Hour, Run: func(ctx context.Context, _ *Task, started time.Time) {
			deadline, _ := ctx.Deadline()
			require.True(t, deadline.Equal(started.Add(time.Minute)), "the earlier one counts")
			<-ctx.Done()
			errs <- ctx.Err()
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, s.Run(ctx))
		require.Equal(t, context.DeadlineExceeded, <-errs)
	})
}

func TestContextChildrenCostNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var grown int
		w := begin(t, Options{}, &Task{Every: time.Hour, Run: func(ctx context.Context, _ *Task, _ time.Time) {
			before := runtime.NumGoroutine()
			stops := make([]func(), 0, 300)
			for range 100 {
				_, cancel := context.WithCancel(ctx)
				_, cancel2 := context.WithTimeout(ctx, time.Minute)
				stop := context.AfterFunc(ctx, func() { t.Error("stopped, and called") })
				stops = append(stops, cancel, cancel2, func() { require.True(t, stop()) })
			}
			grown = runtime.NumGoroutine() - before
			for _, stop := range stops {
				stop()
			}
			c := ctx.(*runContext)
			require.Empty(t, c.after, "children unregister")
		}})
		require.LessOrEqual(t, grown, 0)
		require.Zero(t, w.Stats().Panics)
		w.end()
	})
}

func TestContextAfterFuncOfAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		w := begin(t, Options{}, &Task{Every: time.Hour, Phase: 30 * time.Minute, Run: func(ctx context.Context, _ *Task, _ time.Time) { kept = ctx }})
		called := make(chan struct{})
		stop := context.AfterFunc(kept, func() { close(called) })
		<-called
		require.False(t, stop())
		called = make(chan struct{})
		stop = kept.(*runContext).AfterFunc(func() { close(called) })
		<-called
		require.False(t, stop())
		child, cancel := context.WithCancel(kept)
		defer cancel()
		require.Equal(t, context.Canceled, child.Err())
		w.end()
	})
}
