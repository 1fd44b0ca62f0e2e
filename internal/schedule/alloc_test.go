package schedule

import (
	"context"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// These run in real time, without sleeping: what a bubble allocates is its own.

func TestHealthyCheckAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ran := make(chan struct{}, 1000)
	run := func(context.Context, *Task, time.Time) { ran <- struct{}{} }
	s, stop := started(t)
	defer stop()
	woken := make([]*Task, 100)
	for i := range woken {
		woken[i] = &Task{Name: "w", Every: time.Hour, Phase: 30 * time.Minute, Run: run}
		s.Add(woken[i])
	}
	wake := func() {
		for _, task := range woken {
			s.Wake(task)
		}
		for range woken {
			<-ran
		}
	}
	wake()
	require.Zero(t, int(testing.AllocsPerRun(100, wake)), "of 100 wakes with their runs")
	for i := range 50 {
		s.Add(&Task{Name: string(rune('a' + i)), Every: time.Millisecond, Phase: 0, Run: run})
	}
	periodic := func() {
		for range 500 {
			<-ran
		}
	}
	periodic()
	require.Zero(t, int(testing.AllocsPerRun(20, periodic)), "of 500 periodic runs")
}

func TestSizes(t *testing.T) {
	require.LessOrEqual(t, int(unsafe.Sizeof(Task{})), 96, "bytes a task")
	require.Equal(t, 512, int(unsafe.Sizeof(block{})), "a size class of the allocator")
}
