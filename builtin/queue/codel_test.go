package queue_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/queue"
)

const ms = time.Millisecond

// The vector of the control law: 100, 70.7, 57.7, 50 ms after one another.
func TestControlLaw(t *testing.T) {
	for n, want := range map[int]float64{-1: 100, 0: 100, 1: 100, 2: 70.7, 3: 57.7, 4: 50, 100: 10} {
		require.InDelta(t, want, float64(queue.ControlLaw(100*ms, n))/float64(ms), 0.05, "n %d", n)
	}
}

// An item every millisecond that waited 50 ms: nothing for an interval, then
// drops after 100, 70.7, 57.7, 50 ms.
func TestCoDelDropsFasterAndFasterWhileItStaysBad(t *testing.T) {
	c := queue.NewCoDel(queue.CoDelOptions{})
	var drops []int
	for at := range 500 {
		if c.Drop(time.Duration(at)*ms, 50*ms, 10) {
			drops = append(drops, at)
		}
	}
	require.Equal(t, []int{100, 200, 271, 329, 379, 424, 464}, drops)
}

func TestCoDelForgetsWhatDrains(t *testing.T) {
	for name, relief := range map[string]func(*queue.CoDel, time.Duration) bool{
		"an item that waited the target": func(c *queue.CoDel, now time.Duration) bool { return c.Drop(now, 5*ms, 10) },
		"an item that was the last":      func(c *queue.CoDel, now time.Duration) bool { return c.Drop(now, time.Hour, 0) },
		"nothing to take":                func(c *queue.CoDel, now time.Duration) bool { c.Empty(); return false },
	} {
		c := queue.NewCoDel(queue.CoDelOptions{})
		for at := range 99 {
			require.False(t, c.Drop(time.Duration(at)*ms, 50*ms, 10))
		}
		require.False(t, relief(c, 99*ms), name)
		for at := 100; at < 200; at++ {
			require.False(t, c.Drop(time.Duration(at)*ms, 50*ms, 10), "%s, at %d ms", name, at)
		}
		require.True(t, c.Drop(200*ms, 50*ms, 10), name)
	}
}

// rfc is the pseudocode of RFC 8289, section 5, over a queue of arrival times.
type rfc struct {
	target, interval time.Duration
	queue            []time.Duration
	firstAbove       time.Duration
	dropNext         time.Duration
	count, lastcount int
	dropping         bool
	dropped, served  []time.Duration
}

func (q *rfc) dodequeue(now time.Duration) (p time.Duration, some, ok bool) {
	if len(q.queue) == 0 {
		q.firstAbove = 0
		return 0, false, false
	}
	p, q.queue = q.queue[0], q.queue[1:]
	switch {
	case now-p <= q.target || len(q.queue) == 0:
		q.firstAbove = 0
	case q.firstAbove == 0:
		q.firstAbove = now + q.interval
	case now >= q.firstAbove:
		ok = true
	}
	return p, true, ok
}

func (q *rfc) law(t time.Duration) time.Duration {
	return t + time.Duration(float64(q.interval)/math.Sqrt(float64(q.count)))
}

func (q *rfc) deque(now time.Duration) {
	p, some, ok := q.dodequeue(now)
	if q.dropping {
		if !ok {
			q.dropping = false
		}
		for now >= q.dropNext && q.dropping {
			q.dropped = append(q.dropped, p)
			q.count++
			if p, some, ok = q.dodequeue(now); !ok {
				q.dropping = false
			} else {
				q.dropNext = q.law(q.dropNext)
			}
		}
	} else if ok {
		q.dropped = append(q.dropped, p)
		p, some, _ = q.dodequeue(now)
		q.dropping = true
		delta := q.count - q.lastcount
		q.count = 1
		if delta > 1 && now-q.dropNext < 16*q.interval {
			q.count = delta
		}
		q.dropNext = q.law(now)
		q.lastcount = q.count
	}
	if some {
		q.served = append(q.served, p)
	}
}

// Item by item it decides as the RFC does.
func TestCoDelIsThatOfTheRFC(t *testing.T) {
	total := 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		want := &rfc{target: 5 * ms, interval: 100 * ms}
		c := queue.NewCoDel(queue.CoDelOptions{})
		var mine, dropped, served []time.Duration
		now := time.Duration(1)
		service, gap := 1+r.IntN(4), 1+r.IntN(4)
		for range 4_000 {
			now += time.Duration(r.IntN(1000*1000) + 1)
			if r.IntN(500) == 0 { // the load changes
				service, gap = 1+r.IntN(4), 1+r.IntN(4)
			}
			if r.IntN(gap) == 0 {
				want.queue, mine = append(want.queue, now), append(mine, now)
			}
			if r.IntN(service) != 0 {
				continue
			}
			want.deque(now)
			for len(mine) > 0 {
				p := mine[0]
				mine = mine[1:]
				if c.Drop(now, now-p, len(mine)) {
					dropped = append(dropped, p)
					continue
				}
				served = append(served, p)
				break
			}
			if len(mine) == 0 && len(want.queue) == 0 {
				c.Empty()
			}
		}
		require.Equal(t, want.dropped, dropped, "seed %d", seed)
		require.Equal(t, want.served, served, "seed %d", seed)
		total += len(dropped)
	}
	require.Greater(t, total, 1000, "the loads were heavy enough")
}

func TestCoDelOptions(t *testing.T) {
	for _, ok := range []queue.CoDelOptions{{}, {Target: time.Second}, {Target: -1}, {Target: ms, Interval: ms}} {
		require.NoError(t, ok.Validate(), "%+v", ok)
	}
	for want, o := range map[string]queue.CoDelOptions{
		"Target is -2ns":    {Target: -2},
		"Interval is -1ns":  {Interval: -1},
		"is shorter than":   {Target: time.Second, Interval: ms},
		"(1ms) is shorter ": {Interval: ms},
	} {
		require.ErrorContains(t, o.Validate(), want)
		c := queue.NewCoDel(o) // counts as not set
		require.False(t, c.Drop(0, 50*ms, 1))
		require.True(t, c.Drop(100*ms, 50*ms, 1))
	}
	never := queue.NewCoDel(queue.CoDelOptions{Target: -1})
	for at := range 1000 {
		require.False(t, never.Drop(time.Duration(at)*time.Second, time.Hour, 5))
	}
}
