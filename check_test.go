package selfheal

import (
	"context"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// A million watches are looked at a second: none straddles a cache line more
// than it must.
func TestAWatchFillsWholeCacheLines(t *testing.T) {
	require.Zero(t, unsafe.Sizeof(entry{})%64, "%d bytes: adjust its padding", unsafe.Sizeof(entry{}))
}

// A look at a healthy watch touches nothing that is shared and allocates nothing.
func TestAHealthyLookAllocatesNothing(t *testing.T) {
	s := New(Options{Escalate: escalate.To(escalate.Log(nil))})
	value := 1
	s.Watch(Watch{Name: "q", Detector: detect.Above(func(context.Context) (int, error) { return value, nil }, 5)})
	e := s.entries["q"]
	e.task.Owner = e
	s.alive.Store(true)
	ctx, now := context.Background(), time.Now()
	require.Zero(t, testing.AllocsPerRun(1000, func() { check(ctx, &e.task, now) }))
	require.Empty(t, s.inbox)
	require.NotZero(t, e.lastSeen.Load())

	value = 9
	check(ctx, &e.task, now)
	require.Len(t, s.inbox, 1, "a finding is posted")
	value = 1
	check(ctx, &e.task, now)
	require.Len(t, s.inbox, 2, "and so is the first look that is well again")
	check(ctx, &e.task, now)
	require.Len(t, s.inbox, 2, "and no more")
}
