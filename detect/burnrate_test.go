package detect_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

// traffic is a service whose requests fail at a given ratio.
type traffic struct{ events detect.Events }

func (tr *traffic) read(context.Context) (detect.Events, error) { return tr.events, nil }

// run lets time pass in steps of ten seconds, and returns after how long d first
// found something, and what it said last.
func (tr *traffic) run(t *testing.T, d detect.Detector, lasts time.Duration, total, bad uint64) (first time.Duration, last []string) {
	t.Helper()
	const step = 10 * time.Second
	for at := step; at <= lasts; at += step {
		time.Sleep(step)
		tr.events.Total += total
		tr.events.Bad += bad
		if last = summaries(t, d); len(last) > 0 && first == 0 {
			first = at
		}
	}
	return first, last
}

func TestBurnRateMultiWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &traffic{}
		d := detect.BurnRate(detect.BurnRateOptions{SLO: 0.999, Read: tr.read})
		valid(t, d)
		first, _ := tr.run(t, d, 3*time.Hour, 1000, 0)
		assert.Zero(t, first)

		// 5 % fail: burn rate 50, so a 14.4 over an hour is reached after 17.3 min.
		first, last := tr.run(t, d, 65*time.Minute, 1000, 50)
		assert.InDelta(t, 17.3*60, first.Seconds(), 15)
		assert.Equal(t, []string{"burn rate 50 is above 14.4 over 1h and 5m"}, last)
		f := one(t, d)
		assert.Equal(t, detect.Critical, f.Severity)
		assert.Equal(t, 14.4, f.Limit)
		assert.Equal(t, "x", f.Unit)

		// Once it is over, the short window clears the page at once. What still
		// burns over a day and two hours is a ticket.
		_, _ = tr.run(t, d, 6*time.Minute, 1000, 0)
		for _, s := range summaries(t, d) {
			assert.NotContains(t, s, "over 1h")
		}
		_, last = tr.run(t, d, 7*time.Hour, 1000, 0)
		assert.Empty(t, last, "no short window burns any more")
	})
}

func TestBurnRateSlowBurnIsATicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &traffic{}
		d := detect.BurnRate(detect.BurnRateOptions{SLO: 0.999, Read: tr.read})
		tr.run(t, d, 72*time.Hour, 1000, 0)
		first, last := tr.run(t, d, 72*time.Hour, 1000, 2) // twice too fast
		assert.InDelta(t, 36, first.Hours(), 0.5)
		assert.Equal(t, []string{"burn rate 2 is above 1 over 3d and 6h"}, last)
		assert.Equal(t, detect.Warning, one(t, d).Severity)
	})
}

func TestBurnRateOutageRightAfterStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &traffic{}
		d := detect.BurnRate(detect.BurnRateOptions{SLO: 0.999, Read: tr.read})
		assert.Empty(t, summaries(t, d))
		first, _ := tr.run(t, d, 5*time.Minute, 1000, 1000)
		assert.Equal(t, time.Minute, first, "52 s, seen every 10")
	})
	synctest.Test(t, func(t *testing.T) {
		tr := &traffic{}
		d := detect.BurnRate(detect.BurnRateOptions{SLO: 0.999, Read: tr.read})
		assert.Empty(t, summaries(t, d))
		first, _ := tr.run(t, d, 5*time.Minute, 1000, 20)
		assert.Zero(t, first, "a few bad minutes at start have not cost 2 % of a month")
	})
}

