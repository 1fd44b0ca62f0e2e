package queue_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/queue"
)

func TestMeterKnowsDepthAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := queue.NewMeter(queue.CoDelOptions{})
		require.Zero(t, m.State())
		a := m.Enter()
		time.Sleep(3 * ms)
		b := m.Enter()
		time.Sleep(4 * ms)
		require.Equal(t, queue.MeterState{In: 2, Waiting: 2, Stuck: 7 * ms}, m.State())
		require.Equal(t, 7*ms, m.Leave(a))
		time.Sleep(ms)
		require.Equal(t, queue.MeterState{In: 2, Out: 1, Waiting: 1, Stuck: ms, Least: 7 * ms}, m.State())
		m.Withdraw(b)
		time.Sleep(time.Hour)
		require.Equal(t, queue.MeterState{In: 2, Out: 2}, m.State())
	})
}

// CoDel's rule: bad is a queue in which for a whole interval even the shortest
// wait was above the target.
func TestMeterFindsAStandingQueueAndNotABurst(t *testing.T) {
	type item struct {
		in, out int // ms
	}
	for name, c := range map[string]struct {
		served []item // in order of out
		behind int    // items that stay
		want   bool
	}{
		"a burst that drains":                        {[]item{{0, 40}, {0, 80}, {0, 120}, {118, 121}}, 1, false},
		"above, but not for an interval":             {[]item{{0, 10}, {0, 60}, {50, 109}}, 1, false},
		"above for an interval":                      {[]item{{0, 10}, {0, 60}, {50, 110}}, 1, true},
		"one short wait in between":                  {[]item{{0, 10}, {55, 60}, {50, 110}}, 1, false},
		"at the target is not above":                 {[]item{{5, 10}, {55, 60}, {105, 110}}, 1, false},
		"just above is":                              {[]item{{4, 10}, {54, 60}, {104, 110}}, 1, true},
		"it emptied in between":                      {[]item{{0, 10}, {0, 60}, {50, 110}}, 0, false},
		"above again after a good one counts anew":   {[]item{{0, 10}, {60, 61}, {0, 70}, {0, 160}}, 1, false},
		"above again, and long enough this time too": {[]item{{0, 10}, {60, 61}, {0, 70}, {0, 170}}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := queue.NewMeter(queue.CoDelOptions{})
				stamps := map[item]queue.Stamp{}
				for range c.behind {
					m.Enter()
				}
				for now := range 200 {
					for _, i := range c.served {
						if i.in == now {
							stamps[i] = m.Enter()
						}
					}
					for n, i := range c.served {
						if i.out == now {
							m.Leave(stamps[i])
							if n == len(c.served)-1 {
								require.Equal(t, c.want, m.Overloaded(), "%+v", m.State())
								return
							}
						}
					}
					time.Sleep(ms)
				}
			})
		})
	}
}

// A consumer that takes nothing gives no wait to measure: the head's age does.
func TestMeterFindsAConsumerThatStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := queue.NewMeter(queue.CoDelOptions{})
		m.Leave(m.Enter())
		time.Sleep(time.Hour) // idle is not stalled
		m.Enter()
		time.Sleep(105 * ms)
		require.False(t, m.Overloaded())
		time.Sleep(ms)
		require.True(t, m.Overloaded())
		require.Equal(t, 106*ms, m.State().Stuck)
		require.Equal(t, 106*ms, m.State().Least)
	})
}

// What went above and then left unserved says nothing about what comes later.
func TestMeterForgetsAWithdrawnQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := queue.NewMeter(queue.CoDelOptions{})
		a, b := m.Enter(), m.Enter()
		time.Sleep(10 * ms)
		m.Leave(a)
		m.Withdraw(b)
		time.Sleep(time.Hour)
		c, d := m.Enter(), m.Enter()
		time.Sleep(6 * ms)
		m.Leave(c)
		require.False(t, m.Overloaded())
		m.Leave(d)
	})
}

func TestMeterOfAQueueThatKnowsItsAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := queue.NewMeter(queue.CoDelOptions{Target: time.Second, Interval: 10 * time.Second})
		for range 21 {
			m.Observe(2*time.Second, 5)
			time.Sleep(500 * ms)
		}
		require.Equal(t, queue.MeterState{In: 26, Out: 21, Waiting: 5, Stuck: 500 * ms, Overloaded: true, Least: 2 * time.Second}, m.State())
		m.Observe(2*time.Second, 0)
		require.False(t, m.Overloaded())
		m.Observe(-time.Second, -1) // a clock that stepped
		require.False(t, m.Overloaded())
		require.Zero(t, m.State().Waiting)
	})
}

func TestMeterCountsUnderConcurrency(t *testing.T) {
	m := queue.NewMeter(queue.CoDelOptions{})
	jobs := make(chan queue.Stamp, 64)
	var producers, consumers sync.WaitGroup
	for range 4 {
		producers.Go(func() {
			for range 5_000 {
				jobs <- m.Enter()
			}
		})
		consumers.Go(func() {
			for s := range jobs {
				m.Leave(s)
			}
		})
	}
	producers.Wait()
	close(jobs)
	consumers.Wait()
	require.Equal(t, queue.MeterState{In: 20_000, Out: 20_000}, m.State())
}
