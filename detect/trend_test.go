package detect

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// prometheusSamples is testcounter_reset_middle_total of Prometheus' own tests:
// a reading every 5 minutes.
var prometheusSamples = []float64{0, 10, 20, 30, 40, 0, 10, 20, 30, 40, 50}

func trendOf(window time.Duration, values ...float64) *trend {
	t := &trend{window: window}
	for i, v := range values {
		t.add(reading{at: time.Duration(i) * 5 * time.Minute, v: v})
	}
	return t
}

func TestTrendAgreesWithPrometheus(t *testing.T) {
	all := trendOf(51*time.Minute, prometheusSamples...).fit(0)
	assert.Equal(t, 0.010606060606060607, all.slope)
	assert.InDelta(t, 76.81818181818181, all.at(time.Hour), 1e-13)
	// The line is drawn at 50 m; an evaluation at 10 m or 70 m looks an hour
	// ahead of those.
	assert.InDelta(t, 51.36363636363637, all.at(time.Hour-40*time.Minute), 1e-13)
	assert.InDelta(t, 89.54545454545455, all.at(time.Hour+20*time.Minute), 1e-13)

	open := trendOf(50*time.Minute, prometheusSamples...)
	assert.Equal(t, 10, open.n, "a reading exactly one window old is out")
	assert.InDelta(t, 70, open.fit(0).at(time.Hour), 1e-13)
}

func TestTrendOfInfinityIsNaN(t *testing.T) {
	values := append([]float64{}, prometheusSamples...)
	values[4] = math.Inf(1)
	l := trendOf(51*time.Minute, values...).fit(0)
	assert.True(t, math.IsNaN(l.slope))
	assert.True(t, math.IsNaN(l.at(time.Hour)))
}

func TestTrendBeginsBehindAStep(t *testing.T) {
	for _, c := range []struct {
		want   int
		values []float64
	}{
		{0, prometheusSamples},                           // a deletion smaller than the growth around it
		{0, []float64{1, 2, 3, 4, 5, 6}},                 //
		{0, []float64{5, 5, 5, 5, 5, 5}},                 //
		{3, []float64{5, 5, 5, 70, 70, 70, 70}},          // one large file
		{4, []float64{60, 62, 64, 66, 20, 21, 22}},       // one deletion
		{0, []float64{10, 20, 10, 20, 10, 20, 10}},       // noise
		{0, []float64{1, 2, 1, 2, 1, 90, 91, 90, 91, 1}}, // up and down again
	} {
		assert.Equal(t, c.want, trendOf(4*time.Hour, c.values...).from(), "%v", c.values)
	}
}

// The ring keeps a step's distance, the newest reading always, and never more
// than it has room for.
func TestTrendRing(t *testing.T) {
	tr := &trend{window: time.Hour}
	for i := range 20_000 {
		now := reading{at: time.Duration(i) * time.Second, v: float64(i)}
		tr.add(now)
		if tr.n > kept || *tr.point(tr.n - 1) != now {
			t.Fatal(i, tr.n)
		}
		if oldest := tr.point(0).at; oldest <= now.at-time.Hour || i > 7200 && oldest > now.at-58*time.Minute {
			t.Fatal(i, oldest)
		}
	}
	assert.InDelta(t, 1, tr.fit(0).slope, 1e-9)
}

func TestLineUntil(t *testing.T) {
	assert.Equal(t, 10*time.Second, line{slope: 2, now: 80}.until(100))
	assert.Equal(t, 40*time.Second, line{slope: -2, now: 80}.until(0))
	assert.Equal(t, time.Duration(0), line{slope: 2, now: 110}.until(100))
	assert.Equal(t, time.Duration(math.MaxInt64), line{slope: 1e-300, now: 1}.until(2))
}

func TestCounterAddsWhatARestartHid(t *testing.T) {
	var c counter
	for _, v := range []float64{0, 1, 2, 3, 2, 3, 4} {
		c.add(v)
	}
	assert.Equal(t, 7.0, c.total)
}

