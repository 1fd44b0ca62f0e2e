package detect_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

// feed gives d one reading a gap.
func feed(t *testing.T, d detect.Detector, g *gauge[float64], gap time.Duration, values ...float64) (last []string) {
	t.Helper()
	for _, v := range values {
		time.Sleep(gap)
		g.v = v
		last = summaries(t, d)
	}
	return last
}

func ramp(from, step float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = from + step*float64(i)
	}
	return out
}

func TestExhaustionAsksForLevelAndSlope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge[float64]{}
		d := detect.Exhaustion(detect.ExhaustionOptions{Read: g.read, Limit: 100, Level: 60, Unit: "GB"})
		valid(t, d)
		assert.Empty(t, feed(t, d, g, time.Minute, ramp(0, 1, 61)...), "growing, but far from full")
		assert.Equal(t, []string{"61 GB will reach 100 in 39m"}, feed(t, d, g, time.Minute, 61))
		f := one(t, d)
		assert.Equal(t, detect.Critical, f.Severity, "within a sixth of four hours")
		assert.Equal(t, 61.0, f.Value)
		assert.Equal(t, 100.0, f.Limit)
		assert.Equal(t, "GB", f.Unit)
		assert.InDelta(t, 60, f.Evidence[0].Value.Float64(), 1e-6)

		assert.Empty(t, feed(t, d, g, time.Minute, ramp(61, 0, 60)...), "nearly full for an hour, but not growing")
	})
}

func TestExhaustionWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge[float64]{}
		d := detect.Exhaustion(detect.ExhaustionOptions{Read: g.read, Limit: 100, Level: 60, Within: 2 * time.Hour})
		assert.Empty(t, feed(t, d, g, time.Minute, ramp(60, 0.1, 280)...), "full in two hours and a minute")
		assert.Equal(t, []string{"88 will reach 100 in 2h"}, feed(t, d, g, time.Minute, 88))
		assert.Equal(t, detect.Warning, one(t, d).Severity)
	})
}

func TestExhaustionOfWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge[float64]{}
		d := detect.Exhaustion(detect.ExhaustionOptions{Read: g.read, Limit: 0, Level: 40, Critical: -1})
		valid(t, d)
		last := feed(t, d, g, time.Minute, ramp(60, -0.25, 100)...)
		assert.Equal(t, []string{"35.25 will reach 0 in 2h21m"}, last)
		assert.Equal(t, detect.Warning, one(t, d).Severity)
		assert.Equal(t, []string{"0 has reached 0"}, feed(t, d, g, time.Minute, 0))
		assert.Equal(t, detect.Warning, one(t, d).Severity, "-1: never critical")
		assert.Empty(t, feed(t, d, g, time.Minute, 70), "what was freed is free")
	})
}

func TestExhaustionIsFullWhateverTheSlope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge[float64]{v: 100}
		d := detect.Exhaustion(detect.ExhaustionOptions{Read: g.read, Limit: 100, Level: 60})
		assert.Equal(t, detect.Finding{Severity: detect.Critical, Summary: "100 has reached 100", Value: 100, Limit: 100}, one(t, d))
		assert.Equal(t, []string{"101 has reached 100"}, feed(t, d, g, time.Minute, 101))
	})
}

func TestExhaustionIsNotFooledBySteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge[float64]{}
		d := detect.Exhaustion(detect.ExhaustionOptions{Read: g.read, Limit: 100, Level: 60})
		feed(t, d, g, time.Minute, ramp(50, 0.01, 60)...)
		for range 60 {
			assert.Empty(t, feed(t, d, g, time.Minute, 80), "one large file is no trend")
		}
		// A clean-up must not hide that it fills again.
		feed(t, d, g, time.Minute, ramp(80, 0.3, 40)...)
		assert.NotEmpty(t, summaries(t, d))
		assert.Empty(t, feed(t, d, g, time.Minute, 62), "cleaned up, though still above the level")
		assert.NotEmpty(t, feed(t, d, g, time.Minute, ramp(62, 0.3, 16)...))
	})
}

func TestExhaustionNeedsMoreThanNoise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge[float64]{}
		d := detect.Exhaustion(detect.ExhaustionOptions{Read: g.read, Limit: 100, Level: 60})
		assert.Empty(t, feed(t, d, g, time.Minute, ramp(70, 1, 15)...), "a quarter of the window is not over")
		assert.NotEmpty(t, feed(t, d, g, time.Minute, 85, 86))
	})
}

func TestExhaustionBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gauge[float64]{}
		d := detect.Exhaustion(detect.ExhaustionOptions{Read: g.read, Limit: 100, Level: 60})
		feed(t, d, g, time.Minute, ramp(60, 0.5, 30)...)
		for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			g.v = v
			blind(t, d)
		}
		g.err = errors.New("no statfs")
		require.ErrorIs(t, blind(t, d), g.err)
		g.err = nil
		assert.Equal(t, []string{"75 will reach 100 in 50m"}, feed(t, d, g, time.Minute, 75), "a blind look is not part of the line")
	})
}

func TestExhaustionValidate(t *testing.T) {
	g := &gauge[float64]{}
	msg := invalid(t, detect.Exhaustion(detect.ExhaustionOptions{Limit: 5, Level: 5, Within: -1, Critical: -2, Window: -1}))
	for _, want := range []string{"no Read", "equals its limit", "Within", "Critical", "window"} {
		assert.Contains(t, msg, want)
	}
	assert.Contains(t, invalid(t, detect.Exhaustion(detect.ExhaustionOptions{Read: g.read, Limit: math.NaN()})), "not finite")
	assert.Contains(t, invalid(t, detect.Exhaustion(detect.ExhaustionOptions{Read: g.read, Limit: 1, Window: time.Millisecond})), "window")
}

// FuzzExhaustion: whatever is read, the answer is an error or a sound finding,
// and never one on the healthy side of the level.
func FuzzExhaustion(f *testing.F) {
	f.Add(100.0, 60.0, 50.0, 70.0, 90.0, 1.0)
	f.Add(0.0, 40.0, 50.0, 30.0, 10.0, -1.0)
	f.Add(math.MaxFloat64, 0.0, -math.MaxFloat64, 1e300, 1e308, 1e305)
	f.Fuzz(func(t *testing.T, limit, level, a, b, c, step float64) {
		synctest.Test(t, func(t *testing.T) {
			g := &gauge[float64]{}
			d := detect.Exhaustion(detect.ExhaustionOptions{Read: g.read, Limit: limit, Level: level, Window: time.Minute})
			sound := d.(detect.Validator).Validate() == nil
			for i := range 80 {
				time.Sleep(time.Second)
				g.v = []float64{a, b, c}[i%3] + float64(i)*step
				found, err := d.Detect(context.Background())
				if !sound || math.IsNaN(g.v) || math.IsInf(g.v, 0) {
					require.Error(t, err)
				}
				if err != nil {
					require.Empty(t, found)
					continue
				}
				rising := limit > level
				reached := g.v == limit || rising == (g.v > limit)
				if reached {
					require.Len(t, found, 1)
				}
				if len(found) == 0 {
					continue
				}
				require.Equal(t, g.v, found[0].Value)
				require.True(t, reached || g.v != level && rising == (g.v > level))
				require.NotContains(t, found[0].Summary, "NaN")
				require.NotContains(t, found[0].Summary, "in -")
			}
		})
	})
}
