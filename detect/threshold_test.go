package detect_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

// gauge is a read function whose answer the test sets.
type gauge[N detect.Number] struct {
	v   N
	err error
}

func (g *gauge[N]) read(context.Context) (N, error) { return g.v, g.err }

// summaries are what a person would read now.
func summaries(t testing.TB, d detect.Detector) []string {
	t.Helper()
	found, err := d.Detect(context.Background())
	require.NoError(t, err)
	var out []string
	for _, f := range found {
		s := f.Summary
		if f.Key != "" {
			s = f.Key + ": " + s
		}
		out = append(out, s)
	}
	return out
}

func one(t testing.TB, d detect.Detector) detect.Finding {
	t.Helper()
	found, err := d.Detect(context.Background())
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

func blind(t testing.TB, d detect.Detector) error {
	t.Helper()
	found, err := d.Detect(context.Background())
	require.Error(t, err)
	require.Empty(t, found)
	return err
}

func invalid(t testing.TB, d detect.Detector) string {
	t.Helper()
	v, ok := d.(detect.Validator)
	require.True(t, ok, "%T is no Validator", d)
	err := v.Validate()
	require.Error(t, err)
	require.Error(t, blind(t, d), "what is invalid must be blind")
	return err.Error()
}

func valid(t testing.TB, d detect.Detector) {
	t.Helper()
	require.NoError(t, d.(detect.Validator).Validate())
}

type at[N detect.Number] struct {
	v    N
	want string // "" is healthy
}

func walk[N detect.Number](t *testing.T, d func(*gauge[N]) detect.Detector, steps ...at[N]) {
	t.Helper()
	g := &gauge[N]{}
	det := d(g)
	valid(t, det)
	for i, s := range steps {
		g.v = s.v
		var want []string
		if s.want != "" {
			want = []string{s.want}
		}
		require.Equal(t, want, summaries(t, det), "step %d: %v", i, s.v)
	}
}

func TestThresholdSaysWhatItSees(t *testing.T) {
	t.Run("above", func(t *testing.T) {
		walk(t, func(g *gauge[int]) detect.Detector { return detect.Above(g.read, 5000) },
			at[int]{9000, "9000 is above 5000"}, at[int]{5001, "5001 is above 5000"}, at[int]{5000, ""}, at[int]{0, ""})
	})
	t.Run("above with hysteresis", func(t *testing.T) {
		walk(t, func(g *gauge[int]) detect.Detector { return detect.Above(g.read, 5_000).ClearBelow(2_000) },
			at[int]{3000, ""}, at[int]{9000, "9000 is above 5000"}, at[int]{3000, "3000 is not yet below 2000"},
			at[int]{5000, "5000 is not yet below 2000"}, at[int]{2000, "2000 is not yet below 2000"},
			at[int]{6000, "6000 is above 5000"}, at[int]{1999, ""}, at[int]{3000, ""})
	})
	t.Run("clear level at the limit", func(t *testing.T) {
		walk(t, func(g *gauge[uint8]) detect.Detector { return detect.Above(g.read, 200).ClearBelow(200) },
			at[uint8]{200, ""}, at[uint8]{201, "201 is above 200"}, at[uint8]{200, "200 is not yet below 200"}, at[uint8]{199, ""})
	})
	t.Run("unit", func(t *testing.T) {
		walk(t, func(g *gauge[uint64]) detect.Detector {
			return detect.Above(g.read, 5_000).ClearBelow(2_000).Unit("jobs")
		}, at[uint64]{9000, "9000 jobs is above 5000"}, at[uint64]{3000, "3000 jobs is not yet below 2000"}, at[uint64]{0, ""})
	})
	t.Run("below", func(t *testing.T) {
		walk(t, func(g *gauge[int16]) detect.Detector { return detect.Below(g.read, 5) },
			at[int16]{3, "3 is below 5"}, at[int16]{-30, "-30 is below 5"}, at[int16]{5, ""}, at[int16]{6, ""})
	})
	t.Run("below with hysteresis", func(t *testing.T) {
		walk(t, func(g *gauge[int]) detect.Detector { return detect.Below(g.read, 5).ClearAbove(8).Unit("workers") },
			at[int]{6, ""}, at[int]{3, "3 workers is below 5"}, at[int]{6, "6 workers is not yet above 8"},
			at[int]{8, "8 workers is not yet above 8"}, at[int]{9, ""}, at[int]{6, ""})
	})
	t.Run("duration", func(t *testing.T) {
		walk(t, func(g *gauge[time.Duration]) detect.Detector {
			return detect.Above(g.read, time.Minute).ClearBelow(time.Second)
		}, at[time.Duration]{2 * time.Minute, "2m0s is above 1m0s"},
			at[time.Duration]{61*time.Second + 987654321, "1m1.9s is above 1m0s"},
			at[time.Duration]{time.Minute + 1, "1m0.000000001s is above 1m0s"},
			at[time.Duration]{time.Minute, "1m0s is not yet below 1s"}, at[time.Duration]{0, ""})
	})
}

func TestThresholdWritesNumbersAsPeopleDo(t *testing.T) {
	for _, c := range []struct {
		v, limit float64
		want     string
	}{
		{9000, 5000, "9000 is above 5000"},
		{2e6, 1e6, "2000000 is above 1000000"},
		{0.93, 0.9, "0.93 is above 0.9"},
		{2.0 / 3, 0.5, "0.666667 is above 0.5"},
		{0.30000000000000004, 0.3, "0.30000000000000004 is above 0.3"},
		{5000.0000001, 5000, "5000.0000001 is above 5000"},
		{1234567.89, 1000, "1234568 is above 1000"},
		{0.00001234, 0.000001, "0.00001234 is above 0.000001"},
		{3e-9, 1e-9, "3e-09 is above 1e-09"},
		{-0.5, -1, "-0.5 is above -1"},
		{0, -0.25, "0 is above -0.25"},
		{1e300, 5, "1e+300 is above 5"},
		{9007199254740993, 5, "9.0072e+15 is above 5"},
	} {
		g := &gauge[float64]{v: c.v}
		assert.Equal(t, []string{c.want}, summaries(t, detect.Above(g.read, c.limit)))
	}
	small := &gauge[float32]{v: 0.2}
	assert.Equal(t, []string{"0.2 is above 0.1"}, summaries(t, detect.Above(small.read, 0.1)))
	big := &gauge[uint64]{v: math.MaxUint64}
	assert.Equal(t, []string{"18446744073709551615 is above 1"}, summaries(t, detect.Above(big.read, 1)))
	least := &gauge[int64]{v: math.MinInt64}
	assert.Equal(t, []string{"-9223372036854775808 is below 1"}, summaries(t, detect.Below(least.read, 1)))
}

func TestThresholdFindingIsComplete(t *testing.T) {
	g := &gauge[int]{v: 9000}
	want := detect.Finding{Summary: "9000 jobs is above 5000", Value: 9000, Limit: 5000, Unit: "jobs"}
	assert.Equal(t, want, one(t, detect.Above(g.read, 5000).Unit("jobs")))

	d := &gauge[time.Duration]{v: 90 * time.Second}
	want = detect.Finding{Summary: "1m30s is above 1m0s", Value: 90, Limit: 60, Unit: "s"}
	assert.Equal(t, want, one(t, detect.Above(d.read, time.Minute)))
	want = detect.Finding{Summary: "1m30s is above 1m0s", Value: 90000, Limit: 60000, Unit: "ms"}
	assert.Equal(t, want, one(t, detect.Above(d.read, time.Minute).Unit("ms")))
}

func TestThresholdCritical(t *testing.T) {
	g := &gauge[int]{}
	above := detect.Above(g.read, 10).ClearBelow(5).Critical(20)
	valid(t, above)
	for _, s := range []struct {
		v    int
		want detect.Severity
	}{{11, detect.Warning}, {20, detect.Warning}, {21, detect.Critical}, {7, detect.Warning}} {
		g.v = s.v
		assert.Equal(t, s.want, one(t, above).Severity, "%d", s.v)
	}
	below := detect.Below(g.read, 10).Critical(3)
	valid(t, below)
	g.v = 3
	assert.Equal(t, detect.Warning, one(t, below).Severity)
	g.v = 2
	assert.Equal(t, detect.Critical, one(t, below).Severity)
}

func TestThresholdBlindKeepsTheAlarm(t *testing.T) {
	broken := errors.New("broken")
	g := &gauge[float64]{v: 9}
	d := detect.Above(g.read, 5).ClearBelow(2)
	one(t, d)

	g.v, g.err = 1, broken // a value beside an error is no reading
	require.ErrorIs(t, blind(t, d), broken)
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		g.v, g.err = v, nil
		blind(t, d)
	}
	g.v = 3
	assert.Equal(t, []string{"3 is not yet below 2"}, summaries(t, d), "blindness must not unlatch")

	g.v = 1
	assert.Empty(t, summaries(t, d))
	g.v, g.err = 9, broken
	blind(t, d)
	g.v = math.Inf(1)
	blind(t, d)
	g.v, g.err = 3, nil
	assert.Empty(t, summaries(t, d), "blindness must not latch")
}

