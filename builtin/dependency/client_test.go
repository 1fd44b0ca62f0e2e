package dependency

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/remediate"
)

func TestOptionsThatAreWrong(t *testing.T) {
	err := ClientOptions{
		Name: "a\nb", Window: -1, MinCalls: -1, InARow: -2, FailureRate: 2, SlowRate: -1, Slow: -2, OpenFor: -1,
		MaxOpen: -1, Ramp: -1, RetryBudget: 3, CutTo: -1, Retry: remediate.Backoff{Tries: -1},
	}.Validate()
	for _, field := range []string{"Name", "Window", "MinCalls", "InARow", "FailureRate", "SlowRate", "Slow ", "OpenFor", "MaxOpen", "Ramp", "RetryBudget", "CutTo", "Retry"} {
		assert.ErrorContains(t, err, "ClientOptions."+field)
	}
	assert.ErrorContains(t, ClientOptions{Slow: 6 * time.Second}.Validate(), "more than half of Window")
	assert.ErrorContains(t, ClientOptions{Window: time.Millisecond}.Validate(), "at least")
	assert.ErrorContains(t, ClientOptions{MaxOpen: time.Second}.Validate(), "shorter than OpenFor")
	assert.NoError(t, ClientOptions{}.Validate())
	assert.NoError(t, ClientOptions{InARow: -1, Slow: -1, RetryBudget: -1}.Validate())

	c := NewClient(ClientOptions{MinCalls: -1})
	assert.Error(t, c.Validate())
	for range 100 {
		assert.ErrorIs(t, c.Do(t.Context(), fails), errDown, "a client that is set up wrongly stands in nobody's way")
	}
}

func TestRefusedCallsAreServedDegraded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tripped(t, ClientOptions{Name: "payments", Degraded: func(_ context.Context, refused error) error {
			assert.ErrorIs(t, refused, ErrOpen)
			return nil
		}})
		assert.NoError(t, c.Do(t.Context(), fails))
		v, err := Get(t.Context(), c, func(context.Context) (string, error) { return "new", nil },
			func(_ context.Context, refused error) (string, error) { return "cached", nil })
		assert.NoError(t, err)
		assert.Equal(t, "cached", v)
		_, err = Get(t.Context(), c, func(context.Context) (string, error) { return "new", nil }, nil)
		assert.EqualError(t, err, "dependency: the call was refused: the breaker is open (payments)")
		time.Sleep(defaultOpenFor)
		v, err = Get(t.Context(), c, func(context.Context) (string, error) { return "new", nil }, nil)
		assert.NoError(t, err)
		assert.Equal(t, "new", v)
	})
}

// A hundred callers that each would try three times together make a tenth more
// calls, not three times as many.
func TestAllCallersShareOneRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{
			MinCalls: 1 << 30, InARow: -1, // no breaker: the budget alone
			Retry: remediate.Backoff{Tries: 3, Initial: 10 * time.Millisecond},
		})
		var mu sync.Mutex
		made := 0
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				for range 50 {
					_ = c.Do(t.Context(), func(context.Context) error {
						mu.Lock()
						made++
						mu.Unlock()
						return errDown
					})
					time.Sleep(time.Second)
				}
			})
		}
		wg.Wait()
		first := 100 * 50
		assert.LessOrEqual(t, made, first+first/10+10)
		assert.Greater(t, made, first+first/20, "the budget is there to be used")
		assert.EqualValues(t, made-first, c.Status().Retries)
	})
}

