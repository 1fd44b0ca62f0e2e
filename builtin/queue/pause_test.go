package queue_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/queue"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// produce makes an item every 10 ms that the pause allows, until ctx ends.
func produce(ctx context.Context, p *queue.Pause, made *atomic.Int64) {
	for p.Wait(ctx) == nil {
		made.Add(1)
		select {
		case <-time.After(10 * ms):
		case <-ctx.Done():
			return
		}
	}
}

// Producers stop, and come back evenly: neither in a herd nor with a jump.
func TestPauseStopsProducersAndLetsThemBackSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p := queue.NewPause(queue.PauseOptions{})
		var made atomic.Int64
		const producers, full = 20, 20 * 100 // items a second at full speed
		for range producers {
			go produce(ctx, p, &made)
		}
		second := func() int64 {
			before := made.Load()
			time.Sleep(time.Second)
			return made.Load() - before
		}
		require.InDelta(t, full, second(), producers)
		do(t, p.Stop, "a")
		time.Sleep(ms)
		before := made.Load()
		time.Sleep(time.Hour)
		require.LessOrEqual(t, made.Load()-before, int64(producers))
		require.Equal(t, queue.PauseState{Paused: true, Waiting: producers}, p.State())

		began := time.Now()
		resumed := make(chan time.Duration, 1)
		go func() {
			if err := p.Resume(t.Context(), request("a")); err != nil {
				t.Error(err)
			}
			resumed <- time.Since(began)
		}()
		synctest.Wait()
		require.True(t, p.State().Ramping)
		for s := range 10 {
			if n := float64(second()); n < (float64(s)-0.5)/10*full || n > (float64(s)+1.5)/10*full {
				t.Errorf("second %d of the ramp: %v items", s, n)
			}
		}
		require.InDelta(t, full, second(), producers)
		require.Equal(t, 10*time.Second, <-resumed)
		require.Equal(t, queue.PauseState{}, p.State())
		cancel()
	})
}

func TestPauseHoldsForAllThatPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := queue.NewPause(queue.PauseOptions{Ramp: -1})
		require.NoError(t, p.Wait(t.Context()))
		ended, end := context.WithCancelCause(t.Context())
		end(remediate.ErrStopping)
		require.ErrorIs(t, p.Wait(ended), remediate.ErrStopping, "a loop over Wait ends, though nothing is paused")
		do(t, p.Resume, "nobody")
		do(t, p.Stop, "a")
		do(t, p.Stop, "a")
		do(t, p.Stop, "b")
		do(t, p.Resume, "a")
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(gone) })
		require.Equal(t, gone, p.Wait(ctx))
		went := make(chan error, 1)
		go func() { went <- p.Wait(t.Context()) }()
		time.Sleep(time.Second)
		do(t, p.Resume, "b")
		require.NoError(t, <-went)
		require.Equal(t, queue.PauseState{}, p.State())
	})
}

func TestAPauseWithinTheRamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := queue.NewPause(queue.PauseOptions{Ramp: 20 * time.Second})
		do(t, p.Stop, "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorContains(t, p.Resume(ctx, request("a")), "come back, by themselves")
		do(t, p.Stop, "b")
		waiting, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		require.ErrorIs(t, p.Wait(waiting), context.DeadlineExceeded, "the ramp of a is over, b holds")
		stopping, end := context.WithCancelCause(t.Context())
		end(remediate.ErrStopping)
		require.NoError(t, p.Resume(stopping, request("b")))
		require.ErrorIs(t, p.Stop(stopping, request("c")), remediate.ErrStopping)
		time.Sleep(20 * time.Second)
		require.NoError(t, p.Wait(t.Context()))
		require.Equal(t, queue.PauseState{}, p.State())
	})
}

// A producer that waits in the ramp when it is paused again goes on waiting.
func TestAProducerOnItsWayBackIsPausedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 50 { // its turn is left to chance
			p := queue.NewPause(queue.PauseOptions{Ramp: 10 * time.Second})
			do(t, p.Stop, "a")
			var went atomic.Bool
			ctx, cancel := context.WithCancel(t.Context())
			go func() { went.Store(p.Wait(ctx) == nil) }()
			synctest.Wait()
			go func() { _ = p.Resume(t.Context(), request("a")) }()
			time.Sleep(10 * ms)
			do(t, p.Stop, "b")
			time.Sleep(time.Minute)
			require.False(t, went.Load())
			cancel()
			synctest.Wait()
		}
	})
}

func TestPauseOptions(t *testing.T) {
	p := queue.NewPause(queue.PauseOptions{Ramp: -2})
	require.ErrorContains(t, p.Validate(), "Ramp is -2ns")
	require.ErrorContains(t, p.Stop(t.Context(), request("i")), "Ramp is -2ns")
	require.NoError(t, p.Wait(t.Context()))
	require.NoError(t, p.Resume(t.Context(), request("i")))
}

func TestStopIsAStep(t *testing.T) {
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
		p := queue.NewPause(queue.PauseOptions{Ramp: 5 * ms})
		return selfhealtest.StepFixture{
			Step: remediate.Step{Name: "pause-producers", Run: p.Stop, Undo: p.Resume},
			State: func() string {
				if p.State().Paused {
					return "paused"
				}
				return "running"
			},
		}
	})
}