func TestThresholdValidate(t *testing.T) {
	g, f, d := &gauge[int]{}, &gauge[float64]{}, &gauge[time.Duration]{}
	for want, det := range map[string]detect.Detector{
		"no read function":                detect.Above[int](nil, 5),
		"ClearBelow belongs to Above":     detect.Below(g.read, 5).ClearBelow(3),
		"ClearAbove belongs to Below":     detect.Above(g.read, 5).ClearAbove(8),
		"lies above the limit":            detect.Above(g.read, 5).ClearBelow(6),
		"lies below the limit":            detect.Below(g.read, 5).ClearAbove(4),
		"critical level 4 lies below":     detect.Above(g.read, 5).Critical(4),
		"critical level 6 lies above":     detect.Below(g.read, 5).Critical(6),
		"limit is NaN":                    detect.Above(f.read, math.NaN()),
		"limit is +Inf":                   detect.Below(f.read, math.Inf(1)),
		"clear level is -Inf":             detect.Above(f.read, 1).ClearBelow(math.Inf(-1)),
		"critical level is NaN":           detect.Above(f.read, 1).Critical(math.NaN()),
		"cannot be given in \"furlongs\"": detect.Above(d.read, 1).Unit("furlongs"),
	} {
		assert.Contains(t, invalid(t, det), want)
	}
	all := invalid(t, detect.Above[int](nil, 5).ClearAbove(8).Critical(1))
	assert.Contains(t, all, "no read function")
	assert.Contains(t, all, "ClearAbove belongs")
	assert.Contains(t, all, "critical level", "every mistake is named at once")
	valid(t, detect.Above(g.read, 5).ClearBelow(5).Critical(5).Unit("jobs"))
}

