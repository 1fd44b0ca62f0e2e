package detect_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/selfheal-go/selfheal/detect"
)

func TestPhiLearnsTheUsualGap(t *testing.T) {
	for _, gap := range []time.Duration{50 * time.Millisecond, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			p := detect.PhiAccrual(detect.PhiOptions{FirstGap: gap})
			valid(t, p)
			assert.Zero(t, p.Phi())
			assert.Zero(t, every(t, p, gap, 200, p.Beat))
			time.Sleep(gap)
			assert.Empty(t, summaries(t, p), "one missed beat")
			time.Sleep(gap + time.Second)
			assert.Len(t, summaries(t, p), 1)
			p.Beat()
			assert.Empty(t, summaries(t, p))
		})
	}
}

func TestPhiFinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := detect.PhiAccrual(detect.PhiOptions{})
		for range 3000 {
			p.Beat()
			time.Sleep(time.Second)
		}
		time.Sleep(700 * time.Millisecond)
		f := one(t, p) // deviation 0.1 s: the seventh deviation is Akka's 15.3
		assert.Equal(t, "no beat for 1.7s, usually every 1s: phi 15.4 is above 8", f.Summary)
		assert.InDelta(t, 15.3, f.Value, 0.1)
		assert.InDelta(t, f.Value, p.Phi(), 1e-9)
		assert.Equal(t, 8.0, f.Limit)
		assert.Equal(t, "phi", f.Unit)
		time.Sleep(time.Hour)
		assert.Contains(t, one(t, p).Summary, "no beat for 1h0m1s, usually every 1s: phi is far above 8")
	})
}

func TestPhiDoesNotLearnTheFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := detect.PhiAccrual(detect.PhiOptions{})
		every(t, p, time.Second, 100, p.Beat)
		for range 50 { // a peer that dies for a minute again and again
			time.Sleep(time.Minute)
			assert.Len(t, summaries(t, p), 1)
			p.Beat()
		}
		time.Sleep(2 * time.Second)
		assert.Len(t, summaries(t, p), 1, "patience was not taught")
	})
}

func TestPhiBeforeTheFirstBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := detect.PhiAccrual(detect.PhiOptions{})
		time.Sleep(time.Hour)
		assert.Empty(t, summaries(t, p))
		time.Sleep(time.Second)
		assert.Empty(t, summaries(t, p))
		time.Sleep(10 * time.Second)
		assert.Len(t, summaries(t, p), 1, "a peer that never came is no healthy peer")
	})
}

func TestPhiPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := detect.PhiAccrual(detect.PhiOptions{Pause: time.Minute})
		every(t, p, time.Second, 100, p.Beat)
		time.Sleep(time.Minute)
		assert.Empty(t, summaries(t, p))
		time.Sleep(3 * time.Second)
		assert.Len(t, summaries(t, p), 1)
	})
}

func TestPhiValidate(t *testing.T) {
	for want, o := range map[string]detect.PhiOptions{
		"threshold": {Threshold: math.NaN()},
		"Inf":       {Threshold: math.Inf(1)},
		"-1":        {Threshold: -1},
		"negative":  {Pause: -1},
		"gaps":      {Gaps: -1},
		"1 gaps":    {Gaps: 1},
	} {
		p := detect.PhiAccrual(o)
		p.Beat()
		assert.Zero(t, p.Phi())
		assert.Contains(t, invalid(t, p), want)
	}
}

func TestPhiConcurrently(t *testing.T) {
	p := detect.PhiAccrual(detect.PhiOptions{FirstGap: time.Hour, Gaps: 10})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				p.Beat()
				_, _ = p.Detect(context.Background())
				_ = p.Phi()
			}
		})
	}
	wg.Wait()
}
