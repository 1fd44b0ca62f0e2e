package dependency

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The traps that breakers of others fell into, each a test.

func TestHalfOpenLetsOneOfAHundredIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tripped(t, ClientOptions{Name: "payments"})
		untilHalfOpen(t, c)
		var made, refused atomic.Int64
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				err := c.Do(t.Context(), func(ctx context.Context) error {
					made.Add(1)
					return takes(time.Second)(ctx)
				})
				if errors.Is(err, ErrOpen) {
					refused.Add(1)
				}
			})
		}
		wg.Wait()
		assert.EqualValues(t, 1, made.Load())
		assert.EqualValues(t, 99, refused.Load())
		assert.Equal(t, Returning, c.Status().State)
	})
}

// Twelve failures of twelve, one a second and over the edges of any fixed
// interval, and as many at a rate at which no window ever holds MinCalls.
func TestNoFixedIntervalClearsTheCount(t *testing.T) {
	for _, every := range []time.Duration{700 * time.Millisecond, 3 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			c := NewClient(ClientOptions{})
			made := 0
			for range 12 {
				_ = c.Do(t.Context(), func(context.Context) error { made++; return errDown })
				if c.Status().Trips > 0 {
					break
				}
				time.Sleep(every)
			}
			assert.Equal(t, defaultInARow, made, "one failure every %v", every)
			assert.EqualValues(t, 1, c.Status().Trips, "one failure every %v", every)
		})
	}
}

// The window slides: what is older than it does not count, and what is younger
// does, wherever the failures lie.
func TestTheWindowSlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{})
		for range 100 {
			require.NoError(t, c.Do(t.Context(), works))
		}
		time.Sleep(6 * time.Second)
		for range 60 {
			_ = c.Do(t.Context(), fails)
		}
		require.Equal(t, Closed, c.Status().State, "60 of 160 failed")
		time.Sleep(6 * time.Second) // the good ones are 12 s old, the bad ones 6 s
		require.EqualValues(t, 60, c.Status().Calls)
		_ = c.Do(t.Context(), fails)
		assert.Equal(t, Open, c.Status().State)
		assert.Equal(t, "61 of 61 calls failed within 10s", c.Status().Why)
	})
}

// 0.14 % of errors must not become an outage, and neither must a blip of 50
// failures in a row.
func TestABlipAtAHighRateIsHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{})
		for i := range 60_000 { // 1,000 a second for a minute
			call := works
			if i%714 == 0 || i >= 30_000 && i < 30_050 {
				call = fails
			}
			err := c.Do(t.Context(), call)
			if errors.Is(err, ErrRefused) {
				t.Fatalf("call %d was refused: %v", i, c.Status())
			}
			time.Sleep(time.Millisecond)
		}
		assert.Zero(t, c.Status().Trips)
	})
}

// 1,000 calls a second that hang for 30 s: the breaker knows after Slow, not after
// 30 s and 30,000 calls.
func TestCallsInFlightCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{Slow: time.Second})
		began := time.Now()
		var wg sync.WaitGroup
		made := 0
		for c.Status().Trips == 0 {
			made++
			wg.Go(func() { _ = c.Do(t.Context(), takes(30*time.Second)) })
			time.Sleep(time.Millisecond)
			require.Less(t, time.Since(began), 30*time.Second, "the first calls return")
		}
		took := time.Since(began)
		assert.GreaterOrEqual(t, took, time.Second, "nothing is slow before its time")
		assert.LessOrEqual(t, took, 1300*time.Millisecond)
		assert.LessOrEqual(t, made, 1300)
		assert.Contains(t, c.Status().Why, "of them are still under way")
		assert.InDelta(t, made, c.Status().InFlight, 1)
		wg.Wait()
		assert.Zero(t, c.Status().InFlight)
	})
}

