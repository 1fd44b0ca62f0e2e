package schedule

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStopWaitsForRunsThatHeedTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int32
		w := begin(t, Options{}, &Task{Every: time.Second, Timeout: time.Hour, Run: func(ctx context.Context, _ *Task, _ time.Time) {
			<-ctx.Done()
			time.Sleep(3 * time.Second)
			ended.Add(1)
		}})
		time.Sleep(time.Minute)
		at := time.Now()
		require.Zero(t, w.end().Abandoned)
		require.EqualValues(t, 1, ended.Load())
		require.Equal(t, 3*time.Second, time.Since(at))
	})
}

func TestStopAbandonsWhatIgnoresItsContext(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"hung": time.Second, "not yet hung": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				stuck := &Task{Every: time.Second, Phase: 500 * ms, Timeout: timeout, Run: func(context.Context, *Task, time.Time) { <-release }}
				tasks, diaries := neighbours(100, 500*ms)
				var names []*Task
				var since []time.Time
				w := begin(t, Options{Grace: 7 * time.Second, Abandoned: func(task *Task, started time.Time) {
					names, since = append(names, task), append(since, started)
				}}, append(tasks, stuck)...)
				time.Sleep(10 * time.Second)
				at := time.Now()
				w.cancel(nil)
				require.NoError(t, <-w.done)
				require.Equal(t, 7*time.Second, time.Since(at))
				require.Equal(t, 1, w.Abandoned())
				require.Equal(t, []*Task{stuck}, names)
				require.True(t, since[0].Equal(w.start))
				n := diaries[0].count()
				time.Sleep(time.Minute)
				require.Equal(t, n, diaries[0].count(), "nothing runs after the end")
				close(release)
				synctest.Wait()
				require.Zero(t, w.Abandoned(), "it came back")
				require.Zero(t, w.Stats().Hung+w.Stats().Running)
			})
		})
	}
}

func TestStopWithoutGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := begin(t, Options{Grace: -1}, &Task{Every: time.Second, Run: func(context.Context, *Task, time.Time) { <-release }})
		at := time.Now()
		w.cancel(nil)
		require.NoError(t, <-w.done)
		require.Zero(t, time.Since(at))
		require.Equal(t, 1, w.Abandoned())
		close(release)
	})
}

func TestStopInTheMiddleOfABlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *world
		var after atomic.Int32
		var stopped atomic.Bool
		var tasks []*Task
		for i := range 31 {
			tasks = append(tasks, &Task{Name: fmt.Sprint(i), Every: time.Second, Phase: 500 * ms, Run: func(context.Context, *Task, time.Time) {
				if stopped.Load() {
					after.Add(1)
				}
				if i == 10 && time.Since(w.start) > time.Second {
					w.cancel(nil)
					for !w.ended() {
						time.Sleep(time.Nanosecond)
					}
					stopped.Store(true)
				}
			}})
		}
		w = &world{}
		*w = *begin(t, Options{})
		for _, task := range tasks {
			w.Add(task)
		}
		time.Sleep(10 * time.Second)
		require.NoError(t, <-w.done)
		require.Zero(t, after.Load(), "runs that began after the end")
		require.True(t, stopped.Load())
	})
}

func (w *world) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.life == ended
}

// TestEverythingAtOnce is for the race detector: all methods from many goroutines,
// in the bubble's time and truly in parallel. No run may start after Remove has
// returned, none may overlap, and all must be over at the end.
func TestEverythingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, Options{MaxChecks: 20})
		var users sync.WaitGroup
		var broken atomic.Int32
		for u := range 8 {
			users.Go(func() {
				for round := range 40 {
					var gone, active atomic.Bool
					task := &Task{Name: fmt.Sprint(u, round), Every: time.Duration(1+round%7) * 3 * ms, Phase: -1, Timeout: 20 * ms}
					task.Run = func(ctx context.Context, _ *Task, _ time.Time) {
						if gone.Load() && !active.Load() || active.Swap(true) {
							broken.Add(1)
						}
						switch (u + round) % 5 {
						case 1:
							time.Sleep(time.Duration(round) * ms)
						case 2:
							<-ctx.Done()
						case 3:
							w.Wake(task)
							time.Sleep(100 * time.Microsecond)
						}
						active.Store(false)
					}
					w.Add(task)
					for i := range 20 {
						w.Wake(task)
						w.LookAt(task, time.Now().Add(time.Duration(i)*700*time.Microsecond))
						time.Sleep(time.Duration(u+1) * 300 * time.Microsecond)
						w.Stats()
					}
					w.Remove(task)
					if !w.Running(task) {
						gone.Store(true)
					}
				}
			})
		}
		users.Wait()
		time.Sleep(time.Second)
		require.Zero(t, broken.Load())
		st := w.end()
		require.Zero(t, st.Tasks)
		require.Zero(t, w.wheel.inUse, "blocks that hold nothing")
		require.Empty(t, w.looks)
		require.Empty(t, w.live)
		require.Zero(t, w.attached)
	})
}
