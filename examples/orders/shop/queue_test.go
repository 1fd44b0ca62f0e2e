package shop

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/selfhealtest"
)

// slowShop is the real queue and the real pool around a payment server that serves
// four at once.
type slowShop struct {
	queue   *Queue
	pool    *Pool
	latency atomic.Int64
	refused atomic.Int64
}

func newSlowShop(latency time.Duration) *slowShop {
	s := &slowShop{queue: NewQueue(Production().QueueSize)}
	s.latency.Store(int64(latency))
	slots := make(chan struct{}, 4)
	serve := func(context.Context, Order) error {
		slots <- struct{}{}
		time.Sleep(time.Duration(s.latency.Load()))
		<-slots
		return nil
	}
	s.pool = NewPool(Production(), s.queue, func() Serve { return serve }, func(Order, error) {})
	s.pool.Start()
	return s
}

// customers come 50 a second, for a while.
func (s *slowShop) customers(d time.Duration) {
	for range d / time.Second {
		time.Sleep(time.Second)
		for range 50 {
			if s.queue.Put(Order{}) != nil {
				s.refused.Add(1)
			}
		}
	}
}

// The payment server takes 200ms for a call: 20 orders a second are paid, and 50
// come. Half an hour of that takes well under a second.
func TestALongQueueIsHealedByShedding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowShop(200 * time.Millisecond)
		defer s.pool.Stop()
		trial := selfhealtest.Start(t, s.queue.Healing(s.pool))

		s.customers(20 * time.Minute)
		require.True(t, s.queue.Shedding())
		s.latency.Store(int64(10 * time.Millisecond)) // it recovers
		s.customers(10 * time.Minute)

		trial.Want(`
			4m47s open orders/queue: 8618 orders is above 5000
			7m47s step scale-workers: no effect
			17m47s step shed-load: healed
			22m47s undo shed-load
			22m47s undo scale-workers
			22m47s close`)
		require.False(t, s.queue.Shedding())
		require.Equal(t, Production().Workers, s.pool.Size())
		require.NotZero(t, s.refused.Load())
		require.Empty(t, trial.Pager().Pages())
	})
}

// A rush that is over within two minutes is nobody's business.
func TestAShortRushIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowShop(60 * time.Millisecond)
		defer s.pool.Stop()
		trial := selfhealtest.Start(t, s.queue.Healing(s.pool))
		time.Sleep(time.Minute)
		for range 6_000 {
			require.NoError(t, s.queue.Put(Order{}))
		}
		time.Sleep(10 * time.Minute)
		trial.Want(`2m15s blip`)
		require.Equal(t, Production().Workers, s.pool.Size())
	})
}