// Nobody calls, and what people are shown is true all the same.
func TestTheStatusIsNeverStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tripped(t, ClientOptions{})
		s := c.Status()
		require.Equal(t, Open, s.State)
		time.Sleep(s.TryIn - 1)
		assert.Equal(t, Open, c.Status().State)
		time.Sleep(time.Nanosecond)
		assert.Equal(t, HalfOpen, c.Status().State)
		require.NoError(t, c.Do(t.Context(), works))
		assert.Equal(t, Returning, c.Status().State)
		time.Sleep(2 * defaultRamp)
		assert.Equal(t, Closed, c.Status().State)
		assert.Equal(t, "breaker closed", c.Status().String())
	})
}

func TestAPanicGivesThePermitBack(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("no") }, "goexit": runtime.Goexit} {
		synctest.Test(t, func(t *testing.T) {
			c := tripped(t, ClientOptions{})
			untilHalfOpen(t, c)
			var wg sync.WaitGroup
			wg.Go(func() {
				defer func() { _ = recover() }()
				_ = c.Do(t.Context(), func(context.Context) error { end(); return nil })
			})
			wg.Wait()
			s := c.Status()
			require.Equal(t, HalfOpen, s.State, name)
			require.Zero(t, s.InFlight, name)
			require.NoError(t, c.Do(t.Context(), works), "%s: the permit is lost", name)
			assert.Equal(t, Returning, c.Status().State, name)
		})
	}
}

func TestAPanicWhileClosedIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{})
		for range 100 {
			assert.Panics(t, func() { _ = c.Do(t.Context(), func(context.Context) error { panic("ours") }) })
		}
		s := c.Status()
		assert.Equal(t, Closed, s.State)
		assert.Zero(t, s.Calls)
		assert.Zero(t, s.InFlight)
	})
}

// A call that is let through to try and hangs must not be the last one.
func TestATrialThatHangsIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tripped(t, ClientOptions{})
		untilHalfOpen(t, c)
		hang := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { _ = c.Do(t.Context(), func(context.Context) error { <-hang; return nil }) })
		synctest.Wait()
		require.ErrorIs(t, c.Do(t.Context(), works), ErrOpen)
		time.Sleep(defaultSlow)
		require.Contains(t, []State{Open, HalfOpen}, c.Status().State)
		time.Sleep(defaultMaxOpen)
		require.NoError(t, c.Do(t.Context(), works), "the next trial")
		require.Equal(t, Returning, c.Status().State)
		close(hang)
		wg.Wait()
		assert.Equal(t, Returning, c.Status().State, "what comes too late decides nothing")
	})
}

// The share of failures grows by a percent every ten seconds. Whoever learns what
// is normal learns this, too.
func TestNothingIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{})
		for percent := range 100 {
			for i := range 1000 {
				call := works
				if i%100 < percent {
					call = fails
				}
				if errors.Is(c.Do(t.Context(), call), ErrRefused) {
					assert.InDelta(t, 50, percent, 5)
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		t.Fatal("it never tripped")
	})
}

// A thousand clients lose the same dependency at the same instant.
func TestNothingComesBackInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		tries, ends := map[int64]int{}, map[int64]int{}
		for range n {
			c := tripped(t, ClientOptions{InARow: 1})
			s := c.Status()
			require.Positive(t, s.TryIn)
			require.LessOrEqual(t, s.TryIn, defaultOpenFor)
			tries[int64(20*s.TryIn/defaultOpenFor)]++
			c.breaker.back(0, &c.o)
			require.GreaterOrEqual(t, c.breaker.ramp.length, defaultRamp)
			require.LessOrEqual(t, c.breaker.ramp.length, 2*defaultRamp)
			ends[int64(20*(c.breaker.ramp.length-defaultRamp)/defaultRamp)]++
		}
		for _, spread := range []map[int64]int{tries, ends} {
			for part, many := range spread {
				assert.Less(t, many, 3*n/20, "in part %d of 20: %v", part, spread)
			}
			assert.GreaterOrEqual(t, len(spread), 20)
		}
	})
}

func TestTheWayBackIsARamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tripped(t, ClientOptions{})
		untilHalfOpen(t, c)
		require.NoError(t, c.Do(t.Context(), works))
		length := c.breaker.ramp.length
		var last float64
		for tenth := range 10 {
			passed := 0
			for range 2000 {
				switch err := c.Do(t.Context(), works); {
				case err == nil:
					passed++
				default:
					require.ErrorIs(t, err, ErrReturning)
				}
			}
			want := 0.1 + 0.9*float64(tenth)/10
			share := float64(passed) / 2000
			assert.InDelta(t, want, share, 0.05, "after %d tenths of the ramp", tenth)
			assert.Greater(t, share, last-0.02)
			last = share
			time.Sleep(length/10 + 1)
		}
		assert.Equal(t, Closed, c.Status().State)
	})
}

func TestARelapseWaitsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tripped(t, ClientOptions{OpenFor: time.Second, MaxOpen: 8 * time.Second})
		longest := time.Second
		for n := range 6 {
			s := c.Status()
			require.Equal(t, n, s.Relapses)
			require.LessOrEqual(t, s.TryIn, longest)
			require.Equal(t, n, c.breaker.level, "how often the pause was doubled")
			untilHalfOpen(t, c)
			require.NoError(t, c.Do(t.Context(), works))
			require.Equal(t, Returning, c.Status().State)
			trip(t, c)
			longest = min(2*longest, 8*time.Second)
		}
		untilHalfOpen(t, c)
		require.NoError(t, c.Do(t.Context(), works))
		time.Sleep(2 * defaultRamp)
		s := c.Status()
		assert.Equal(t, Closed, s.State)
		assert.Zero(t, s.Relapses, "what is closed has come back")
	})
}

// Calls that gave up themselves say nothing, unless they gave up because it took
// too long.
func TestWhoGivesUpSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{})
		for range 100 {
			_ = c.Do(t.Context(), func(context.Context) error { return context.Canceled })
		}
		require.Zero(t, c.Status().Calls)
		p, err := c.Acquire(t.Context())
		require.NoError(t, err)
		time.Sleep(6 * time.Second)
		p.Done(Ignored)
		require.EqualValues(t, 1, c.Status().Calls)
		require.EqualValues(t, 1, c.Status().Slow)
		time.Sleep(time.Minute)
		var wg sync.WaitGroup
		for range defaultMinCalls {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(6*time.Second, cancel)
				_ = c.Do(ctx, takes(time.Hour))
			})
		}
		wg.Wait()
		assert.EqualValues(t, 1, c.Status().Trips)
		assert.Contains(t, c.Status().Why, "took 5s or more")
	})
}

// Expired work takes nobody's turn when the dependency comes back.
func TestExpiredWorkIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tripped(t, ClientOptions{})
		untilHalfOpen(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := c.Do(ctx, func(context.Context) error { t.Error("it was called"); return nil })
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, ErrRefused)
		require.NoError(t, c.Do(t.Context(), works))
	})
}

// Enough calls are judged by their rates alone: a row of failures beside calls
// that work and some that hang is below both.
func TestRatesAreJudgedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{Slow: time.Second})
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() { _ = c.Do(t.Context(), takes(3*time.Second)) })
		}
		for range 16 {
			require.NoError(t, c.Do(t.Context(), works))
		}
		time.Sleep(2 * time.Second)
		for range 12 {
			_ = c.Do(t.Context(), fails)
		}
		s := c.Status()
		assert.EqualValues(t, []int64{40, 12, 12}, []int64{s.Calls, s.Failed, s.Slow})
		assert.Zero(t, s.Trips)
		wg.Wait()
	})
}

// Half-open, and nobody comes to try: after a while nobody is harmed any more.
func TestABreakerThatNobodyNeedsIsNotSick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tripped(t, ClientOptions{})
		d := Down(Options{Targets: []Target{{Name: "payments", Client: c}}}).Detector
		untilHalfOpen(t, c)
		require.Len(t, look(t, d), 1)
		time.Sleep(defaultMaxOpen)
		require.Len(t, look(t, d), 1)
		time.Sleep(time.Nanosecond)
		require.Empty(t, look(t, d))
		_ = c.Do(t.Context(), fails)
		require.Len(t, look(t, d), 1)
	})
}
