package detect_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/selfheal-go/selfheal/detect"
)

func TestHeartbeatFindsTheSilentWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := detect.Heartbeat(5 * time.Second)
		valid(t, b)
		b.Beat()
		time.Sleep(5 * time.Second)
		assert.Empty(t, summaries(t, b), "the budget itself is allowed")
		time.Sleep(7 * time.Second)
		assert.Equal(t, detect.Finding{
			Summary: "no beat for 12s, budget 5s", Value: 12, Limit: 5, Unit: "s",
		}, one(t, b))
		b.Beat()
		assert.Empty(t, summaries(t, b))
	})
}

func TestHeartbeatCountsFromTheFirstLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := detect.Heartbeat(5 * time.Second)
		time.Sleep(time.Hour) // wired long before it runs
		assert.Empty(t, summaries(t, b))
		time.Sleep(4 * time.Second)
		assert.Empty(t, summaries(t, b))
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"no beat for 6s, budget 5s"}, summaries(t, b))
	})
}

// every looks n times, a second apart, and returns when it first saw something.
func every(t *testing.T, d detect.Detector, gap time.Duration, n int, each func()) (found int) {
	for i := 1; i <= n; i++ {
		time.Sleep(gap)
		if each != nil {
			each()
		}
		if len(summaries(t, d)) > 0 && found == 0 {
			found = i
		}
	}
	return found
}

func TestHeartbeatForgivesItsOwnLateness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := detect.Heartbeat(5 * time.Second)
		assert.Zero(t, every(t, b, time.Second, 10, b.Beat))

		time.Sleep(time.Minute) // everything stood still, the worker too
		assert.Empty(t, summaries(t, b), "who slept accuses nobody of sleeping")
		assert.Zero(t, every(t, b, time.Second, 10, b.Beat))

		time.Sleep(time.Minute)
		assert.Empty(t, summaries(t, b))
		first := every(t, b, time.Second, 10, nil)
		assert.Equal(t, 5, first, "grace is what was lost, not more")
		assert.Equal(t, float64(70), one(t, b).Value, "the value stays the whole silence")
	})
}

func TestHeartbeatGraceIsOfOneSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := detect.Heartbeat(5 * time.Second)
		every(t, b, time.Second, 10, b.Beat)
		time.Sleep(59 * time.Second)
		b.Beat() // woke a second before the look did
		time.Sleep(time.Second)
		assert.Empty(t, summaries(t, b))
		assert.Equal(t, 6, every(t, b, time.Second, 10, nil), "a second of silence was late, not a minute")
	})
	synctest.Test(t, func(t *testing.T) {
		b := detect.Heartbeat(5 * time.Second)
		every(t, b, time.Second, 10, b.Beat)
		time.Sleep(time.Minute)
		assert.Empty(t, summaries(t, b))
		b.Beat()
		time.Sleep(time.Second)
		assert.Empty(t, summaries(t, b))
		assert.Equal(t, 5, every(t, b, time.Second, 10, nil), "a beat ends the grace of the silence before it")
	})
}

func TestHeartbeatGraceIsNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := detect.Heartbeat(5 * time.Second)
		every(t, b, time.Second, 10, b.Beat)
		first := every(t, b, time.Minute, 20, nil) // an interval that became longer for good
		assert.NotZero(t, first)
		assert.LessOrEqual(t, first, 4)
	})
}

func TestHeartbeatExtraLooksMakeNoTurnLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := detect.Heartbeat(1500 * time.Millisecond)
		b.Beat()
		for range 3 {
			time.Sleep(time.Second)
			b.Beat()
			assert.Empty(t, summaries(t, b))
		}
		for range 5 { // a supervisor that looks closer for a moment
			time.Sleep(100 * time.Millisecond)
			b.Beat()
			assert.Empty(t, summaries(t, b))
		}
		assert.Equal(t, 2, every(t, b, time.Second, 5, nil))
	})
}

func TestHeartbeatValidate(t *testing.T) {
	for _, budget := range []time.Duration{0, -1, -time.Second} {
		assert.Contains(t, invalid(t, detect.Heartbeat(budget)), "budget")
	}
}

func TestHeartbeatConcurrently(t *testing.T) {
	b := detect.Heartbeat(time.Minute)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				b.Beat()
				if found, err := b.Detect(context.Background()); len(found) > 0 || err != nil {
					t.Error(found, err)
				}
			}
		})
	}
	wg.Wait()
}
