package remediate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"
)

func TestPause(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		b      Backoff
		try    int
		random float64
		want   time.Duration
	}{
		"default first":                {Backoff{}, 1, 0.3, s},
		"default second":               {Backoff{}, 2, 0.3, 2 * s},
		"default at its cap":           {Backoff{}, 7, 0.3, 60 * s},
		"before the first counts as 1": {Backoff{}, -4, 0.3, s},
		"equal pauses":                 {Backoff{Initial: 3 * s, Multiplier: 1}, 1000, 0, 3 * s},
		"slow growth":                  {Backoff{Initial: 4 * s, Multiplier: 1.5}, 3, 0, 9 * s},
		"jitter low end":               {Backoff{Initial: 10 * s, Jitter: 0.2}, 1, 0, 8 * s},
		"jitter middle":                {Backoff{Initial: 10 * s, Jitter: 0.2}, 1, 0.5, 10 * s},
		"full jitter low end":          {Backoff{Initial: 10 * s, Jitter: 1}, 1, 0, 0},
		"full jitter at the cap":       {Backoff{Max: 30 * s, Jitter: 1}, 1 << 30, 0.5, 15 * s},
		"random above its range":       {Backoff{Initial: 10 * s, Jitter: 0.2}, 1, 1, 10 * s},
		"random below its range":       {Backoff{Initial: 10 * s, Jitter: 0.2}, 1, -1, 10 * s},
		"random not a number":          {Backoff{Initial: 10 * s, Jitter: 0.2}, 1, math.NaN(), 10 * s},
		"shift would overflow":         {Backoff{Max: time.Hour}, 64, 0, time.Hour},
		"a billion tries":              {Backoff{}, 1 << 30, 0, 60 * s},
		"longest durations":            {Backoff{Initial: math.MaxInt64, Max: math.MaxInt64}, math.MaxInt, 0.999, math.MaxInt64},
		"Max below Initial":            {Backoff{Initial: 10 * s, Max: 4 * s}, 1, 0, 4 * s},
		"mistakes count as not set":    {Backoff{Tries: -1, Initial: -1, Max: -1, Multiplier: 0.1, Jitter: -3}, 2, 0, 2 * s},
		"not numbers count as not set": {Backoff{Multiplier: math.NaN(), Jitter: math.NaN()}, 2, 0, 2 * s},
		"infinite growth":              {Backoff{Multiplier: math.Inf(1)}, 2, 0, 60 * s},
		"infinite growth, first pause": {Backoff{Multiplier: math.Inf(1)}, 1, 0, s},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, c.b.Pause(c.try, c.random)) })
	}
}

// Without jitter the pauses are those of the library that Do sleeps through.
func TestPauseAgreesWithCenkalti(t *testing.T) {
	for _, b := range []Backoff{
		{},
		{Initial: 100 * time.Millisecond, Max: 7 * time.Second, Multiplier: 1.5},
		{Initial: time.Minute, Max: time.Hour, Multiplier: 3},
		{Initial: time.Second, Multiplier: 1},
	} {
		e := b.Effective()
		theirs := backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(e.Initial), backoff.WithMaxInterval(e.Max), backoff.WithMultiplier(e.Multiplier),
			backoff.WithRandomizationFactor(0), backoff.WithMaxElapsedTime(0))
		for try := 1; try < 100; try++ {
			want := theirs.NextBackOff()
			// They cut to whole nanoseconds at each step, we once.
			require.InDelta(t, float64(want), float64(b.Pause(try, 0)), 100, "%v try %d", b, try)
		}
	}
}

// checkPause holds the promises of Pause for one input.
func checkPause(t *testing.T, b Backoff, try int, random float64) {
	t.Helper()
	p, e := b.Pause(try, random), b.Effective()
	require.GreaterOrEqual(t, p, time.Duration(0), "%+v try %d random %v", b, try, random)
	require.LessOrEqual(t, p, e.Max, "%+v try %d random %v", b, try, random)
	require.Equal(t, p, b.Pause(try, random), "the same input gives the same pause")
	if e.Jitter == 0 {
		require.Equal(t, p, b.Pause(try, 0.123), "without jitter random changes nothing")
		// Floating point rounds pauses of more than a hundred days.
		require.GreaterOrEqual(t, float64(p), float64(min(e.Initial, e.Max))*(1-1e-12))
	}
	low, mid, high := b.Pause(try, 0), b.Pause(try, 0.5), b.Pause(try, math.Nextafter(1, 0))
	require.LessOrEqual(t, low, mid)
	require.LessOrEqual(t, mid, high)
	if try > 0 && try < math.MaxInt {
		// Growth, but for what floating point rounds.
		require.LessOrEqual(t, float64(b.Pause(try, 0.5)), float64(b.Pause(try+1, 0.5))*(1+1e-9)+1)
	}
}

func TestPauseProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5_000 {
		checkPause(t, Backoff{
			Tries: r.Int(), Initial: time.Duration(r.Uint64() >> r.UintN(64)), Max: time.Duration(r.Uint64() >> r.UintN(64)),
			Multiplier: math.Exp(r.NormFloat64() * 3), Jitter: r.Float64() * float64(r.IntN(2)),
		}, int(r.Uint64()>>r.UintN(64)), r.Float64())
	}
}

// With jitter, many processes are spread at the cap too.
func TestPauseIsSpreadAtTheCap(t *testing.T) {
	b := Backoff{Max: time.Minute, Jitter: 0.5}
	atCap := map[time.Duration]bool{}
	for i := range 100 {
		atCap[b.Pause(50, float64(i)/100)] = true
	}
	require.Len(t, atCap, 100)
	require.Equal(t, 20*time.Second, b.Pause(50, 0))
}

func FuzzBackoff(f *testing.F) {
	f.Add(0, int64(0), int64(0), 0.0, 0.0, 1, 0.5)
	f.Add(3, int64(time.Second), int64(time.Minute), 2.0, 0.1, 1<<30, 0.0)
	f.Add(-1, int64(math.MinInt64), int64(math.MaxInt64), math.Inf(1), 1.0, math.MaxInt, 0.999)
	f.Add(1, int64(1), int64(math.MaxInt64), math.NaN(), -1.0, math.MinInt, math.NaN())
	f.Fuzz(func(t *testing.T, tries int, initial, longest int64, multiplier, jitter float64, try int, random float64) {
		b := Backoff{Tries: tries, Initial: time.Duration(initial), Max: time.Duration(longest), Multiplier: multiplier, Jitter: jitter}
		checkPause(t, b, try, random)
		require.GreaterOrEqual(t, b.Attempts(), 1)
		require.Empty(t, b.Effective().mistakesButOrder(), "what is effective is sound: %+v", b)
	})
}

// mistakesButOrder is Validate without the order of Initial and Max, which
// Pause resolves in favour of Max, and with an infinite multiplier allowed.
func (b Backoff) mistakesButOrder() []error {
	b.Initial = min(b.Initial, b.Max)
	if math.IsInf(b.Multiplier, 1) {
		b.Multiplier = 2
	}
	return b.Validate()
}

func TestAttempts(t *testing.T) {
	for tries, want := range map[int]int{-5: 1, 0: 1, 1: 1, 2: 2, 9: 9} {
		require.Equal(t, want, Backoff{Tries: tries}.Attempts())
	}
}

func TestBackoffString(t *testing.T) {
	require.Equal(t, "one try", Backoff{Initial: time.Hour}.String())
	require.Equal(t, "3 tries, 1s ×2 to 1m", Backoff{Tries: 3}.String())
	require.Equal(t, "2 tries, 5s ×1.5 to 1h, jitter 10%", Backoff{Tries: 2, Initial: 5 * time.Second, Max: time.Hour, Multiplier: 1.5, Jitter: 0.1}.String())
}

func TestBackoffValidate(t *testing.T) {
	require.Empty(t, Backoff{}.Validate())
	require.Empty(t, Backoff{Tries: 5, Initial: time.Second, Max: time.Second, Multiplier: 1, Jitter: 1}.Validate())
	for want, b := range map[string]Backoff{
		"Tries is -1":                        {Tries: -1},
		"Initial is -1s":                     {Initial: -time.Second},
		"Max is -1s":                         {Max: -time.Second},
		"Max (1s) is shorter than Initial":   {Initial: 2 * time.Second, Max: time.Second},
		"Max (1m0s) is shorter than Initial": {Initial: time.Hour},
		"Multiplier is 0.5":                  {Multiplier: 0.5},
		"Multiplier is -2":                   {Multiplier: -2},
		"Multiplier is NaN":                  {Multiplier: math.NaN()},
		"Multiplier is +Inf":                 {Multiplier: math.Inf(1)},
		"Jitter is 1.5":                      {Jitter: 1.5},
		"Jitter is -0.1":                     {Jitter: -0.1},
		"Jitter is NaN":                      {Jitter: math.NaN()},
	} {
		errs := b.Validate()
		require.Len(t, errs, 1, want)
		require.ErrorContains(t, errs[0], want)
	}
	require.Len(t, Backoff{Tries: -1, Initial: -1, Max: -1, Multiplier: -1, Jitter: -1}.Validate(), 5)
}

func BenchmarkPause(b *testing.B) {
	plan := Backoff{Jitter: 0.1}
	for _, c := range []struct {
		name string
		try  int
	}{{"first", 1}, {"billionth", 1 << 30}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				plan.Pause(c.try, 0.5)
			}
		})
	}
}
