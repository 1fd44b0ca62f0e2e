package remediate

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var errBusy = errors.New("busy")

// tried runs Do in virtual time and returns at which seconds op was called.
func tried(t *testing.T, b Backoff, ctx func() (context.Context, context.CancelFunc), op func(try int) error) (at []time.Duration, total time.Duration, err error) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		c, cancel := ctx()
		defer cancel()
		began := time.Now()
		err = b.Do(c, func(context.Context) error {
			at = append(at, time.Since(began))
			return op(len(at))
		})
		total = time.Since(began)
	})
	return at, total, err
}

func forever() (context.Context, context.CancelFunc) {
	return context.WithCancel(context.Background())
}

func busy(int) error { return errBusy }

func TestDoPausesBetweenTries(t *testing.T) {
	const s = time.Second
	at, total, err := tried(t, Backoff{Tries: 5, Max: 3 * s}, forever, busy)
	require.ErrorIs(t, err, errBusy)
	require.EqualError(t, err, "remediate: try 5 of 5: busy")
	require.Equal(t, []time.Duration{0, s, 3 * s, 6 * s, 9 * s}, at)
	require.Equal(t, 9*s, total, "no pause after the last try")
}

func TestDoEndsWithTheFirstSuccess(t *testing.T) {
	at, _, err := tried(t, Backoff{Tries: 5}, forever, func(try int) error {
		if try < 3 {
			return errBusy
		}
		return nil
	})
	require.NoError(t, err)
	require.Len(t, at, 3)
}

func TestDoOnceByDefault(t *testing.T) {
	at, total, err := tried(t, Backoff{}, forever, busy)
	require.ErrorIs(t, err, errBusy)
	require.Len(t, at, 1)
	require.Zero(t, total)
}

func TestDoDoesNotRepeatWhatIsFinal(t *testing.T) {
	for _, final := range []error{ErrSkip, fmt.Errorf("no spare: %w", ErrEscalate), &RecycleRequest{Code: 3}} {
		at, total, err := tried(t, Backoff{Tries: 5}, forever, func(int) error { return final })
		require.Equal(t, final, err, "unchanged")
		require.Len(t, at, 1)
		require.Zero(t, total)
	}
}

func TestDoStopsWithItsContext(t *testing.T) {
	t.Run("in a pause", func(t *testing.T) {
		at, total, err := tried(t, Backoff{Tries: 5}, func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 1500*time.Millisecond)
		}, busy)
		require.ErrorIs(t, err, errBusy)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "remediate: try 2 of 5: busy; no further try: context deadline exceeded")
		require.Len(t, at, 2)
		require.Equal(t, 1500*time.Millisecond, total)
	})
	t.Run("with its cause", func(t *testing.T) {
		at, _, err := tried(t, Backoff{Tries: 5}, func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(time.Millisecond, func() { cancel(ErrStopping) })
			return ctx, func() { cancel(nil) }
		}, busy)
		require.ErrorIs(t, err, ErrStopping)
		require.Len(t, at, 1)
	})
	t.Run("before the first try", func(t *testing.T) {
		at, _, err := tried(t, Backoff{Tries: 5}, func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(context.Background())
			cancel(ErrStopping)
			return ctx, func() {}
		}, busy)
		require.ErrorIs(t, err, ErrStopping)
		require.Empty(t, at)
	})
}

func TestDoLeavesAPanicToTheCaller(t *testing.T) {
	require.PanicsWithValue(t, "boom", func() {
		_ = Backoff{Tries: 3}.Do(t.Context(), func(context.Context) error { panic("boom") })
	})
}
