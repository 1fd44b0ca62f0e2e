package queue_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/queue"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// running runs a pool until the test ends.
func running(t testing.TB, p *queue.Pool) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Cleanup(stop)
	for p.State().Running == 0 {
		time.Sleep(ms)
	}
	return stop
}

// idle is a worker that only waits to leave.
func idle(ctx context.Context, s queue.Seat) error {
	select {
	case <-s.Leave:
	case <-ctx.Done():
	}
	return nil
}

func TestPoolResizesWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jobs := make(chan int)
		var done, cancelled atomic.Int64
		p := queue.NewPool(queue.PoolOptions{Size: 2, Max: 8, Work: queue.Each(jobs, func(ctx context.Context, _ int) error {
			select {
			case <-time.After(time.Second):
				done.Add(1)
			case <-ctx.Done():
				cancelled.Add(1)
			}
			return nil
		})})
		stop := running(t, p)
		go func() {
			for i := range 100 {
				jobs <- i
			}
		}()
		time.Sleep(10*time.Second + ms)
		require.EqualValues(t, 20, done.Load(), "two workers, a job a second each")

		require.NoError(t, p.Resize(8))
		time.Sleep(5*time.Second + 500*ms)
		require.Equal(t, queue.PoolState{Target: 8, Running: 8}, p.State())
		grown := done.Load()
		require.InDelta(t, 20+40, grown, 8)

		require.NoError(t, p.Resize(1))
		require.Equal(t, queue.PoolState{Target: 1, Running: 8}, p.State(), "nobody is torn from a job")
		time.Sleep(time.Second + ms)
		require.Equal(t, queue.PoolState{Target: 1, Running: 1}, p.State())
		require.EqualValues(t, grown+8, done.Load(), "the jobs at hand were done")

		// Those that leave still work: the bound holds while a pool goes back and forth.
		require.NoError(t, p.Resize(8))
		time.Sleep(10 * ms)
		require.NoError(t, p.Resize(1))
		require.NoError(t, p.Resize(8))
		require.LessOrEqual(t, p.State().Running, 8)
		time.Sleep(2 * time.Second)
		require.Equal(t, queue.PoolState{Target: 8, Running: 8}, p.State())
		require.Zero(t, cancelled.Load())

		for _, n := range []int{0, 9, -1} {
			require.ErrorContains(t, p.Resize(n), "outside of the bounds of the pool, 1 to 8")
		}
		stop()
		require.Zero(t, p.State().Running)
		for len(jobs) > 0 || done.Load()+cancelled.Load() < 100 { // let the producer go
			<-jobs
			done.Add(1)
		}
	})
}

func TestPoolEndsWithItsQueueAndRunsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done atomic.Int64
		var jobs chan int
		p := queue.NewPool(queue.PoolOptions{Size: 3, Work: func(ctx context.Context, s queue.Seat) error {
			return queue.Each(jobs, func(context.Context, int) error { done.Add(1); return nil })(ctx, s)
		}})
		for round := range 2 {
			jobs = make(chan int, 50)
			for i := range 50 {
				jobs <- i
			}
			close(jobs)
			require.NoError(t, p.Run(t.Context()))
			require.EqualValues(t, 50*(round+1), done.Load())
		}
		require.ErrorIs(t, p.ScaleUp(t.Context(), request("i")), remediate.ErrSkip, "it does not run")
	})
}

func TestPoolRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := queue.NewPool(queue.PoolOptions{Work: idle})
		running(t, p)
		require.ErrorContains(t, p.Run(t.Context()), "runs already")
	})
}

// A worker that fails comes back, later and later; its neighbours do not notice.
func TestPoolBringsFailedWorkersBack(t *testing.T) {
	boom := errors.New("boom")
	for name, fail := range map[string]func() error{
		"error":  func() error { return boom },
		"panic":  func() error { panic(boom) },
		"goexit": func() error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var starts []time.Duration
				began := time.Now()
				p := queue.NewPool(queue.PoolOptions{Size: 2, Work: func(ctx context.Context, s queue.Seat) error {
					if s.ID == 2 {
						mu.Lock()
						starts = append(starts, time.Since(began))
						mu.Unlock()
						return fail()
					}
					return idle(ctx, s)
				}})
				stop := running(t, p)
				time.Sleep(8 * time.Second)
				mu.Lock()
				defer mu.Unlock()
				require.Equal(t, []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}, starts)
				s := p.State()
				require.Equal(t, 2, s.Running)
				require.EqualValues(t, 4, s.Failures)
				switch name {
				case "error":
					require.Equal(t, boom, s.Last)
				case "panic":
					var pe *remediate.PanicError
					require.ErrorAs(t, s.Last, &pe)
					require.Contains(t, string(pe.Stack), "TestPoolBringsFailedWorkersBack")
				case "goexit":
					require.ErrorContains(t, s.Last, "Goexit")
				}
				require.NoError(t, p.Resize(1)) // the failing one leaves in its pause
				synctest.Wait()
				require.Equal(t, 1, p.State().Running)
				stop()
			})
		})
	}
}

func TestPoolScalesUpAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := queue.NewPool(queue.PoolOptions{Size: 3, Max: 10, Work: idle})
		require.ErrorIs(t, p.ScaleUp(t.Context(), request("early")), remediate.ErrSkip)
		running(t, p)
		do(t, p.ScaleUp, "a")
		require.Equal(t, 6, p.State().Target)
		do(t, p.ScaleUp, "a") // the same key again
		require.Equal(t, 6, p.State().Target)
		require.NoError(t, p.Resize(7))
		require.Equal(t, 7, p.State().Target, "more than the hold asks for")
		require.NoError(t, p.Resize(5))
		require.Equal(t, 6, p.State().Target)
		do(t, p.ScaleUp, "b")
		require.Equal(t, 10, p.State().Target)
		require.ErrorIs(t, p.ScaleUp(t.Context(), request("c")), remediate.ErrSkip)
		do(t, p.ScaleBack, "c")
		do(t, p.ScaleBack, "a")
		require.Equal(t, 10, p.State().Target, "b still needs them")
		require.NoError(t, p.Resize(4))
		do(t, p.ScaleBack, "b")
		synctest.Wait()
		require.Equal(t, queue.PoolState{Target: 4, Running: 4}, p.State(), "back to what was asked for meanwhile")
		cancelled, cancel := context.WithCancelCause(t.Context())
		cancel(remediate.ErrStopping)
		require.ErrorIs(t, p.ScaleUp(cancelled, request("d")), remediate.ErrStopping)
	})
}

func TestPoolGrowsByOneAtLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := queue.NewPool(queue.PoolOptions{Size: 2, Max: 4, Grow: 1, Work: idle})
		running(t, p)
		do(t, p.ScaleUp, "a")
		require.Equal(t, 3, p.State().Target)
		huge := queue.NewPool(queue.PoolOptions{Size: 2, Max: 4, Grow: math.MaxFloat64, Work: idle})
		running(t, huge)
		do(t, huge.ScaleUp, "a")
		require.Equal(t, 4, huge.State().Target)
	})
}

func TestPoolOptions(t *testing.T) {
	for want, o := range map[string]queue.PoolOptions{
		"Work is nil":      {},
		"Min -1":           {Work: idle, Min: -1},
		"is less than Min": {Work: idle, Min: 3, Max: 2, Size: 3},
		"Size is 9":        {Work: idle, Size: 9, Max: 4},
		"Grow is 0.5":      {Work: idle, Grow: 0.5},
		"Grow is NaN":      {Work: idle, Grow: math.NaN()},
		"Restart":          {Work: idle, Restart: remediate.Backoff{Initial: -1}},
	} {
		p := queue.NewPool(o)
		require.ErrorContains(t, p.Validate(), want)
		require.ErrorContains(t, p.Run(t.Context()), want)
		require.ErrorContains(t, p.ScaleUp(t.Context(), request("i")), want)
		require.ErrorContains(t, p.Resize(1), want)
		require.NoError(t, p.ScaleBack(t.Context(), request("i")))
	}
}

func TestScaleUpIsAStep(t *testing.T) {
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
		p := queue.NewPool(queue.PoolOptions{Size: 2, Max: 8, Work: idle})
		running(t, p)
		return selfhealtest.StepFixture{
			Step: remediate.Step{Name: "scale-workers", Run: p.ScaleUp, Undo: p.ScaleBack, Risk: remediate.Safe},
			State: func() string {
				for {
					if s := p.State(); s.Running == s.Target {
						return string(rune('0' + s.Running))
					}
					time.Sleep(ms)
				}
			},
			Inapplicable: func() { _ = p.Resize(8) },
		}
	})
}