// An answer that was handed out is never written to again: one watch may still
// read it while another asks.
func TestThresholdAnswersAreNotRewritten(t *testing.T) {
	g := &gauge[int]{v: 6}
	d := detect.Above(g.read, 5)
	before, err := d.Detect(context.Background())
	require.NoError(t, err)
	g.v = 7
	one(t, d)
	assert.Equal(t, "6 is above 5", before[0].Summary)
}

func TestThresholdConcurrently(t *testing.T) {
	d := detect.Above(func(context.Context) (int, error) { return rand.IntN(10), nil }, 5).ClearBelow(2)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				found, err := d.Detect(context.Background())
				if err != nil || len(found) == 1 && found[0].Value < 2 {
					t.Error(found, err)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzThreshold checks hysteresis against the plainest statement of it, for any
// numbers.
func FuzzThreshold(f *testing.F) {
	f.Add(5.0, 2.0, 9.0, 3.0, 1.0, 3.0, false)
	f.Add(5.0, 8.0, 3.0, 6.0, 9.0, math.NaN(), true)
	f.Add(0.0, 0.0, math.Inf(1), math.Copysign(0, -1), 5e-324, math.MaxFloat64, false)
	f.Fuzz(func(t *testing.T, limit, clearLevel, a, b, c, e float64, lower bool) {
		g := &gauge[float64]{}
		d := detect.Above(g.read, limit).ClearBelow(clearLevel)
		sign := 1.0
		if lower {
			d, sign = detect.Below(g.read, limit).ClearAbove(clearLevel), -1
		}
		finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
		sound := finite(limit) && finite(clearLevel) && sign*clearLevel <= sign*limit
		require.Equal(t, sound, d.Validate() == nil)
		sick := false
		for _, v := range []float64{a, b, c, e, a, b} {
			g.v = v
			found, err := d.Detect(context.Background())
			if !sound || !finite(v) {
				require.Error(t, err)
				require.Empty(t, found)
				continue
			}
			require.NoError(t, err)
			sick = sign*v > sign*limit || sick && !(sign*v < sign*clearLevel)
			require.Equal(t, sick, len(found) == 1)
			if sick {
				require.Equal(t, v, found[0].Value)
				require.Equal(t, limit, found[0].Limit)
				require.NotContains(t, found[0].Summary, "\n")
			}
		}
	})
}
