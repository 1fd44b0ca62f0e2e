package command

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/selfheal-go/selfheal/remediate"
	"github.com/stretchr/testify/require"
)

// Run after run, no descriptor, no process and no zombie of ours is left.
func TestNothingPilesUp(t *testing.T) {
	descriptors := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(fds)
	}
	good, bad := New(program(t, "exit", "0")), New(program(t, "exit", "1"))
	missing := New(Options{Path: "/no/such/program"})
	run := func() {
		require.NoError(t, good(t.Context(), remediate.Request{}))
		require.Error(t, bad(t.Context(), remediate.Request{}))
		require.Error(t, missing(t.Context(), remediate.Request{}))
	}
	run()
	before := descriptors()
	for range 10 {
		run()
	}
	require.LessOrEqual(t, descriptors(), before)

	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err == nil && pid != os.Getpid() {
			require.NotEqual(t, os.Getpid(), parentOf(stat), "child %d is left: %s", pid, stat)
		}
	}
}

// A process that was killed with its group and is not gone yet is waited for,
// not called abandoned, and one of somebody else is never found.
func TestAbandonedGoesByTheTokenAlone(t *testing.T) {
	other := exec.Command("/bin/sleep", "20")
	other.Env = []string{"SELFHEAL_RUN_ID=token-of-another", "NOTE=SELFHEAL_RUN_ID=token"}
	require.NoError(t, other.Start())
	defer func() {
		require.NoError(t, other.Process.Kill())
		_ = other.Wait()
	}()
	require.Empty(t, abandoned("token", 0))
	require.Equal(t, []int{other.Process.Pid}, abandoned("token-of-another", 0))
	state, pgrp := standing(os.Getpid())
	require.NotZero(t, state)
	require.NotZero(t, pgrp)
	state, _ = standing(1 << 30)
	require.Zero(t, state)
}

func parentOf(stat []byte) int {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	ppid, _ := strconv.Atoi(string(fields[1]))
	return ppid
}

// What one run costs beside the plain start of a program.
func BenchmarkRun(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("action", func(b *testing.B) {
		a := New(Options{Path: "/bin/true"})
		for b.Loop() {
			if err := a(b.Context(), remediate.Request{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
