package detect_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

func TestStaleError(t *testing.T) {
	err := fmt.Errorf("look: %w", errors.Join(errors.New("other"), &detect.StaleError{Stale: []detect.Stale{
		{Finding: detect.Finding{Key: "a", Summary: "down"}, Why: "restored"},
		{Finding: detect.Finding{Key: "b"}, Why: "no data"},
		{Finding: detect.Finding{Key: "c"}, Why: "restored"},
	}}))
	require.ErrorContains(t, err, `nobody vouches for what is known: restored: "a", "c"; no data: "b"`)
	require.Len(t, detect.StaleOf(err), 3)
	require.Equal(t, "down", detect.StaleOf(err)[0].Finding.Summary)
	require.Nil(t, detect.StaleOf(nil))
	require.Nil(t, detect.StaleOf(errors.New("other")))
}

func TestMemoryStore(t *testing.T) {
	var s detect.MemoryStore
	ctx := t.Context()
	all, err := s.Load(ctx)
	require.NoError(t, err)
	require.Empty(t, all)
	value := []byte("1")
	require.NoError(t, s.Put(ctx, detect.Entry{Key: "b", Value: value}, detect.Entry{Key: "a", Value: value}))
	value[0] = '2'
	require.NoError(t, s.Put(ctx, detect.Entry{Key: "b", Value: []byte("3")}))
	require.NoError(t, s.Delete(ctx, "never"))
	all, err = s.Load(ctx)
	require.NoError(t, err)
	require.Equal(t, []detect.Entry{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("3")}}, all)
	all[0].Value[0] = 'x'
	again, err := s.Load(ctx)
	require.NoError(t, err)
	require.Equal(t, "1", string(again[0].Value))
	require.NoError(t, s.Delete(ctx, "a", "b"))
	all, err = s.Load(ctx)
	require.NoError(t, err)
	require.Empty(t, all)
}

// late is a detector that learns late.
type late time.Duration

func (late) Detect(context.Context) ([]detect.Finding, error) { return nil, nil }
func (l late) Lag() time.Duration                             { return time.Duration(l) }

func TestLagPassesThrough(t *testing.T) {
	plain := detect.Func(func(context.Context) ([]detect.Finding, error) { return nil, nil })
	for want, d := range map[time.Duration]detect.Detector{
		5: detect.Any(detect.AnyOptions{Detectors: []detect.Detector{late(3), plain, late(5), late(-1)}}),
		4: detect.All(detect.AllOptions{Detectors: []detect.Detector{late(4), plain}}),
		7: detect.Confirm(detect.ConfirmOptions{Detector: late(7), N: 1}),
		0: detect.Confirm(detect.ConfirmOptions{Detector: plain, N: 1}),
	} {
		require.Equal(t, want, d.(detect.Lagging).Lag())
	}
	require.Zero(t, detect.Any(detect.AnyOptions{}).(detect.Lagging).Lag())
	require.Zero(t, detect.Confirm(detect.ConfirmOptions{}).(detect.Lagging).Lag())
}
