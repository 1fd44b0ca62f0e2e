package schedule

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"
)

// drain takes all entries out of the queues.
func (w *wheel) drain() (due []entry) {
	for _, q := range [...]*queue{&w.ready, &w.wakes} {
		for q.n > 0 {
			b := q.pop(&w.blocks)
			due = append(due, b.e[:b.n]...)
			w.put(b)
		}
	}
	for w.slow.n > 0 {
		b := w.slow.popOne(&w.blocks)
		due = append(due, b.e[0])
		w.put(b)
	}
	return due
}

// sound checks what the code relies on.
func (w *wheel) sound(t *testing.T, model map[*Task]int64) {
	t.Helper()
	n := 0
	check := func(s *slot, home int) {
		for lane, b := range s.head {
			for first := true; b != nil; b, first = b.next, false {
				require.EqualValues(t, home, b.home)
				require.EqualValues(t, lane, b.lane)
				require.True(t, first || b.n == blockLen, "only the first block may have room")
				require.NotZero(t, b.n)
				for i, e := range b.e[:b.n] {
					require.Same(t, b, e.t.block)
					require.EqualValues(t, i, e.t.index)
					require.GreaterOrEqual(t, e.at, s.min)
					require.LessOrEqual(t, e.at, s.max)
					require.Equal(t, model[e.t], e.at)
					n++
				}
			}
		}
	}
	for i := range w.near {
		s := &w.near[i]
		set := w.nearSet[i/64]&(1<<(i%64)) != 0
		require.Equal(t, s.head != [2]*block{}, set, "bitmap of slot %d", i)
		check(s, i)
	}
	for i := range w.far {
		check(&w.far[i], nearLen+i)
	}
	require.Equal(t, len(model), n)
}

func TestWheelAgainstASortedList(t *testing.T) {
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 1))
		var w wheel
		w.init()
		model := map[*Task]int64{}
		var tasks []*Task // in order of insertion, so that a seed repeats
		now := int64(0)
		// How far ahead the moments lie: within one tick, the near wheel, the far one, beyond.
		reach := [...]int64{tick, 200 * tick, nearLen * tick, 20 * nearLen * tick, 3 * farLen * farTick}[seed%5]
		for range 1500 {
			switch r.IntN(10) {
			case 0, 1, 2, 3, 4, 5:
				task := &Task{slow: r.IntN(4) == 0}
				at := now + r.Int64N(reach) + 1
				if r.IntN(2) == 0 {
					at = at / tick * tick // many together
				}
				at = max(at, now+1)
				w.insert(at, task)
				model[task] = at
				tasks = append(tasks, task)
			case 6:
				if len(tasks) > 0 {
					i := r.IntN(len(tasks))
					w.remove(tasks[i])
					delete(model, tasks[i])
					tasks = slices.Delete(tasks, i, i+1)
				}
			default:
				if r.IntN(3) == 0 {
					now += r.Int64N(2 * reach)
				} else {
					if w.next() == never {
						continue
					}
					now = max(now, w.next()) // as the timer does
				}
				for w.advance(now, r.IntN(20)) {
				}
				got := map[*Task]int64{}
				for _, e := range w.drain() {
					got[e.t] = e.at
				}
				want := map[*Task]int64{}
				next := int64(never)
				for task, at := range model {
					if at <= now {
						want[task] = at
						delete(model, task)
					} else {
						next = min(next, at)
					}
				}
				tasks = slices.DeleteFunc(tasks, func(t *Task) bool { _, due := want[t]; return due })
				require.Equal(t, len(want), len(got), "seed %d at %v", seed, time.Duration(now))
				for task, at := range want {
					require.Equal(t, at, got[task])
				}
				require.LessOrEqual(t, w.next(), next, "it must not oversleep")
				require.Greater(t, w.next(), now, "nor spin")
			}
			if r.IntN(50) == 0 {
				w.sound(t, model)
			}
		}
		w.sound(t, model)
		for task := range model {
			w.remove(task)
		}
		require.Zero(t, w.inUse, "blocks left when all are gone")
	}
}

func TestWheelMovesFarBlocksInPortions(t *testing.T) {
	var w wheel
	w.init()
	const n = 100 * blockLen
	for range n {
		w.insert(60_000_000_000, new(Task))
	}
	portions := 0
	for w.advance(56_000_000_000, 10) {
		portions++
	}
	require.Equal(t, 9, portions, "and the last one")
	require.Zero(t, w.ready.n)
	require.Equal(t, int64(60_000_000_000), w.next())
	require.False(t, w.advance(60_000_000_000, 10))
	require.Equal(t, n, w.ready.n)
	for range n {
		w.insert(120_000_000_000, new(Task))
	}
	require.False(t, w.advance(120_000_000_000, 10))
	require.Equal(t, 2*n, w.ready.n, "what is due is not put off")
}

func TestMemoryGoesBackAfterRemove(t *testing.T) {
	s := New(Options{})
	s.life = running // its timers are not needed
	s.anchor = time.Now()
	s.timer = time.AfterFunc(time.Hour, func() {})
	defer s.timer.Stop()
	s.fresh, s.freshAt = firstLooks, s.since()+int64(time.Hour) // no first looks, however slow this runs
	const n = 20_000
	tasks := make([]*Task, n)
	weaks := make([]weak.Pointer[Task], n)
	for i := range tasks {
		tasks[i] = &Task{Every: 10 * time.Hour, Phase: time.Hour + time.Duration(i)}
		tasks[i].state.Store(added)
		s.place(tasks[i], s.since())
		weaks[i] = weak.Make(tasks[i])
	}
	for _, task := range tasks {
		s.Remove(task)
	}
	clear(tasks)
	runtime.GC()
	for _, w := range weaks {
		require.Nil(t, w.Value())
	}
	require.LessOrEqual(t, s.wheel.frees, 65)
	require.Zero(t, s.wheel.inUse)
}

func TestNothingHoldsARemovedTaskThatRan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := begin(t, Options{})
		weaks := make([]weak.Pointer[Task], 100)
		tasks := make([]*Task, len(weaks))
		for i := range tasks {
			tasks[i] = &Task{Name: strconv.Itoa(i), Every: time.Second, Phase: 500 * ms, Run: func(context.Context, *Task, time.Time) {}}
			weaks[i] = weak.Make(tasks[i])
			w.Add(tasks[i])
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		for _, task := range tasks {
			w.LookAt(task, time.Now().Add(time.Hour))
			w.Remove(task)
		}
		clear(tasks)
		runtime.GC()
		for i, task := range weaks {
			require.Nil(t, task.Value(), "task %d", i)
		}
		w.end()
	})
}

func TestLooksHeap(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var h looks
	var model []int64
	victim := new(Task)
	for range 3000 {
		switch r.IntN(5) {
		case 0, 1, 2:
			at := r.Int64N(1000)
			h.push(at, new(Task))
			model = append(model, at)
		case 3:
			if len(model) > 0 {
				slices.Sort(model)
				require.Equal(t, model[0], h.next())
				require.Equal(t, model[0], h.pop().at)
				model = model[1:]
			}
		case 4:
			for range 3 {
				h.push(r.Int64N(1000), victim)
			}
			h.drop(victim)
		}
		require.Len(t, h, len(model))
	}
	require.Equal(t, int64(never), looks(nil).next())
}
