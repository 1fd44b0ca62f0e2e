package shop

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/selfhealtest"
)

// One worker, so that it is known which one hangs.
func TestAWorkerThatHangsIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Production()
		c.Workers = 1
		queue := NewQueue(c.QueueSize)
		gifts := make(chan struct{})
		served, aside := []int64{}, []int64{}
		pool := NewPool(c, queue, func() Serve {
			return func(_ context.Context, o Order) error {
				if o.Gift {
					<-gifts // for ever, as far as the worker is concerned
				}
				return nil
			}
		}, func(o Order, err error) {
			if err != nil {
				aside = append(aside, o.ID)
				return
			}
			served = append(served, o.ID)
		})
		pool.Start()
		defer pool.Stop()
		trial := selfhealtest.Start(t, pool.Healing())

		time.Sleep(10 * time.Second)
		require.NoError(t, queue.Put(Order{ID: 1, Gift: true}))
		require.NoError(t, queue.Put(Order{ID: 2}))
		time.Sleep(10 * time.Minute)

		trial.Want(`
			40s open orders/workers[worker-1]: no beat for 30.6s, budget 30s
			1m40s step replace-worker: healed
			4m40s close`)
		require.Equal(t, []int64{1}, aside, "the order that hung the worker is kept for a person")
		require.Equal(t, []int64{2}, served)
		require.Equal(t, 1, pool.Size())
		require.Empty(t, trial.Pager().Pages())

		close(gifts) // the old worker comes back after all: its order was taken from it
		synctest.Wait()
		require.Equal(t, []int64{2}, served)
	})
}

// A worker that has nothing to do, or is slow within its budget, is not stuck.
func TestASlowWorkerIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Production()
		queue := NewQueue(c.QueueSize)
		slow := func(context.Context, Order) error { time.Sleep(29 * time.Second); return nil }
		pool := NewPool(c, queue, func() Serve { return slow }, func(Order, error) {})
		pool.Start()
		defer pool.Stop()
		trial := selfhealtest.Start(t, pool.Healing())
		time.Sleep(10 * time.Minute)
		for range 100 {
			require.NoError(t, queue.Put(Order{}))
		}
		time.Sleep(10 * time.Minute)
		trial.Want("")
	})
}
