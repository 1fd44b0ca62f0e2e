package sqlpool_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/builtin/sqlpool"
)

// A rebuild closes what nobody holds, and what is held when it is returned.
func TestARebuildLeavesHoldersAlone(t *testing.T) {
	s := newStand(t, 4, sqlpool.TrackerOptions{})
	s.keeps(t, 4)
	x, err := s.db.Begin()
	require.NoError(t, err)
	o := s.options()
	step := sqlpool.Rebuild(o)
	require.NoError(t, step.Run(t.Context(), request("i", "")))
	require.Equal(t, 1, s.open())
	_, err = x.Exec("x")
	require.NoError(t, err)
	require.NoError(t, x.Commit())
	require.Equal(t, 1, s.commits)
	require.Zero(t, s.open())
	require.Equal(t, 4, s.keeps(t, 4))
	require.Equal(t, 8, s.dials)
	require.ErrorContains(t, step.Run(t.Context(), request("j", "")), "the pool was rebuilt 0s ago")
}

// One that is stopped before it has begun loses no session: what it did not close is
// closed when it is asked for.
func TestARebuildThatIsStoppedLosesNothing(t *testing.T) {
	s := newStand(t, 4, sqlpool.TrackerOptions{})
	s.keeps(t, 4)
	sqlpool.Renew(s.tracker)
	require.Equal(t, 4, s.open())
	require.Equal(t, 4, s.keeps(t, 4))
	require.Equal(t, 4, s.open())
	require.Equal(t, 8, s.dials)
}

// Without a tracker it needs to know what to put back.
func TestARebuildPutsBackWhatItLowered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t, 4, sqlpool.TrackerOptions{})
		o := sqlpool.Options{DB: s.db}
		require.ErrorContains(t, sqlpool.Rebuild(o).Run(t.Context(), request("i", "")), "cannot be rebuilt and left as it was")
		o.Settings = &sqlpool.Settings{MaxIdle: 4}
		step := sqlpool.Rebuild(o)
		s.keeps(t, 4)
		c, err := s.db.Conn(t.Context())
		require.NoError(t, err)
		time.AfterFunc(2*time.Second, func() { _ = c.Close() })
		require.NoError(t, step.Run(t.Context(), request("i", "")))
		require.Zero(t, s.open(), "idle ones at once, the other one when it was returned")
		require.Equal(t, 4, s.keeps(t, 4))
		time.Sleep(time.Hour)
		require.Equal(t, 4, s.keeps(t, 4))
		require.Equal(t, 8, s.dials)

		// Also where it is stopped midway.
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, step.Run(ctx, request("j", "")), context.DeadlineExceeded)
		require.Equal(t, 4, s.keeps(t, 4))
		time.Sleep(time.Hour)
		require.Equal(t, 4, s.keeps(t, 4))
		require.Equal(t, 12, s.dials)
	})
}
