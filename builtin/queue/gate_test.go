package queue_test

import (
	"context"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/queue"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

var priorities = []queue.Priority{queue.Background, queue.Normal, queue.Important, queue.Vital}

// refused is the share of many requests that the gate refuses now.
func refused(g *queue.Gate, p queue.Priority) float64 {
	const n = 20_000
	no := 0
	for range n {
		if !g.Admit(p) {
			no++
		}
	}
	return float64(no) / n
}

func requireRefused(t *testing.T, g *queue.Gate, want ...float64) {
	t.Helper()
	for i, p := range priorities {
		require.InDelta(t, want[i], refused(g, p), 0.02, "%v", p)
		if want[i] == 0 || want[i] == 1 {
			require.Equal(t, want[i], refused(g, p), "%v: all or nothing", p)
		}
	}
}

func TestGateShedsByPriorityAndShare(t *testing.T) {
	for name, c := range map[string]struct {
		shed queue.Shed
		want []float64
	}{
		"zero":                     {queue.Shed{}, []float64{1, 0.5, 0, 0}},
		"by priority":              {queue.Shed{Below: queue.Important, Share: -1}, []float64{1, 1, 0, 0}},
		"by share":                 {queue.Shed{Below: queue.Background, Share: 0.3}, []float64{0.3, 0, 0, 0}},
		"both":                     {queue.Shed{Below: queue.Important, Share: 0.25}, []float64{1, 1, 0.25, 0}},
		"all of one":               {queue.Shed{Below: queue.Normal, Share: 1}, []float64{1, 1, 0, 0}},
		"never the vital":          {queue.Shed{Below: queue.Vital}, []float64{1, 1, 1, 0}},
		"never the vital, in full": {queue.Shed{Below: queue.Vital, Share: 1}, []float64{1, 1, 1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := queue.NewGate(queue.GateOptions{Shed: c.shed})
				requireRefused(t, g, 0, 0, 0, 0)
				do(t, g.Shed, "i")
				requireRefused(t, g, c.want...)
				time.Sleep(time.Hour)
				requireRefused(t, g, c.want...)
			})
		})
	}
}

// The way back is even: at no point does the gate jump.
func TestGateRampsBackAndNeverJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := queue.NewGate(queue.GateOptions{Ramp: 15 * time.Second})
		do(t, g.Shed, "i")
		restored := make(chan time.Duration, 1)
		began := time.Now()
		go func() {
			if err := g.Restore(t.Context(), request("i")); err != nil {
				t.Error(err)
			}
			restored <- time.Since(began)
		}()
		synctest.Wait()
		last := queue.Of(queue.Background, g.State().Refusing) + queue.Of(queue.Normal, g.State().Refusing)
		require.Equal(t, 1.5, last)
		for range 15 * 20 {
			time.Sleep(50 * ms)
			s := g.State()
			now := queue.Of(queue.Background, s.Refusing) + queue.Of(queue.Normal, s.Refusing)
			require.InDelta(t, last-0.005, now, 1e-6)
			last = now
			if queue.Of(queue.Normal, s.Refusing) > 0 {
				require.EqualValues(t, 1, queue.Of(queue.Background, s.Refusing), "the more important return first")
			}
		}
		time.Sleep(200 * ms)
		requireRefused(t, g, 0, 0, 0, 0)
		require.InDelta(t, 15, (<-restored).Seconds(), 0.2, "the undo is over when the gate is open")
		require.Equal(t, "nothing", g.State().String())
	})
}

func TestGateHoldsForAllThatShed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := queue.NewGate(queue.GateOptions{Ramp: 10 * time.Second})
		harder := g.ShedBy(queue.Shed{Below: queue.Important, Share: -1})
		do(t, g.Shed, "a")
		do(t, g.Shed, "a")
		do(t, harder, "b")
		requireRefused(t, g, 1, 1, 0, 0)
		do(t, g.Restore, "nobody")
		requireRefused(t, g, 1, 1, 0, 0)
		do(t, g.Restore, "b") // returns: a keeps it
		requireRefused(t, g, 1, 1, 0, 0)
		time.Sleep(5 * time.Second)
		requireRefused(t, g, 1, 0.75, 0, 0)
		time.Sleep(10 * time.Second)
		requireRefused(t, g, 1, 0.5, 0, 0)
		go func() { _ = g.Restore(t.Context(), request("a")) }()
		time.Sleep(5 * time.Second)
		requireRefused(t, g, 0.75, 0, 0, 0)
		do(t, g.Shed, "c") // a relapse on the way: at once
		requireRefused(t, g, 1, 0.5, 0, 0)
		do(t, g.Restore, "c")
		requireRefused(t, g, 0, 0, 0, 0)
		do(t, g.Restore, "c")
		requireRefused(t, g, 0, 0, 0, 0)
	})
}

