package schedule

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// neighbours are quick tasks that must keep their moments.
func neighbours(n int, phase time.Duration) (tasks []*Task, diaries []*diary) {
	for i := range n {
		d := newDiary()
		diaries = append(diaries, d)
		tasks = append(tasks, &Task{Name: fmt.Sprint(i), Every: time.Second, Phase: phase, Run: d.run(nil)})
	}
	return tasks, diaries
}

// punctual checks that no start was later than by how much.
func punctual(t *testing.T, diaries []*diary, phase, until, by time.Duration) {
	t.Helper()
	for i, d := range diaries {
		seen := d.seen()
		want := append([]time.Duration{0}, every(phase, time.Second, until)...)
		require.Len(t, seen, len(want), "neighbour %d: %v", i, seen)
		for k := range want {
			require.GreaterOrEqual(t, seen[k], want[k])
			require.LessOrEqual(t, seen[k], want[k]+by, "neighbour %d, look %d", i, k)
		}
	}
}

func TestHungIsReportedOnceAtItsTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{ms, 3 * ms, 5 * ms, 2 * time.Second, 7*time.Second + 1} {
		for _, firstRun := range []bool{true, false} {
			t.Run(fmt.Sprint(timeout, firstRun), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newDiary()
					release := make(chan struct{})
					var reports []time.Duration
					var about time.Time
					var current atomic.Pointer[time.Time]
					stuck := &Task{Every: time.Second, Phase: 500 * ms, Timeout: timeout}
					wrapped := d.run(func(context.Context) {
						if firstRun || d.count() == 3 {
							<-release
						}
					})
					stuck.Run = func(ctx context.Context, task *Task, started time.Time) {
						current.Store(&started)
						wrapped(ctx, task, started)
					}
					var w *world
					stuck.Hung = func(task *Task, started time.Time) {
						reports = append(reports, time.Since(d.start))
						about = started
						require.Same(t, stuck, task)
						require.True(t, w.Running(stuck))
					}
					tasks, diaries := neighbours(40, 500*ms)
					w = &world{}
					*w = *begin(t, Options{}, append(tasks[:20:20], stuck, tasks[20])...)
					for _, task := range tasks[21:] {
						w.Add(task)
					}
					time.Sleep(time.Minute)
					synctest.Wait()
					began := 1500 * ms
					if firstRun {
						began = 0
					}
					require.Equal(t, []time.Duration{began + timeout}, reports)
					require.True(t, about == *current.Load(), "Hung names the run by the same time")
					require.Equal(t, d.seen()[d.count()-1], began, "never started again meanwhile")
					require.Equal(t, 1, w.Stats().Hung)
					require.Zero(t, w.Stats().Running)
					punctual(t, diaries, 500*ms, time.Minute, 5*ms)
					close(release)
					synctest.Wait()
					require.Zero(t, w.Stats().Hung)
					n := d.count()
					if !firstRun {
						time.Sleep(2 * time.Second)
						synctest.Wait()
						require.Equal(t, n+2, d.count(), "it goes on when it came back")
					}
					require.False(t, d.overlap)
					w.end()
				})
			})
		}
	}
}

func TestHungAgainIsReportedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		var reports []time.Duration
		w := begin(t, Options{}, &Task{
			Every: 10 * time.Second, Phase: 5 * time.Second, Timeout: 2 * time.Second,
			Run:  d.run(func(context.Context) { time.Sleep(3 * time.Second) }),
			Hung: func(*Task, time.Time) { reports = append(reports, time.Since(d.start)) },
		})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.Equal(t, []time.Duration{2 * time.Second, 7 * time.Second, 17 * time.Second, 27 * time.Second}, reports)
		w.end()
	})
}

func TestManyHangAtOnce(t *testing.T) {
	// A dependency goes away: 400 checks that were quick block in the same moment.
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		var reports atomic.Int32
		var tasks []*Task
		for i := range 400 {
			tasks = append(tasks, &Task{
				Name: fmt.Sprint("stuck-", i), Every: time.Second, Phase: 500 * ms, Timeout: 10 * time.Second,
				Run: func(ctx context.Context, _ *Task, _ time.Time) {
					if away.Load() {
						<-ctx.Done()
					}
				},
				Hung: func(*Task, time.Time) { reports.Add(1) },
			})
		}
		sound, diaries := neighbours(400, 500*ms)
		mixed := make([]*Task, 0, 800)
		for i := range tasks {
			mixed = append(mixed, tasks[i], sound[i])
		}
		w := begin(t, Options{}, mixed...)
		time.Sleep(2 * time.Second)
		away.Store(true)
		time.Sleep(20 * time.Second)
		punctual(t, diaries, 500*ms, 22*time.Second, 40*ms)
		away.Store(false)
		time.Sleep(20 * time.Second)
		require.Zero(t, w.Stats().Hung)
		st := w.end()
		require.Less(t, st.StartLateMax, 40*ms)
	})
}