func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{Retry: remediate.Backoff{Tries: 3}})
		made := 0
		err := c.Do(t.Context(), func(context.Context) error {
			if made++; made == 1 {
				return errDown
			}
			return nil
		})
		assert.NoError(t, err, "one retry a window is always allowed")
		assert.Equal(t, 2, made)
		assert.False(t, c.TakeRetry(), "and one only")
		time.Sleep(11 * time.Second)
		assert.True(t, c.TakeRetry())

		refuse := errors.New("no such card")
		c = NewClient(ClientOptions{Retry: remediate.Backoff{Tries: 3}, Judge: func(err error) Outcome {
			if errors.Is(err, refuse) {
				return OK
			}
			return JudgeError(err)
		}})
		made = 0
		assert.ErrorIs(t, c.Do(t.Context(), func(context.Context) error { made++; return refuse }), refuse)
		assert.Equal(t, 1, made, "what is no failure is not repeated")

		c = NewClient(ClientOptions{Retry: remediate.Backoff{Tries: 3, Initial: time.Hour, Max: 3 * time.Hour}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		assert.ErrorIs(t, c.Do(ctx, fails), errDown)
		assert.LessOrEqual(t, time.Since(began), time.Second)

		c = NewClient(ClientOptions{Retry: remediate.Backoff{Tries: 3}, RetryBudget: -1})
		made = 0
		_ = c.Do(t.Context(), func(context.Context) error { made++; return errDown })
		assert.Equal(t, 1, made)
	})
}

// Slow calls trip, also such as are slow by less than a cell.
func TestSlowCalls(t *testing.T) {
	for _, slow := range []time.Duration{50 * time.Millisecond, time.Second, 5 * time.Second} {
		for _, took := range []struct {
			d     time.Duration
			trips bool
		}{{slow - slow/20, false}, {slow + slow/3, true}} {
			synctest.Test(t, func(t *testing.T) {
				c := NewClient(ClientOptions{Slow: slow})
				var wg sync.WaitGroup
				for range 30 {
					wg.Go(func() { _ = c.Do(t.Context(), takes(took.d)) })
					time.Sleep(time.Millisecond)
				}
				wg.Wait()
				assert.Equal(t, took.trips, c.Status().Trips == 1, "slow is %v, they took %v: %v", slow, took.d, c.Status())
			})
		}
	}
}

// Without Slow a call that fails after longer than the window still counts.
func TestAFailureThatTookLongerThanTheWindowCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{Slow: -1})
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				_ = c.Do(t.Context(), func(context.Context) error { time.Sleep(30 * time.Second); return errDown })
			})
		}
		time.Sleep(29 * time.Second)
		require.EqualValues(t, 30, c.Status().InFlight)
		require.Zero(t, c.Status().Trips)
		wg.Wait()
		s := c.Status()
		assert.EqualValues(t, 1, s.Trips)
		assert.Zero(t, s.InFlight)
	})
}

// What was seen while this process stood still is not held against others.
func TestStarvedReadingsAreDropped(t *testing.T) {
	for _, late := range []time.Duration{starvedAfter / 2, 2 * starvedAfter} {
		synctest.Test(t, func(t *testing.T) {
			c := NewClient(ClientOptions{Slow: time.Second})
			hang := make(chan struct{})
			var wg sync.WaitGroup
			for range 30 {
				wg.Go(func() { _ = c.Do(t.Context(), func(context.Context) error { <-hang; return nil }) })
			}
			time.Sleep(1100 * time.Millisecond)
			c.mu.Lock() // as if the timer had been due so long ago
			c.next -= late
			c.mu.Unlock()
			time.Sleep(200 * time.Millisecond)
			starved := late > starvedAfter
			assert.Equal(t, starved, c.Status().Starved == 1)
			assert.Equal(t, !starved, c.Status().Trips == 1)
			close(hang)
			wg.Wait()
		})
	}
}

// A client that nobody uses costs nothing, and counts again at the next call.
func TestTheTimerStopsWhenThereIsNothingToCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{})
		require.NoError(t, c.Do(t.Context(), works))
		require.NotNil(t, c.fast.Load())
		time.Sleep(defaultWindow + 2*time.Second)
		c.mu.Lock()
		ticking := c.ticking
		c.mu.Unlock()
		assert.False(t, ticking)
		assert.Nil(t, c.fast.Load())

		// A call that began in the instant in which it stopped is not lost.
		c.window.cells[len(c.window.cells)-1].begun.Add(1)
		c.notice()
		require.NotNil(t, c.fast.Load())
		time.Sleep(defaultSlow + 2*time.Second)
		require.EqualValues(t, 1, c.Status().Overdue)
		for range defaultMinCalls {
			_ = c.Do(t.Context(), fails)
		}
		assert.EqualValues(t, 1, c.Status().Trips)
	})
}