func TestBurnRateNoTrafficIsNoData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &traffic{}
		d := detect.BurnRate(detect.BurnRateOptions{SLO: 0.999, Read: tr.read})
		first, _ := tr.run(t, d, 24*time.Hour, 0, 0)
		assert.Zero(t, first, "a quiet night is neither sick nor blind")

		tr.run(t, d, time.Hour, 1000, 100)
		require.NotEmpty(t, summaries(t, d))
		var blindFor time.Duration
		for at := time.Duration(0); at < 80*time.Hour; at += time.Minute {
			time.Sleep(time.Minute)
			found, err := d.Detect(t.Context())
			if err != nil {
				assert.Empty(t, found)
				blindFor += time.Minute
			} else if at > 7*time.Hour && at < 70*time.Hour {
				t.Fatalf("healed by silence after %v", at)
			}
		}
		assert.Less(t, blindFor, 73*time.Hour, "blind only while the failures are within a window")
		assert.Empty(t, summaries(t, d))
	})
}

func TestBurnRateTrafficReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &traffic{}
		d := detect.BurnRate(detect.BurnRateOptions{SLO: 0.999, Read: tr.read, Windows: []detect.BurnWindow{{Long: time.Hour, Budget: 0.02}}})
		summaries(t, d)
		tr.run(t, d, 20*time.Minute, 1000, 100)
		time.Sleep(10 * time.Minute)
		blind(t, d)
		time.Sleep(10 * time.Second)
		tr.events.Total += 1000
		assert.Empty(t, summaries(t, d), "traffic is back, and it is well")
	})
}

func TestBurnRateFewEvents(t *testing.T) {
	at := func(o detect.BurnRateOptions, total, bad uint64) (n int) {
		synctest.Test(t, func(t *testing.T) {
			tr := &traffic{}
			o.SLO, o.Read = 0.999, tr.read
			d := detect.BurnRate(o)
			summaries(t, d)
			tr.run(t, d, time.Hour, 0, 0)
			time.Sleep(time.Second)
			tr.events = detect.Events{Total: total, Bad: bad}
			n = len(summaries(t, d))
		})
		return n
	}
	assert.Zero(t, at(detect.BurnRateOptions{}, 29, 20), "fewer than 30 events")
	assert.Equal(t, 1, at(detect.BurnRateOptions{}, 30, 20))
	assert.Zero(t, at(detect.BurnRateOptions{}, 50, 2), "fewer than 3 failures")
	assert.Equal(t, 1, at(detect.BurnRateOptions{}, 50, 3))
	assert.Equal(t, 1, at(detect.BurnRateOptions{MinEvents: -1, MinBad: -1}, 1, 1))
	assert.Zero(t, at(detect.BurnRateOptions{MinEvents: 60}, 59, 20))
}

func TestBurnRateCountersRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &traffic{events: detect.Events{Total: 1e9, Bad: 1e6}}
		d := detect.BurnRate(detect.BurnRateOptions{SLO: 0.999, Read: tr.read})
		tr.run(t, d, 2*time.Hour, 1000, 0)
		tr.events = detect.Events{}
		first, _ := tr.run(t, d, 2*time.Hour, 1000, 0)
		assert.Zero(t, first, "a restart is no failure")
		tr.events = detect.Events{}
		first, _ = tr.run(t, d, time.Hour, 1000, 100)
		assert.NotZero(t, first)
	})
}

func TestBurnRateRestartThatFailuresHide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &traffic{}
		d := detect.BurnRate(detect.BurnRateOptions{SLO: 0.5, Read: tr.read, Windows: []detect.BurnWindow{
			{Long: time.Hour, Budget: 0.001}, // factor 0.72
		}})
		tr.run(t, d, 2*time.Hour, 1000, 0)
		tr.events.Bad = 300_000 // long ago
		tr.run(t, d, 2*time.Hour, 1000, 0)
		tr.events = detect.Events{Total: 400_000, Bad: 300_000} // restarted, and failing since
		time.Sleep(10 * time.Second)
		assert.Len(t, summaries(t, d), 1)
	})
}

func TestBurnRateMoreFailuresThanEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &traffic{}
		d := detect.BurnRate(detect.BurnRateOptions{SLO: 0.999, Read: tr.read})
		tr.run(t, d, 2*time.Hour, 1000, 3000) // read in the wrong order, or counted twice
		assert.InDelta(t, 1000, one(t, d).Value, 1e-6, "no more than everything fails")
	})
}