// The history against the plainest account of it: the increase since a moment
// one window ago, known to a step.
func TestHistoryKeepsTheWindow(t *testing.T) {
	h := &history{window: time.Minute}
	at := func(i int) totals {
		return totals{at: time.Duration(i) * time.Second, a: float64(i * i), b: float64(3 * i)}
	}
	for i := range 1000 {
		h.add(at(i))
		a, b, covered := h.increase(at(i))
		from := max(0, i-60)
		if a != float64(i*i-from*from) || b != float64(3*(i-from)) || covered != time.Duration(i-from)*time.Second {
			t.Fatal(i, a, b, covered)
		}
	}
	// After a gap the growth is spread over it.
	a, b, covered := h.increase(at(1999))
	assert.Equal(t, time.Minute, covered)
	assert.Equal(t, 180.0, b)
	assert.InDelta(t, 60*(999+1999), a, 1e-6)
	// Readings closer than a step are not kept, but they are counted.
	h = &history{window: time.Hour}
	for i := range 100_000 {
		h.add(at(i))
		if h.n > kept {
			t.Fatal(i, h.n)
		}
	}
	_, b, _ = h.increase(at(99_999))
	assert.InDelta(t, 3*3600, b, 1e-6)
}

func TestPhiAgreesWithAkka(t *testing.T) {
	for at, want := range map[float64]float64{1000: 0.3, 1200: 1.6, 1400: 4.7, 1600: 10.8, 1700: 15.3} {
		assert.InDelta(t, want, phi(at, 1000, 100), 0.1, "%v", at)
	}
	g := gaps{most: 20}
	for _, gap := range []float64{100, 200, 125, 340, 130} {
		g.add(gap)
	}
	mean, deviation := g.stats()
	assert.InDelta(t, 179, mean, 1e-9)
	assert.InDelta(t, 7584, deviation*deviation, 1e-6)
}

func TestPhiStaysInRange(t *testing.T) {
	last := -1.0
	for _, at := range []float64{0, 1, 999, 1000, 1001, 2000, 1e4, 1e6, 1e9, 1e12} {
		p := phi(at, 1000, 0.1)
		assert.False(t, math.IsNaN(p) || math.IsInf(p, 0), "%v", at)
		assert.GreaterOrEqual(t, p, last, "suspicion only grows")
		last = p
	}
}

func TestGapsForgetAndKeepTheirDigits(t *testing.T) {
	g := gaps{most: 100}
	for i := range 1_000_050 {
		g.add(3600 + float64(i%2)*1e-3) // a small deviation on a large mean
	}
	mean, deviation := g.stats()
	assert.InDelta(t, 3600.0005, mean, 1e-9)
	assert.InDelta(t, 0.0005, deviation, 1e-9)
	assert.Len(t, g.ring, 100)
	for range 100 {
		g.add(1)
	}
	mean, deviation = g.stats()
	assert.InDelta(t, 1, mean, 1e-9)
	assert.InDelta(t, 0, deviation, 1e-3)
	for range 50 {
		g.add(1)
	}
	_, deviation = g.stats()
	assert.Zero(t, deviation, "rounding errors last a round at most")
}

func TestBurnFactors(t *testing.T) {
	const day = 24 * time.Hour
	longs := []time.Duration{time.Hour, 6 * time.Hour, day, 3 * day}
	for _, c := range []struct {
		period  time.Duration
		budgets []float64
		want    []float64
	}{
		{30 * day, []float64{.02, .05, .10, .10}, []float64{14.4, 6, 3, 1}},
		{28 * day, []float64{.02, .05, .10, .10}, []float64{13.44, 5.6, 2.8, 0.9333}},
		{7 * day, []float64{.08, .125, .20, .42}, []float64{13.44, 3.5, 1.4, 0.98}},
	} {
		for i, want := range c.want {
			assert.InDelta(t, want, BurnWindow{Long: longs[i], Budget: c.budgets[i]}.Factor(c.period), 0.00005)
		}
		if c.period == 7*day {
			continue
		}
		b := BurnRate(BurnRateOptions{SLO: 0.999, Period: c.period})
		shorts := []time.Duration{5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour}
		for i, a := range b.alarms {
			assert.InDelta(t, c.want[i], a.factor, 0.00005)
			assert.Equal(t, longs[i], a.window.Long)
			assert.Equal(t, shorts[i], a.window.Short)
		}
	}
}

func TestShortSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Minute: "5m", 6 * time.Hour: "6h", 72 * time.Hour: "3d", 90 * time.Minute: "1h30m",
		30 * time.Second: "30s", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", 20 * time.Hour: "20h",
	} {
		assert.Equal(t, want, shortSpan(d))
	}
}
