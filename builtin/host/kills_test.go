package host

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/selfhealtest"
)

func TestKillsInATree(t *testing.T) {
	for name, file := range map[string]string{"v2": v2Group + "memory.events", "v1": "sys/fs/cgroup/memory/memory.oom_control"} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
				tr := recorded(t, name)
				kills := 7
				write := func() { tr.set(file, events(0, kills)) }
				write() // what was before says nothing
				d := watched(t, OOM(Options{Root: tr.root})).(*oom)
				const why = "it is a Waker only to be told when a run begins and ends; the kernel is read, it does not call"
				return selfhealtest.DetectorFixture{
					Detector: d,
					Sicken:   func() { kills++; write() },
					Heal:     func() { d.age(2 * time.Hour); write() },
					Break:    func() { tr.set(file, deadBeef) },
					Skip:     map[string]string{"wake": why, "wake-again": why},
				}
			})
		})
	}
}

// Where nothing can be noted the watch is blind, and no longer than that: kills are
// found all the same.
func TestAFolderThatCannotBeWrittenIsBlindForAsLong(t *testing.T) {
	tr, state := recorded(t, "v2"), filepath.Join(t.TempDir(), "state")
	require.NoError(t, os.WriteFile(state, nil, 0o600))
	d := OOM(Options{Root: tr.root, OOM: OOMOptions{StateDir: state}}).Detector.(*oom)
	d.OnWake(func() {})
	for range 2 {
		_, err := d.Detect(t.Context())
		require.ErrorContains(t, err, "how this run ends cannot be noted")
	}
	tr.set(v2Group+"memory.events", events(0, 99))
	found, err := d.Detect(t.Context())
	require.Error(t, err)
	require.Len(t, found, 1)
	require.NoError(t, os.Remove(state))
	require.Len(t, look(t, d), 1)
	text, err := os.ReadFile(filepath.Join(state, notesName))
	require.NoError(t, err)
	require.EqualValues(t, 99, parseRecord(text).Kills)
	d.OnWake(nil)
	text, err = os.ReadFile(filepath.Join(state, notesName))
	require.NoError(t, err)
	require.True(t, parseRecord(text).Clean)
}

// Kills that were counted while they could not be read, or of another group, accuse
// nobody.
func TestWhatWasNotCountedProvesNothing(t *testing.T) {
	for looks := range 2 {
		tr, state := recorded(t, "v2"), t.TempDir()
		o := Options{Root: tr.root, OOM: OOMOptions{StateDir: state}}
		tr.set(v2Group+"memory.events", deadBeef)
		d := OOM(o).Detector.(*oom)
		d.OnWake(func() {})
		for range looks {
			_, err := d.Detect(t.Context())
			require.Error(t, err)
		}
		tr.set(v2Group+"memory.events", events(0, 7)) // from before; then it ends uncleanly
		next := OOM(o).Detector.(*oom)
		next.OnWake(func() {})
		require.Empty(t, look(t, next))
		tr.set("proc/self/cgroup", "0::/system.slice\n")
		tr.set("sys/fs/cgroup/system.slice/memory.events", events(0, 70))
		next.file.found = false // as after a read that failed, since the group is gone
		require.Empty(t, look(t, next))
	}
}

// A process that the kernel slows down for a minute, and not for a moment.
func TestMemoryHighMustLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := recorded(t, "v2")
		d := watched(t, MemoryHigh(Options{Root: tr.root}))
		high := 0
		rise := func(seconds int) (found int) {
			for range seconds {
				time.Sleep(time.Second)
				high++
				tr.set(v2Group+"memory.events", events(high, 0))
				found = len(look(t, d))
			}
			return found
		}
		require.Zero(t, rise(59))
		time.Sleep(16 * time.Second)
		require.Empty(t, look(t, d), "calm")
		require.Zero(t, rise(60))
		require.Equal(t, 1, rise(1))
		time.Sleep(16 * time.Second)
		require.Empty(t, look(t, d))
	})
}
