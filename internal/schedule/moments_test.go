package schedule

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLooksAtOnceThenAtPhase(t *testing.T) {
	for _, c := range []struct{ every, phase time.Duration }{
		{time.Second, 500 * ms}, {time.Second, 0}, {250 * ms, 125 * ms}, {777 * ms, 388500 * time.Microsecond},
		{30 * time.Second, 15 * time.Second}, {time.Hour, 30 * time.Minute}, {3 * time.Millisecond, 1500 * time.Microsecond},
		{20 * time.Second, 10*time.Second + 1}, {24 * time.Hour, 12 * time.Hour},
	} {
		t.Run(fmt.Sprint(c.every, c.phase), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDiary()
				w := begin(t, Options{}, &Task{Every: c.every, Phase: c.phase, Run: d.run(nil)})
				time.Sleep(10 * c.every)
				synctest.Wait()
				first := c.phase
				if first == 0 {
					first = c.every
				}
				want := append([]time.Duration{0}, every(first, c.every, 10*c.every+1)...)
				require.Equal(t, want, d.seen())
				w.end()
			})
		})
	}
}

func TestNamedPhasesAreStableAndSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		diaries := make([]*diary, n)
		tasks := make([]*Task, n)
		for i := range tasks {
			diaries[i] = newDiary()
			tasks[i] = &Task{Name: fmt.Sprint("watch-", i), Every: time.Second, Phase: -1, Run: diaries[i].run(nil)}
		}
		w := begin(t, Options{}, tasks...)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		phases := map[time.Duration]int{}
		for _, d := range diaries {
			starts := d.seen()[1:]
			require.GreaterOrEqual(t, len(starts), 2)
			require.Equal(t, time.Second, starts[1]-starts[0])
			phases[starts[0]%time.Second]++
		}
		require.Len(t, phases, 4, "moments in each second: few, to spare wake-ups")
		for at, n := range phases {
			require.Zero(t, at%(250*ms))
			require.InDelta(t, 125, n, 40, "tasks at %v", at)
		}
		w.end()
	})
	// Pinned: another hash would move every check of every user.
	for name, due := range map[string]time.Duration{
		"orders/queue-depth": 27 * time.Second, "disk": 29750 * ms, "host/memory": 21250 * ms, "": 6750 * ms,
	} {
		task := Task{Name: name, Every: 30 * time.Second, Phase: -1}
		task.plan(0, 1)
		require.Equal(t, due, time.Duration(task.due), name)
	}
}

func TestOddIntervalsShareWakeups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var diaries []*diary
		var tasks []*Task
		for i := range 200 {
			d := newDiary()
			diaries = append(diaries, d)
			tasks = append(tasks, &Task{Name: fmt.Sprint(i), Every: time.Second + time.Duration(i)*1234567, Phase: -1, Run: d.run(nil)})
		}
		w := begin(t, Options{}, tasks...)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for i, d := range diaries {
			starts := d.seen()[1:]
			for k, at := range starts {
				require.Zero(t, at%(10*ms))
				if k > 0 {
					require.InDelta(t, float64(tasks[i].Every), float64(at-starts[k-1]), float64(10*ms))
				}
			}
			// Rounding must not add up.
			require.InDelta(t, float64(tasks[i].Every)*float64(len(starts)-1), float64(starts[len(starts)-1]-starts[0]), float64(10*ms))
		}
		w.end()
	})
}

func TestRaster(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		n     int
		grain time.Duration
		rough bool
	}{
		{time.Second, 10, 250 * ms, false}, {time.Second, 100_000, 50 * ms, false}, {time.Second, 1_000_000, 10 * ms, false},
		{time.Hour, 10, 250 * ms, false}, {500 * ms, 10, 125 * ms, false}, {250 * ms, 10, 50 * ms, false}, {750 * ms, 1, 125 * ms, false},
		{777 * ms, 1, 10 * ms, true}, {time.Second + 1, 1, 10 * ms, true}, {50 * ms, 1, 10 * ms, false}, {15 * ms, 1, 5 * ms, false}, {100 * ms, 1, 25 * ms, false},
		{ms, 1, ms, false}, {7500 * time.Microsecond, 1, 750 * time.Microsecond, false},
	} {
		grain, rough := raster(c.every, c.n)
		require.Equal(t, c.grain, grain, "%v among %d", c.every, c.n)
		require.Equal(t, c.rough, rough, "%v among %d", c.every, c.n)
	}
}

func TestMissedPeriodsAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		w := begin(t, Options{}, &Task{Every: time.Second, Phase: 500 * ms, Timeout: time.Minute, Run: d.run(func(context.Context) {
			time.Sleep(2700 * ms)
		})})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		// 0–2.7, then 3.5–6.2, 6.5–9.2, 9.5: what came due meanwhile is gone.
		require.Equal(t, []time.Duration{0, 3500 * ms, 6500 * ms, 9500 * ms}, d.seen())
		require.False(t, d.overlap)
		w.end()
	})
}

func TestAddWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, Options{})
		time.Sleep(3300 * ms)
		d := newDiary()
		d.start = w.start
		w.Add(&Task{Every: time.Second, Phase: 500 * ms, Run: d.run(nil)})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, []time.Duration{3300 * ms, 3500 * ms, 4500 * ms}, d.seen())
		w.end()
	})
}

func TestFirstLooksArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 12_000
		diaries := make([]*diary, n)
		tasks := make([]*Task, n)
		for i := range tasks {
			interval := time.Second
			if i%2 == 0 {
				interval = time.Hour
			}
			diaries[i] = newDiary()
			tasks[i] = &Task{Name: fmt.Sprint(i), Every: interval, Phase: -1, Run: diaries[i].run(nil)}
		}
		w := begin(t, Options{}, tasks...)
		at, second := map[time.Duration]int{}, 0
		time.Sleep(1200 * ms)
		synctest.Wait()
		for i, d := range diaries {
			starts := d.seen()
			require.NotEmpty(t, starts, "task %d had no first look", i)
			at[starts[0]]++
			second += (len(starts) - 1) * (1 - i%2)
		}
		require.InDelta(t, 1000, at[0], 20)
		require.Less(t, second, 10, "of 6000, those whose phase in the hour comes within its first second")
		for moment, n := range at {
			require.Less(t, n, 3000, "first looks at %v", moment)
		}
		w.end()
	})
}

func TestLookAtIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		task := &Task{Every: time.Hour, Phase: 30 * time.Minute, Run: d.run(nil)}
		s := New(Options{})
		s.Add(task)
		s.LookAt(task, time.Now().Add(1234567)) // before Run is not lost
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		want := []time.Duration{0, 1234567}
		for _, after := range []time.Duration{25 * time.Minute, 7*time.Minute + 1, 7 * time.Minute, 11, 90 * time.Minute} {
			s.LookAt(task, time.Now().Add(after))
			s.LookAt(task, time.Now().Add(after)) // twice the same is one look
			want = append(want, after)
		}
		want = append(want, 30*time.Minute)
		slices.Sort(want)
		time.Sleep(90*time.Minute - 1)
		synctest.Wait()
		require.Equal(t, want[:len(want)-1], d.seen())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Equal(t, append(want[:len(want)-1:len(want)-1], 90*time.Minute), d.seen(), "the look and the period coincide: one run")
		s.LookAt(task, time.Now().Add(-time.Minute)) // has passed: now
		synctest.Wait()
		require.Equal(t, 90*time.Minute, d.seen()[len(want)])
		cancel()
		require.NoError(t, <-done)
	})
}

func TestLookDueWhileRunningFollowsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		task := &Task{Every: time.Hour, Phase: 30 * time.Minute, Timeout: time.Minute, Run: d.run(func(context.Context) { time.Sleep(time.Second) })}
		w := begin(t, Options{}, task)
		w.LookAt(task, w.start.Add(300*ms))
		w.LookAt(task, w.start.Add(700*ms))
		w.LookAt(task, w.start.Add(5*time.Second))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, []time.Duration{0, time.Second, 5 * time.Second}, d.seen())
		w.end()
	})
}

func TestIdleSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		w := begin(t, Options{}, &Task{Every: 24 * time.Hour, Phase: 12 * time.Hour, Run: d.run(nil)})
		before := w.Stats().Wakeups
		time.Sleep(240 * time.Hour)
		synctest.Wait()
		require.Equal(t, 11, d.count())
		require.LessOrEqual(t, w.Stats().Wakeups-before, uint64(10), "wake-ups for 10 runs")
		w.end()
	})
}

func TestOneWakeupForEachMoment(t *testing.T) {
	// Also while a long run is in progress: the watchdog's moment is its deadline.
	synctest.Test(t, func(t *testing.T) {
		tasks, _ := neighbours(100, 500*ms)
		w := begin(t, Options{Grace: time.Hour}, append(tasks, &Task{
			Every: time.Hour, Phase: 30 * time.Minute, Timeout: time.Hour, Run: func(context.Context, *Task, time.Time) { time.Sleep(20 * time.Minute) },
		})...)
		time.Sleep(time.Second)
		before := w.Stats().Wakeups
		time.Sleep(100 * time.Second)
		require.LessOrEqual(t, w.Stats().Wakeups-before, uint64(101))
		w.end()
	})
}