// What the status counts is what a list of all calls says.
func TestTheWindowAgreesWithAListOfCalls(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			c := NewClient(ClientOptions{MinCalls: 1 << 30, InARow: -1, Slow: time.Second})
			type call struct {
				p      Permit
				began  time.Time
				ended  time.Time
				failed bool
			}
			var all []*call
			for range 600 {
				switch r.IntN(3) {
				case 0:
					p, err := c.Acquire(t.Context())
					require.NoError(t, err)
					all = append(all, &call{p: p, began: time.Now()})
				case 1:
					open := slices.DeleteFunc(slices.Clone(all), func(x *call) bool { return !x.ended.IsZero() })
					if len(open) > 0 {
						x := open[r.IntN(len(open))]
						x.failed, x.ended = r.IntN(2) == 0, time.Now()
						o := OK
						if x.failed {
							o = Failure
						}
						x.p.Done(o)
					}
				default:
					time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond)
					synctest.Wait()
				}
				s := c.Status()
				// A cell is 125 ms long: what is near an edge may be on either side.
				const edge = 260 * time.Millisecond
				under, least, most := int64(0), int64(0), int64(0)
				for _, x := range all {
					age := time.Since(x.began)
					counts := age
					switch {
					case x.ended.IsZero():
						under++
						if age > time.Second && age < defaultWindow+edge {
							most++
							if age > time.Second+edge && age < defaultWindow-edge {
								least++
							}
						}
						continue
					case x.ended.Sub(x.began) > defaultWindow-edge:
						counts = time.Since(x.ended) // it left the window under way
						if x.ended.Sub(x.began) < defaultWindow+edge {
							counts = min(counts, age)
						}
					}
					if counts < defaultWindow+edge {
						most++
					}
					if counts < defaultWindow-edge && x.ended.Sub(x.began) < defaultWindow-edge {
						least++
					}
				}
				require.Equal(t, under, s.InFlight)
				require.GreaterOrEqual(t, s.Calls, least)
				require.LessOrEqual(t, s.Calls, most)
				require.LessOrEqual(t, s.Failed, s.Calls)
				require.LessOrEqual(t, s.Slow, s.Calls)
			}
			for _, x := range all {
				if x.ended.IsZero() {
					x.p.Done(OK)
				}
			}
		})
	}
}

func TestAHealthyCallAllocatesNothing(t *testing.T) {
	c := NewClient(ClientOptions{})
	ctx := context.Background()
	_ = c.Do(ctx, works)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _ = c.Do(ctx, works) }))
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		p, _ := c.Acquire(ctx)
		p.Done(OK)
	}))
	for c.Status().State != Open {
		_ = c.Do(ctx, fails)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = c.Do(ctx, works) }), "refused")
}

// From many goroutines, with failures, panics, measures and readers in between.
func TestManyCallersAtOnce(t *testing.T) {
	c := NewClient(ClientOptions{
		Window: 200 * time.Millisecond, OpenFor: 5 * time.Millisecond, MaxOpen: 20 * time.Millisecond, Ramp: 10 * time.Millisecond,
		Retry: remediate.Backoff{Tries: 2, Initial: time.Millisecond},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 7))
			for ctx.Err() == nil {
				func() {
					defer func() { _ = recover() }()
					_ = c.Do(context.Background(), func(context.Context) error {
						switch r.IntN(20) {
						case 0:
							panic("no")
						case 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15:
							return errDown
						case 9:
							time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond)
						}
						return nil
					})
				}()
			}
		})
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			for _, a := range []remediate.Action{c.Break, c.Cut, c.StopRetries} {
				_ = a(ctx, request("x"))
				_ = c.Status().String()
				_ = c.Restore(ctx, request("x"))
			}
			time.Sleep(time.Millisecond)
		}
	})
	wg.Wait()
	s := c.Status()
	assert.Zero(t, s.InFlight)
	assert.False(t, s.Broken || s.Cut || s.Muted)
	assert.Positive(t, s.Trips)
}
