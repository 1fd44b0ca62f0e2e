package goruntime

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func from(n int, f func(i int) float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = f(i)
	}
	return v
}

func TestWhatRisesAllTheTimeIsSustained(t *testing.T) {
	jump := func(at int) []float64 {
		return from(points, func(i int) float64 {
			if i >= at {
				return 500
			}
			return 10
		})
	}
	for name, c := range map[string]struct {
		v  []float64
		ok bool
	}{
		"leak":                {from(points, func(i int) float64 { return 10 + 3*float64(i) }), true},
		"leak that speeds":    {from(points, func(i int) float64 { return float64(20 + 4*i + i*i/4) }), true},
		"leak under bursts":   {from(points, func(i int) float64 { return 10 + 5*float64(i) + 1000*float64(i%4/3) }), true},
		"flat":                {from(points, func(int) float64 { return 10 }), false},
		"burst at the end":    {from(points, func(i int) float64 { return 10 + 900*float64(i/13) }), false},
		"early jump":          {jump(2), false},
		"middle jump":         {jump(7), false},
		"late jump":           {jump(12), false},
		"breathing":           {from(points, func(i int) float64 { return 100 + 80*math.Sin(float64(i)) }), false},
		"saturating":          {from(points, func(i int) float64 { return 500 * (1 - math.Exp(-float64(i)/5)) }), false},
		"came to a rest":      {from(points, func(i int) float64 { return float64(min(i, 9)) * 20 }), false},
		"just came to a rest": {from(points, func(i int) float64 { return float64(min(i, 13)) * 25 }), false},
		"losing speed":        {from(points, func(i int) float64 { return 500 * (1 - math.Exp(-float64(i)/14)) }), false},
		"only began":          {from(points, func(i int) float64 { return float64(i + 40*max(0, i-4)) }), false},
		"falling":             {from(points, func(i int) float64 { return 500 - 10*float64(i) }), false},
		"too few":             {from(8, func(i int) float64 { return float64(i) * 10 }), false},
	} {
		t.Run(name, func(t *testing.T) {
			growth, ok := sustained(c.v)
			require.Equal(t, c.ok, ok, "growth %v of %v", growth, c.v)
		})
	}
}

// Whatever the values: the envelope lies below them and never falls, and what ends
// where it began is not sustained.
func TestTheEnvelopeIsALowerBound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 4_000 {
		v := from(1+r.IntN(points), func(int) float64 { return float64(r.IntN(1000)) })
		e := envelope(v)
		for i := range v {
			require.LessOrEqual(t, e[i], v[i])
			require.True(t, i == 0 || e[i] >= e[i-1])
		}
		v[len(v)-1] = v[0]
		growth, ok := sustained(v)
		require.False(t, ok && growth > 0 && v[0] <= e[0], v)
	}
}

func TestALoadThatRisesExplainsACountThatRises(t *testing.T) {
	counts := from(points, func(i int) float64 { return 100 + 20*float64(i) })
	created := make([]float64, points)
	for i := 1; i < points; i++ {
		created[i] = created[i-1] + counts[i]*3 // each lives a third of a window
	}
	require.True(t, explained(counts, created))
	require.True(t, explained(from(points, func(i int) float64 { return 500 + float64(i) }), created), "also a little")
	even := from(points, func(i int) float64 { return 300 * float64(i) })
	require.False(t, explained(counts, even))
	none := make([]float64, points)
	require.False(t, explained(counts, none))
}

func TestWindowsNobodyLookedIntoTakeTheLowerNeighbour(t *testing.T) {
	s := scale{window: time.Second}
	require.False(t, s.add(0, 10, 0))
	require.False(t, s.add(900*time.Millisecond, 5, 0))
	require.True(t, s.add(4500*time.Millisecond, 20, 0))
	require.Equal(t, []float64{5, 5, 5, 5}, s.lows.values())
	s.add(time.Hour, 70, 0)
	require.Zero(t, s.lows.n, "a gap of an hour begins anew")
}

func TestAFewLooksAtASiteWillDoIfNoneFallsBack(t *testing.T) {
	growth, ok := attributed([]float64{3, 9, 12, 20})
	require.True(t, ok)
	require.InDelta(t, 17, growth, 0)
	_, ok = attributed([]float64{3, 9, 9, 20})
	require.False(t, ok)
	_, ok = attributed([]float64{3, 9, 20})
	require.False(t, ok)
	_, ok = attributed([]float64{3, 30, 30, 45, 60, 90, 95})
	require.True(t, ok)
	_, ok = attributed([]float64{3, 4, 5, 6, 7, 90, 95})
	require.False(t, ok, "nearly all at once")
	_, ok = attributed([]float64{3, 9, 20, 40, 90, 95, 2, 3})
	require.False(t, ok, "given back")
}
