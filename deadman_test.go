package selfheal

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A scheduler that turns is not enough, nor is a loop that nobody asked.
func TestASignOfLifeTakesTheSchedulerAndTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var signs atomic.Int64
		s := New(Options{DeadMan: escalate.DeadMan{URL: "https://example.test/", Client: &http.Client{
			Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				signs.Add(1)
				return httptest.NewRecorder().Result(), nil
			}),
		}}})
		s.calls.begin(t.Context())
		defer s.calls.abandonAll()
		h := newHeart(s)
		for range 3 {
			h.task.Run(t.Context(), &h.task, time.Now())
			synctest.Wait()
		}
		require.Zero(t, signs.Load(), "the scheduler turned, the loop did not")
		h.turned()
		synctest.Wait()
		require.EqualValues(t, 1, signs.Load())
		h.turned()
		synctest.Wait()
		require.EqualValues(t, 1, signs.Load(), "the loop turned, the scheduler did not")
		h.stop()
		h.task.Run(t.Context(), &h.task, time.Now())
		h.turned()
		synctest.Wait()
		require.EqualValues(t, 1, signs.Load(), "it is over")
	})
	require.Nil(t, newHeart(New(Options{})))
	require.Nil(t, (*heart)(nil).status())
}