func TestRestoreEndsWithItsTimeAndTheRampGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := queue.NewGate(queue.GateOptions{})
		do(t, g.Shed, "i")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := g.Restore(ctx, request("i"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "still refuses 100% of background, 12% of normal")
		time.Sleep(15 * time.Second)
		requireRefused(t, g, 0, 0, 0, 0)

		do(t, g.Shed, "i")
		stopping, stop := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { stop(remediate.ErrStopping) })
		began := time.Now()
		require.NoError(t, g.Restore(stopping, request("i")), "a process that ends waits for no ramp")
		require.Equal(t, time.Second, time.Since(began))
		require.ErrorIs(t, g.Shed(stopping, request("j")), remediate.ErrStopping)
	})
}

// service serves so many requests a second and queues the rest; it is what the
// gate protects.
type service struct {
	gate     *queue.Gate
	meter    *queue.Meter
	waiting  []queue.Stamp
	served   int
	longest  time.Duration
	offered  [4]float64 // requests a tick of 10 ms
	capacity float64
	credit   float64
	debt     [4]float64
}

func (s *service) run(d time.Duration) {
	for range int(d / (10 * ms)) {
		for i, p := range priorities {
			for s.debt[i] += s.offered[i]; s.debt[i] >= 1; s.debt[i]-- {
				if s.gate.Admit(p) {
					s.waiting = append(s.waiting, s.meter.Enter())
				}
			}
		}
		for s.credit += s.capacity; s.credit >= 1 && len(s.waiting) > 0; s.credit-- {
			s.longest = max(s.longest, s.meter.Leave(s.waiting[0]))
			s.waiting = s.waiting[1:]
			s.served++
		}
		s.credit = min(s.credit, s.capacity)
		time.Sleep(10 * ms)
	}
}

// admitted is the share of each priority that got in during d.
func (s *service) admitted(d time.Duration) (share [4]float64) {
	before := s.gate.State()
	s.run(d)
	after := s.gate.State()
	for i := range share {
		in, out := after.Admitted[i]-before.Admitted[i], after.Refused[i]-before.Refused[i]
		share[i] = float64(in) / float64(max(in+out, 1))
	}
	return share
}

// A closed loop: at twice the load that can be served the gate finds what to
// refuse, the least important first, keeps the service busy and its queue short,
// and opens when the load is gone.
func TestGateAdaptsToWhatCanBeServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := queue.NewMeter(queue.CoDelOptions{Target: 50 * ms, Interval: 500 * ms})
		s := &service{meter: m, capacity: 10, offered: [4]float64{8, 8, 3, 1}}
		s.gate = queue.NewGate(queue.GateOptions{Overloaded: m.Overloaded})
		s.run(5 * time.Second)
		require.Greater(t, len(s.waiting), 4_000, "overloaded")

		do(t, s.gate.Adapt, "i")
		s.run(time.Minute) // it drains
		s.served, s.longest = 0, 0
		share := s.admitted(2 * time.Minute)
		t.Logf("admitted %.2f, served %.0f%% of what it can, longest wait %v, at the end %s", share, float64(s.served)/1200, s.longest, s.gate.State())
		require.Greater(t, s.served, 120*1000*85/100, "it stays busy")
		require.Less(t, s.longest, 3*time.Second)
		require.Less(t, share[0], 0.25, "background goes first")
		require.Greater(t, share[1], 0.5)
		require.Greater(t, share[2], 0.98, "what matters is served")
		require.EqualValues(t, 1, share[3])

		// The load is still there. Asked while it copes, the gate tries to open, and
		// says after its time that it cannot.
		for m.Overloaded() {
			s.run(10 * ms)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		restored := make(chan error, 1)
		go func() { restored <- s.gate.Restore(ctx, request("i")) }()
		s.longest = 0
		s.run(61 * time.Second)
		require.ErrorContains(t, <-restored, "still refuses")
		require.Less(t, s.longest, 3*time.Second, "nobody let the herd in")

		// Asked while it is overloaded, it lets people be told, and goes on.
		do(t, s.gate.Adapt, "j")
		for !m.Overloaded() {
			s.run(10 * ms)
		}
		began := time.Now()
		do(t, s.gate.Restore, "j")
		require.Equal(t, began, time.Now())
		s.longest = 0
		share = s.admitted(time.Minute)
		require.Less(t, share[0], 0.25)
		require.Less(t, s.longest, 3*time.Second)

		s.offered = [4]float64{2, 3, 2, 1} // the load is gone
		s.run(time.Minute)
		requireRefused(t, s.gate, 0, 0, 0, 0)
	})
}

