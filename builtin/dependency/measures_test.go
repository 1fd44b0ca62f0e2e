package dependency

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func TestTheMeasuresAreSteps(t *testing.T) {
	for name, run := range map[string]func(*Client) remediate.Action{
		"break":           func(c *Client) remediate.Action { return c.Break },
		"cut-concurrency": func(c *Client) remediate.Action { return c.Cut },
		"stop-retries":    func(c *Client) remediate.Action { return c.StopRetries },
	} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
				c := NewClient(ClientOptions{Name: "payments"})
				return selfhealtest.StepFixture{
					Step: remediate.Step{Name: name, Run: run(c), Undo: c.Restore, Risk: remediate.Disruptive},
					State: func() string {
						s := c.Status()
						return fmt.Sprint(s.Broken, s.Cut, s.Muted)
					},
					Inapplicable: func() {
						other := request("other")
						require.NoError(t, run(c)(t.Context(), other))
					},
				}
			})
		})
	}
}

func TestBreakSparesWhatWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{Name: "payments"})
		require.NoError(t, c.Do(t.Context(), works))
		err := c.Break(t.Context(), request("break"))
		assert.ErrorIs(t, err, remediate.ErrSkip)
		assert.ErrorContains(t, err, `client "payments": its calls work: 1 of 1 within 10s`)
		time.Sleep(time.Minute)
		require.NoError(t, c.Break(t.Context(), request("break")))
		assert.ErrorIs(t, c.Do(t.Context(), works), ErrOpen)
		assert.True(t, c.Status().Broken)
		assert.False(t, c.health().sick, "it is held, and nobody knows how its calls would end")

		time.Sleep(time.Hour)
		require.NoError(t, c.Restore(t.Context(), request("break")))
		assert.Equal(t, HalfOpen, c.Status().State, "the way back begins with one call")
		_ = c.Do(t.Context(), fails)
		assert.Equal(t, "the first call that was let through failed", c.Status().Why)
		assert.True(t, c.health().sick)

		assert.ErrorIs(t, c.Break(t.Context(), request("break")), remediate.ErrSkip, "open already")
	})
}

// After a cut no more calls are under way than it allows, and beyond that they
// come back in a ramp.
func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{CutTo: 4})
		var wg sync.WaitGroup
		burst := func() (passed int) {
			var mu sync.Mutex
			for range 400 {
				wg.Go(func() {
					if c.Do(t.Context(), takes(time.Second)) == nil {
						mu.Lock()
						passed++
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			return passed
		}
		require.Equal(t, 400, burst())
		require.NoError(t, c.Cut(t.Context(), request("cut")))
		require.Equal(t, 4, burst())
		wg.Go(func() { _ = c.Do(t.Context(), takes(time.Minute)) })
		synctest.Wait()
		require.Equal(t, 3, burst(), "a call that runs from before counts")
		time.Sleep(time.Minute)
		assert.ErrorIs(t, func() error {
			for range 4 {
				wg.Go(func() { _ = c.Do(t.Context(), takes(time.Second)) })
			}
			synctest.Wait()
			return c.Do(t.Context(), works)
		}(), ErrBusy)
		wg.Wait()
		require.NoError(t, c.Restore(t.Context(), request("cut")))
		require.Less(t, burst(), 20)
		time.Sleep(c.uncut.length / 2)
		require.InDelta(t, 200, burst(), 60)
		time.Sleep(c.uncut.length / 2)
		require.Equal(t, 400, burst())
	})
}

func TestStopRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClient(ClientOptions{Retry: remediate.Backoff{Tries: 3}})
		require.NoError(t, c.StopRetries(t.Context(), request("mute")))
		made := 0
		_ = c.Do(t.Context(), func(context.Context) error { made++; return errDown })
		assert.Equal(t, 1, made)
		assert.False(t, c.TakeRetry())
		require.NoError(t, c.Restore(t.Context(), request("mute")))
		assert.True(t, c.TakeRetry())
	})
}

func TestMeasuresAreBounded(t *testing.T) {
	c := NewClient(ClientOptions{})
	for i := range maxHolds {
		c.holds[fmt.Sprint(i)] = measureCut
	}
	assert.ErrorContains(t, c.Cut(t.Context(), request("cut")), "undo some")
	assert.ErrorContains(t, NewClient(ClientOptions{CutTo: -1}).Cut(t.Context(), request("cut")), "CutTo")
}

func TestTheStatusReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tripped(t, ClientOptions{})
		require.NoError(t, c.Cut(t.Context(), request("cut")))
		require.NoError(t, c.StopRetries(t.Context(), request("mute")))
		assert.Equal(t, "breaker open, 5 calls failed or hung in a row, concurrency cut, retries stopped", c.Status().String())
		untilHalfOpen(t, c)
		require.NoError(t, c.Do(t.Context(), works))
		assert.True(t, strings.HasPrefix(c.Status().String(), "breaker returning, 10% of the calls pass, "), c.Status().String())
		text, err := c.Status().State.MarshalText()
		assert.NoError(t, err)
		assert.Equal(t, "returning", string(text))
		assert.Equal(t, "state(9)", State(9).String())
	})
}
