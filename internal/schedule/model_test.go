package schedule

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A plot is what happens to one task: a script that the scheduler acts out in
// virtual time, and that the model computes on a sorted list.
type plot struct {
	every, phase, lasts time.Duration // lasts 0 is a quick check; else at least slowAfter
	asks                []ask         // sorted
	removed             time.Duration // 0: never
}

type ask struct {
	at   time.Duration // when Wake is called, or LookAt comes due
	look bool
	call time.Duration // when LookAt is called
}

// model returns the moments at which runs of p start before end.
func (p plot) model(end time.Duration) (starts []time.Duration) {
	type event struct {
		at       time.Duration
		periodic bool
	}
	events := []event{{at: 0}} // the first look
	for at := p.phase; at < end; at += p.every {
		if at > 0 {
			events = append(events, event{at, true})
		}
	}
	for _, a := range p.asks {
		events = append(events, event{at: a.at})
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	busy, again := time.Duration(-1), false // until when a run goes on
	begin := func(at time.Duration) {
		if at < end && (p.removed == 0 || at < p.removed) {
			starts = append(starts, at)
			busy = at + p.lasts
		}
	}
	for _, e := range events {
		for again && busy <= e.at {
			again = false
			begin(busy)
		}
		switch {
		case busy <= e.at:
			begin(e.at)
		case !e.periodic:
			again = true // a period is skipped, a wish is not
		}
	}
	if again {
		begin(busy)
	}
	return starts
}

// act runs the plots in a bubble and compares. All moments but the periodic ones
// have random nanoseconds, so that no two of a task coincide.
func act(t *testing.T, plots []plot, end time.Duration, o Options) {
	t.Helper()
	tasks := make([]*Task, len(plots))
	diaries := make([]*diary, len(plots))
	type call struct {
		at time.Duration
		do func(w *world)
	}
	var calls []call
	for i, p := range plots {
		diaries[i] = newDiary()
		tasks[i] = &Task{
			Name: fmt.Sprint(i), Every: p.every, Phase: p.phase, Timeout: 24 * time.Hour,
			Run: diaries[i].run(func(context.Context) { time.Sleep(p.lasts) }),
		}
		for _, a := range p.asks {
			if a.look {
				calls = append(calls, call{a.call, func(w *world) { w.LookAt(tasks[i], w.start.Add(a.at)) }})
			} else {
				calls = append(calls, call{a.at, func(w *world) { w.Wake(tasks[i]) }})
			}
		}
		if p.removed > 0 {
			calls = append(calls, call{p.removed, func(w *world) { w.Remove(tasks[i]) }})
		}
	}
	slices.SortStableFunc(calls, func(a, b call) int { return int(a.at - b.at) })
	w := begin(t, o, tasks...)
	for _, c := range calls {
		time.Sleep(c.at - time.Since(w.start))
		c.do(w)
	}
	time.Sleep(end - time.Since(w.start))
	w.end()
	for i, p := range plots {
		want := p.model(end)
		got := diaries[i].seen()
		if n := len(got); n > 0 && got[n-1] == end { // the end itself is a race
			got = got[:n-1]
		}
		require.Equal(t, want, got, "task %d: %+v", i, p)
		require.False(t, diaries[i].overlap)
	}
}

// randomPlots draws tasks around one scale of time.
func randomPlots(r *rand.Rand, n int, end time.Duration) (plots []plot) {
	nano := func(below time.Duration) time.Duration { return 1 + time.Duration(r.Int64N(int64(below-1))) }
	for range n {
		p := plot{every: end / time.Duration(5+r.IntN(40)) / (10 * ms) * (10 * ms)}
		p.every = max(p.every, 10*ms)
		p.phase = time.Duration(r.Int64N(int64(p.every)/int64(10*ms))) * 10 * ms
		if r.IntN(3) == 0 {
			p.lasts = ms + nano(p.every*2)
		}
		for range r.IntN(12) {
			a := ask{at: nano(end), look: r.IntN(2) == 0}
			a.call = time.Duration(r.Int64N(int64(a.at)))
			p.asks = append(p.asks, a)
		}
		slices.SortFunc(p.asks, func(a, b ask) int { return int(a.at - b.at) })
		if r.IntN(4) == 0 {
			p.removed = nano(end)
			// What is asked for of a task that is gone changes nothing; what was to
			// happen later is forgotten.
			p.asks = slices.DeleteFunc(p.asks, func(a ask) bool { return a.at > p.removed })
		}
		plots = append(plots, p)
	}
	return plots
}

func TestModel(t *testing.T) {
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 2))
		end := [...]time.Duration{time.Second, 20 * time.Second, 5 * time.Minute, 10 * time.Hour}[seed%4]
		synctest.Test(t, func(t *testing.T) {
			act(t, randomPlots(r, 1+r.IntN(60), end), end, Options{Grace: 48 * time.Hour})
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzModel(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17})
	f.Add([]byte{0, 0, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 1, 0, 200, 1, 0, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		// Nine bytes a task: interval, phase, duration, a wake and a look.
		const end = 30 * time.Second
		var plots []plot
		for i := 0; len(script) >= 9 && i < 100; i, script = i+1, script[9:] {
			b := script[:9]
			p := plot{every: time.Duration(1+binary.LittleEndian.Uint16(b)%1000) * 10 * ms}
			p.phase = time.Duration(b[2]) * 10 * ms % p.every
			if b[3] > 100 {
				p.lasts = ms*time.Duration(b[3]) + time.Duration(i) + 1
			}
			odd := time.Duration(i)*211 + 77
			p.asks = append(p.asks,
				ask{at: time.Duration(binary.LittleEndian.Uint16(b[4:]))*400*time.Microsecond + odd},
				ask{at: time.Duration(binary.LittleEndian.Uint16(b[6:]))*400*time.Microsecond + 2*odd, look: true})
			slices.SortFunc(p.asks, func(a, b ask) int { return int(a.at - b.at) })
			if b[8] > 200 {
				p.removed = time.Duration(b[8])*50*ms + 3*odd
				p.asks = slices.DeleteFunc(p.asks, func(a ask) bool { return a.at > p.removed })
			}
			plots = append(plots, p)
		}
		synctest.Test(t, func(t *testing.T) { act(t, plots, end, Options{Grace: 48 * time.Hour}) })
	})
}