// By itself the gate refuses no more than what is Normal, whatever the signal says.
func TestAdaptRefusesNothingImportant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := queue.NewGate(queue.GateOptions{Overloaded: func() bool { return true }})
		do(t, g.Adapt, "i")
		last := 0.0
		for range 600 {
			g.Admit(queue.Normal)
			now := queue.Of(queue.Background, g.State().Refusing) + queue.Of(queue.Normal, g.State().Refusing)
			require.LessOrEqual(t, now, last+0.1+1e-9, "step by step")
			last = now
			time.Sleep(100 * ms)
		}
		requireRefused(t, g, 1, 1, 0, 0)
	})
}

// Overload on the way back stops the ramp where it is.
func TestTheWayBackStopsAtOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var over atomic.Bool
		g := queue.NewGate(queue.GateOptions{Overloaded: over.Load, Shed: queue.Shed{Share: 1}})
		do(t, g.Shed, "i")
		restored := make(chan error, 1)
		go func() { restored <- g.Restore(t.Context(), request("i")) }()
		time.Sleep(5 * time.Second)
		require.InDelta(t, 0.5, queue.Of(queue.Normal, g.State().Refusing), 0.02)
		over.Store(true)
		for range 20 {
			time.Sleep(100 * ms)
			require.Greater(t, queue.Of(queue.Normal, g.State().Refusing), 0.45)
		}
		over.Store(false)
		time.Sleep(time.Minute)
		require.NoError(t, <-restored)
		requireRefused(t, g, 0, 0, 0, 0)
	})
}

func TestGateThatCannotAdapt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.ErrorIs(t, queue.NewGate(queue.GateOptions{}).Adapt(t.Context(), request("i")), remediate.ErrSkip)
		var sick atomic.Bool
		sick.Store(true)
		g := queue.NewGate(queue.GateOptions{Overloaded: func() bool {
			if sick.Load() {
				panic("no reading")
			}
			return false
		}})
		do(t, g.Adapt, "i")
		for range 100 {
			require.True(t, g.Admit(queue.Normal), "what cannot be told is no reason to refuse")
			time.Sleep(100 * ms)
		}
		require.GreaterOrEqual(t, g.State().Panics, uint64(90))
		sick.Store(false)
		do(t, g.Restore, "i")
	})
}

func TestGateOptions(t *testing.T) {
	require.NoError(t, queue.GateOptions{}.Validate())
	for want, o := range map[string]queue.GateOptions{
		"Ramp is -1ns":        {Ramp: -1},
		"RetryAfter is -1s":   {RetryAfter: -time.Second},
		"Every is -1s":        {Every: -time.Second},
		"Step is 2":           {Step: 2},
		"Step is NaN":         {Step: math.NaN()},
		"Shed.Below is 7":     {Shed: queue.Shed{Below: 7}},
		"Shed.Share is 1.5":   {Shed: queue.Shed{Share: 1.5}},
		"Shed.Share is NaN":   {Shed: queue.Shed{Share: math.NaN()}},
		"Shed refuses nothin": {Shed: queue.Shed{Below: queue.Background, Share: -1}},
	} {
		g := queue.NewGate(o)
		require.ErrorContains(t, g.Validate(), want)
		require.ErrorContains(t, g.Shed(t.Context(), request("i")), want)
		require.ErrorContains(t, g.Adapt(t.Context(), request("i")), want)
		require.NoError(t, g.Restore(t.Context(), request("i")))
		requireRefused(t, g, 0, 0, 0, 0)
	}
	require.ErrorContains(t, queue.NewGate(queue.GateOptions{}).ShedBy(queue.Shed{Share: 2})(t.Context(), request("i")), "Shed.Share is 2")
}

func TestPriorities(t *testing.T) {
	names := []string{"background", "normal", "important", "vital"}
	for i, p := range priorities {
		require.Equal(t, names[i], p.String())
	}
	require.Equal(t, "vital", queue.Priority(100).String())
	require.Equal(t, "background", queue.Priority(-128).String())
	var zero queue.Priority
	require.Equal(t, queue.Normal, zero)
}

func TestShedIsAStep(t *testing.T) {
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
		g := queue.NewGate(queue.GateOptions{Ramp: 5 * ms})
		return selfhealtest.StepFixture{
			Step:  remediate.Step{Name: "shed-load", Run: g.Shed, Undo: g.Restore},
			State: func() string { return g.State().String() },
		}
	})
}

func TestAdaptIsAStep(t *testing.T) {
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
		g := queue.NewGate(queue.GateOptions{Ramp: 5 * ms, Overloaded: func() bool { return false }})
		return selfhealtest.StepFixture{
			Step: remediate.Step{Name: "adapt", Run: g.Adapt, Undo: g.Restore},
			State: func() string {
				if g.State().Held {
					return "held"
				}
				return g.State().String()
			},
		}
	})
}