func TestMaxChecksIsABound(t *testing.T) {
	for _, bound := range []int{1, 2, 7} {
		t.Run(fmt.Sprint(bound), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var active, most atomic.Int32
				var tasks []*Task
				for i := range 50 {
					tasks = append(tasks, &Task{
						Name: fmt.Sprint(i), Every: time.Second, Phase: 500 * ms, Timeout: time.Minute,
						Run: func(context.Context, *Task, time.Time) {
							now := active.Add(1)
							for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
							}
							time.Sleep(20 * ms)
							active.Add(-1)
						},
					})
				}
				w := begin(t, Options{MaxChecks: bound}, tasks...)
				time.Sleep(20 * time.Second)
				require.LessOrEqual(t, int(most.Load()), bound)
				require.GreaterOrEqual(t, int(most.Load()), max(bound-1, 1))
				st := w.end()
				require.Greater(t, st.Runs, uint64(19*min(45*(bound-1)+1, 50)))
			})
		})
	}
}

func TestQuickChecksGoOnWhenSlowOnesFillTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tasks []*Task
		for i := range 100 {
			tasks = append(tasks, &Task{
				Name: fmt.Sprint(i), Every: time.Second, Phase: 500 * ms, Timeout: time.Hour,
				Run: func(context.Context, *Task, time.Time) { time.Sleep(30 * time.Second) },
			})
		}
		sound, diaries := neighbours(50, 500*ms)
		w := begin(t, Options{MaxChecks: 8, Grace: time.Minute}, sound...)
		for _, task := range tasks {
			w.Add(task)
		}
		time.Sleep(29 * time.Second)
		synctest.Wait()
		punctual(t, diaries, 500*ms, 29*time.Second, 0)
		w.end()
	})
}

func TestHungOnesAreReplacedWithinTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var tasks []*Task
		for i := range 20 {
			tasks = append(tasks, &Task{Name: fmt.Sprint(i), Every: time.Second, Phase: 500 * ms, Timeout: time.Second,
				Run: func(context.Context, *Task, time.Time) { <-release }})
		}
		w := begin(t, Options{MaxChecks: 2}, tasks...)
		time.Sleep(25 * time.Second)
		synctest.Wait()
		require.Equal(t, 20, w.Stats().Hung, "each was started, one after the other")
		d := newDiary()
		w.Add(&Task{Every: time.Second, Phase: 500 * ms, Run: d.run(nil)})
		time.Sleep(5 * time.Second)
		require.Equal(t, 6, d.count())
		close(release)
		synctest.Wait()
		w.end()
	})
}

func TestPanicAndGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, bad := range []func(context.Context){
			func(context.Context) { panic("check") },
			func(context.Context) { runtime.Goexit() },
			func(ctx context.Context) { ctx.Done(); panic(nil) },
			func(ctx context.Context) { time.Sleep(2 * ms); panic("slow") },
			func(ctx context.Context) { time.Sleep(7 * ms); runtime.Goexit() },
		} {
			culprit := newDiary()
			tasks, diaries := neighbours(60, 500*ms)
			all := append(tasks[:10:10], &Task{Every: time.Second, Phase: 500 * ms, Run: culprit.run(bad)})
			w := begin(t, Options{}, append(all, tasks[10:]...)...)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			punctual(t, diaries, 500*ms, 5*time.Second, 0)
			punctual(t, []*diary{culprit}, 500*ms, 5*time.Second, 0)
			require.False(t, culprit.overlap)
			st := w.end()
			require.Equal(t, uint64(6), st.Panics+st.Goexits)
			require.Equal(t, uint64(6*61), st.Runs)
		}
	})
}

func TestWakesDoNotStarvePeriodicChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, bound := range []int{1, 2, 512} {
			var w *world
			storm := make([]*Task, 200)
			for i := range storm {
				storm[i] = &Task{Name: fmt.Sprint(i), Every: time.Hour, Phase: 30 * time.Minute}
				storm[i].Run = func(_ context.Context, task *Task, _ time.Time) {
					time.Sleep(100 * time.Microsecond)
					w.Wake(task)
				}
			}
			sound, diaries := neighbours(40, 500*ms)
			sleeper := newDiary()
			w = &world{}
			*w = *begin(t, Options{MaxChecks: bound}, append(sound, &Task{
				Every: time.Second, Phase: 500 * ms, Run: sleeper.run(func(context.Context) { time.Sleep(2 * ms) }),
			})...)
			for _, task := range storm {
				w.Add(task)
			}
			time.Sleep(5 * time.Second)
			for _, d := range append(diaries, sleeper) {
				require.GreaterOrEqual(t, d.count(), 5, "MaxChecks %d", bound)
			}
			w.end()
		}
	})
}

func TestNothingIsReportedAfterAStarvedWakeup(t *testing.T) {
	// The clock of a bubble never stalls, so the stall is made: the timer was to
	// fire long ago, and the run started long ago.
	synctest.Test(t, func(t *testing.T) {
		order := make(chan string, 10)
		release := make(chan struct{})
		w := begin(t, Options{Late: func(by time.Duration) { order <- fmt.Sprint("late ", by) }}, &Task{
			Every: time.Hour, Phase: 30 * time.Minute, Timeout: 10 * time.Second,
			Run:  func(context.Context, *Task, time.Time) { <-release },
			Hung: func(*Task, time.Time) { order <- "hung" },
		})
		time.Sleep(10*time.Second - 1)
		w.mu.Lock()
		w.armed -= int64(3 * time.Second)
		w.mu.Unlock()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Len(t, order, 1)
		require.Equal(t, "late 3s", <-order)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, order, 1)
		require.Equal(t, "hung", <-order)
		require.Equal(t, 3*time.Second, w.Stats().LateMax)
		require.EqualValues(t, 1, w.Stats().Late)
		close(release)
		w.end()
	})
}

func TestARunThatJustEndedIsNotHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := begin(t, Options{}, &Task{Every: time.Hour, Run: func(context.Context, *Task, time.Time) { <-release }})
		time.Sleep(time.Second)
		w.mu.Lock() // its worker will wait here with what it did
		worker := w.live[0]
		close(release)
		for worker.word.Load()&wordEnded == 0 {
			runtime.Gosched()
		}
		w.watch = 0
		hung := w.inspect(w.since()+int64(time.Minute), false)
		w.mu.Unlock()
		require.Empty(t, hung)
		w.end()
	})
}

func TestSlowChecksTakeTurns(t *testing.T) {
	// More of them than the bound can serve: none may be passed over for ever.
	synctest.Test(t, func(t *testing.T) {
		var w *world
		var diaries []*diary
		w = &world{}
		*w = *begin(t, Options{MaxChecks: 2})
		for i := range 20 {
			d := newDiary()
			diaries = append(diaries, d)
			task := &Task{Name: fmt.Sprint(i), Every: time.Hour, Phase: 30 * time.Minute}
			task.Run = d.run(func(context.Context) { time.Sleep(2 * ms); w.Wake(task) })
			w.Add(task)
		}
		time.Sleep(2 * time.Second)
		for i, d := range diaries {
			require.Greater(t, d.count(), 15, "task %d", i)
		}
		w.end()
	})
}

func TestWallClockSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := make(chan time.Duration, 10)
		d := newDiary()
		w := begin(t, Options{Stepped: func(by time.Duration) { steps <- by }}, &Task{Every: time.Second, Phase: 500 * ms, Run: d.run(nil)})
		for _, by := range []time.Duration{time.Hour, -2 * time.Second, 1900 * ms} {
			time.Sleep(time.Second)
			w.mu.Lock()
			w.base = w.base.Add(-by) // as if the wall clock had gone ahead by that much
			w.mu.Unlock()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, steps, 2)
		require.Equal(t, time.Hour, <-steps)
		require.Equal(t, -2*time.Second, <-steps)
		punctual(t, []*diary{d}, 500*ms, 4*time.Second, 0)
		w.end()
	})
}
