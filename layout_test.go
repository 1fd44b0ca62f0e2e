package selfheal

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// Where there are very many watches, what is due together lies together, and
// nothing else is different: each is looked at, found by its name and removed.
func TestManyWatchesAreLaidOutAsTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = layOutFrom + 100
		s := New(Options{Escalate: escalate.To(escalate.NotifierFunc(func(context.Context, escalate.Notification) error { return nil }))})
		looks := make([]atomic.Int64, n)
		for i := range n {
			s.Watch(Watch{
				Name: fmt.Sprintf("watch-%d", i*7919%n), Every: time.Duration(1+i%3) * time.Second,
				Detector: detect.Func(func(context.Context) ([]detect.Finding, error) { looks[i].Add(1); return nil, nil }),
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(10 * time.Second)
		for i := range looks {
			require.GreaterOrEqual(t, looks[i].Load(), int64(3), "watch %d", i)
		}
		apart := 0
		for i, e := range s.order[1:] {
			if d := uintptr(unsafe.Pointer(e)) - uintptr(unsafe.Pointer(s.order[i])); d != unsafe.Sizeof(*e) {
				apart++
			}
		}
		require.LessOrEqual(t, apart, n/slab+1, "neighbours in time that are no neighbours in memory")

		require.NoError(t, s.Remove("watch-17"))
		require.ErrorContains(t, s.Remove("watch-17"), "there is no such watch")
		s.Watch(Watch{Name: "watch-17", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) { return nil, nil })})
		require.NoError(t, s.Validate())
		require.Len(t, s.Status().Watches, n)
		cancel()
		require.NoError(t, <-done)
	})
}