// The older of two overlapping readings is no restart of the counters.
func TestBurnRateReadingsThatOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		var d *detect.Burn
		d = detect.BurnRate(detect.BurnRateOptions{SLO: 0.999, Read: func(ctx context.Context) (detect.Events, error) {
			calls++
			n := uint64(calls)
			if calls == 2 {
				time.Sleep(time.Second)
				_, err := d.Detect(ctx)
				assert.NoError(t, err)
				return detect.Events{Total: 1000, Bad: 900}, nil
			}
			return detect.Events{Total: 1000 + n, Bad: 900}, nil
		}})
		for range 600 {
			assert.Empty(t, summaries(t, d))
			time.Sleep(time.Second)
		}
	})
}

func TestBurnRateRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := detect.BurnRate(detect.BurnRateOptions{SLO: 0.99})
		assert.Empty(t, summaries(t, b))
		for range 600 {
			for i := range 10 {
				b.Record(i > 2)
			}
			time.Sleep(time.Second)
		}
		assert.Empty(t, summaries(t, b), "burn rate 30, but for ten minutes only: 5")
		time.Sleep(50 * time.Minute)
		blindOrEmpty, err := b.Detect(t.Context())
		assert.NoError(t, err)
		assert.Empty(t, blindOrEmpty)

		out := detect.BurnRate(detect.BurnRateOptions{SLO: 0.99})
		summaries(t, out)
		for range 600 {
			out.Record(false)
			time.Sleep(time.Second)
		}
		assert.Equal(t, []string{"burn rate 16.7 is above 14.4 over 1h and 5m"}, summaries(t, out))
	})
}

func TestBurnRateValidate(t *testing.T) {
	for want, o := range map[string]detect.BurnRateOptions{
		"100 % leaves no error budget": {SLO: 1},
		"0.999 for 99.9 %":             {SLO: 99.9},
		"the SLO is 0":                 {},
		"the SLO is NaN":               {SLO: math.NaN()},
		"period":                       {SLO: 0.9, Period: -1},
		"MinEvents":                    {SLO: 0.9, MinEvents: -2},
		"MinBad":                       {SLO: 0.9, MinBad: -2},
		"no windows":                   {SLO: 0.9, Windows: []detect.BurnWindow{}},
		"never reached":                {SLO: 0.9, Windows: []detect.BurnWindow{{Long: time.Hour, Budget: 0.02}}},
		"a shorter one":                {SLO: 0.999, Windows: []detect.BurnWindow{{Long: time.Hour, Short: time.Hour, Budget: 0.02}}},
		"of the budget":                {SLO: 0.999, Windows: []detect.BurnWindow{{Long: time.Hour, Budget: 2}}},
		"window 1":                     {SLO: 0.999, Windows: []detect.BurnWindow{{}}},
	} {
		assert.Contains(t, invalid(t, detect.BurnRate(o)), want)
	}
	valid(t, detect.BurnRate(detect.BurnRateOptions{SLO: 0.9}))
	assert.Contains(t, invalid(t, detect.BurnRate(detect.BurnRateOptions{SLO: 1.5, Period: -1, MinBad: -7})), "MinBad", "every mistake at once")
}

func TestBurnRateReadErrorIsBlind(t *testing.T) {
	broken := errors.New("broken")
	d := detect.BurnRate(detect.BurnRateOptions{SLO: 0.9, Read: func(context.Context) (detect.Events, error) { return detect.Events{}, broken }})
	assert.ErrorIs(t, blind(t, d), broken)
}

func TestBurnRateConcurrently(t *testing.T) {
	b := detect.BurnRate(detect.BurnRateOptions{SLO: 0.5})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 500 {
				b.Record(i%2 == 0)
				if _, err := b.Detect(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
