package goruntime

import (
	"runtime/metrics"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSlowIsThePercentileOrTheThirdLongest(t *testing.T) {
	h := &metrics.Float64Histogram{Buckets: []float64{0, 0.001, 0.01, 0.1, 1}, Counts: make([]uint64, 4)}
	before := []uint64{5, 5, 5, 5}
	for _, c := range []struct {
		counts [4]uint64
		want   float64
	}{
		{[4]uint64{0, 0, 0, 0}, 0},
		{[4]uint64{0, 0, 0, 5}, 0},
		{[4]uint64{4, 0, 0, 2}, 0.001},
		{[4]uint64{3, 0, 0, 3}, 1},
		{[4]uint64{1000, 0, 0, 9}, 0.001},
		{[4]uint64{1000, 0, 5, 9}, 0.1},
		{[4]uint64{0, 40, 0, 2}, 0.01},
	} {
		for i, n := range c.counts {
			h.Counts[i] = before[i] + n
		}
		got, _ := slow(h, before)
		require.InDelta(t, c.want, got, 0, "%v", c.counts)
	}
}

func TestAWindowForgetsAndRestarts(t *testing.T) {
	w := newWindow(6 * time.Second)
	for i := range 30 {
		d, _, over := w.increase(time.Duration(i)*time.Second, float64(10*i), 0)
		require.LessOrEqual(t, over, 7*time.Second)
		require.InDelta(t, 10*over.Seconds(), d, 1e-9)
		require.Equal(t, i >= 5, w.full(over))
	}
	d, _, over := w.increase(30*time.Second, 3, 0)
	require.Zero(t, d, "a counter that shrank began anew")
	require.Zero(t, over)
	_, _, over = w.increase(time.Hour, 4, 0)
	require.Zero(t, over, "what nobody looked at is no window")
}

func TestTheUsualDoesNotClimbWithTheTrouble(t *testing.T) {
	var b baseline
	_, known := b.value(0)
	require.False(t, known)
	now := time.Duration(0)
	for ; now < learnFor; now += time.Second {
		b.learn(now, 1)
	}
	usual, known := b.value(now)
	require.True(t, known)
	require.InDelta(t, 1, usual, 0.01)
	for end := now + 10*time.Minute; now < end; now += time.Second {
		b.learn(now, 4.9)
	}
	usual, _ = b.value(now)
	require.Less(t, usual, 1.1)
}

func TestAnEarlyLevelMustLast(t *testing.T) {
	v := 2.0
	l := newLeveled(nil, time.Hour, func(time.Duration) (reading, error) {
		return reading{value: v, t1: 1, t2: 3, clear: 0.5, text: func(float64, float64) string { return "much" }}, nil
	})
	found, err := l.Detect(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
	l.above -= time.Hour
	found, _ = l.Detect(t.Context())
	require.Len(t, found, 1)
	v = 0.7
	found, _ = l.Detect(t.Context())
	require.Equal(t, "much, not yet below 0.5", found[0].Summary)
	v = 0.1
	found, _ = l.Detect(t.Context())
	require.Empty(t, found)
}
