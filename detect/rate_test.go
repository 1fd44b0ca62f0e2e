package detect_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

func TestRateFindsAFastCounter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge[float64]{v: 1e9} // what it counted before is no increase
		d := detect.Rate(detect.RateOptions{Read: g.read, Limit: 10, Clear: 5, Critical: 18, Unit: "errors"})
		valid(t, d)
		assert.Empty(t, summaries(t, d))
		grow := func(n int, perSecond float64) (last []string) {
			for range n {
				time.Sleep(time.Second)
				g.v += perSecond
				last = summaries(t, d)
			}
			return last
		}
		assert.Empty(t, grow(120, 10), "at the limit")
		assert.Equal(t, []string{"12.5 errors/s is above 10"}, grow(60, 12.5))
		assert.Equal(t, detect.Finding{Summary: "12.5 errors/s is above 10", Value: 12.5, Limit: 10, Unit: "errors/s"}, one(t, d))
		grow(60, 20)
		assert.Equal(t, detect.Critical, one(t, d).Severity)
		assert.Equal(t, []string{"7 errors/s is not yet below 5"}, grow(60, 7))
		assert.Empty(t, grow(60, 4))
	})
}

func TestRateAccusesLateNotEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge[float64]{}
		d := detect.Rate(detect.RateOptions{Read: g.read, Limit: 10})
		first := 0
		summaries(t, d)
		for i := 1; i <= 60 && first == 0; i++ {
			time.Sleep(time.Second)
			g.v += 30
			if len(summaries(t, d)) > 0 {
				first = i
			}
		}
		assert.Equal(t, 21, first, "30/s exceeds what 10/s give in a minute after 20 s")
	})
}

// 0 1 2 3 2 3 4 grew by 7, as in Prometheus' tests.
func TestRateAddsWhatARestartHid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge[float64]{}
		d := detect.Rate(detect.RateOptions{Read: g.read, Limit: 0, Window: 7 * time.Minute})
		for _, v := range []float64{0, 1, 2, 3, 2, 3, 4} {
			g.v = v
			_ = summaries(t, d)
			time.Sleep(time.Minute)
		}
		assert.InDelta(t, 7.0/420, one(t, d).Value, 1e-12)
	})
}

func TestRateOfZeroFindsAnyIncrease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge[float64]{v: 3}
		d := detect.Rate(detect.RateOptions{Read: g.read})
		assert.Empty(t, feed(t, d, g, time.Second, ramp(3, 0, 90)...))
		assert.NotEmpty(t, feed(t, d, g, time.Second, 4))
		assert.NotEmpty(t, feed(t, d, g, time.Second, ramp(4, 0, 59)...))
		assert.Empty(t, feed(t, d, g, time.Second, ramp(4, 0, 2)...), "a minute later it is over")
	})
}

func TestRateBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge[float64]{}
		d := detect.Rate(detect.RateOptions{Read: g.read, Limit: 10})
		feed(t, d, g, time.Second, ramp(0, 9, 60)...)
		for _, v := range []float64{math.NaN(), math.Inf(1), -1} {
			g.v = v
			blind(t, d)
		}
		g.err = errors.New("broken")
		require.ErrorIs(t, blind(t, d), g.err)
		g.err = nil
		// Nothing of it was learned: the next reading continues the old ones.
		assert.Empty(t, feed(t, d, g, time.Second, ramp(9*60, 9, 60)...))
		// After ten blind minutes the growth is spread over them.
		time.Sleep(10 * time.Minute)
		g.v += 600 * 9
		assert.Empty(t, summaries(t, d))
	})
}

func TestRateValidate(t *testing.T) {
	g := &gauge[float64]{}
	msg := invalid(t, detect.Rate(detect.RateOptions{Limit: -1, Window: -1}))
	for _, want := range []string{"no Read", "negative", "window"} {
		assert.Contains(t, msg, want)
	}
	assert.Contains(t, invalid(t, detect.Rate(detect.RateOptions{Read: g.read, Limit: 5, Clear: 6})), "clear level")
	assert.Contains(t, invalid(t, detect.Rate(detect.RateOptions{Read: g.read, Limit: math.NaN()})), "NaN")
}

// Two watches that share a counter must not take the older of two overlapping
// readings for a restart.
func TestRateReadingsThatOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		var d detect.Detector
		d = detect.Rate(detect.RateOptions{
			Limit: 10,
			Read: func(ctx context.Context) (float64, error) {
				calls++
				if calls == 2 { // somebody else looks while this look hangs
					time.Sleep(time.Second)
					found, err := d.Detect(ctx)
					assert.NoError(t, err)
					assert.Empty(t, found)
					return 1_000_000, nil
				}
				return 1_000_000 + float64(calls), nil
			},
		})
		for range 10 {
			assert.Empty(t, summaries(t, d))
			time.Sleep(time.Second)
		}
	})
}

func TestRateConcurrently(t *testing.T) {
	var n atomic.Int64
	n.Store(1 << 40)
	d := detect.Rate(detect.RateOptions{
		Read:  func(context.Context) (float64, error) { return float64(n.Add(1)), nil },
		Limit: 1e6,
	})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				if found, err := d.Detect(context.Background()); len(found) > 0 || err != nil {
					t.Error(found, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
