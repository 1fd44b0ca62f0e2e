package worker_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Memory is measured in a process of its own for each side: goroutines that have
// ended leave stacks and headers behind which the next ones use again.

const (
	many     = 10_000
	childEnv = "SELFHEAL_BENCH_MEMORY"
)

// inUse is the heap and the stacks.
func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// bare is what nobody supervises: a goroutine each, waiting for one context.
func bare(_ testing.TB, services ...*service) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	for _, s := range services {
		go func() { _ = s.Serve(ctx) }()
	}
	return cancel
}

// TestMemoryOfASide is the child: it prints the bytes a worker beyond the user's
// own values.
func TestMemoryOfASide(t *testing.T) {
	name := os.Getenv(childEnv)
	run := bare
	for _, s := range sides {
		if s.name == name {
			run = s.run
		}
	}
	if name == "" {
		t.Skip("it is run by TestNoMoreMemoryAWorker")
	}
	var up atomic.Int64
	ss := make([]*service, many)
	for i := range ss {
		ss[i] = &service{fmt.Sprintf("worker-%05d", i), func(ctx context.Context) error {
			up.Add(1)
			<-ctx.Done()
			return nil
		}}
	}
	before := inUse()
	stop := run(t, ss...)
	for up.Load() < many {
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("%s=%d\n", childEnv, (inUse()-before)/many)
	stop()
	runtime.KeepAlive(ss)
}

// memory is the median of some processes.
func memory(t *testing.T, side string) int {
	t.Helper()
	var all []int
	for range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestMemoryOfASide$", "-test.count=1")
		// Without the collector, because a goroutine that happens to help it while it
		// starts grows its stack; inUse calls it when all are up.
		cmd.Env = append(os.Environ(), childEnv+"="+side, "GOGC=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		_, rest, _ := strings.Cut(string(out), childEnv+"=")
		line, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.Atoi(line)
		if err != nil {
			t.Fatalf("the child printed %q", out)
		}
		all = append(all, n)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// A worker costs no more memory than suture's service, at 10,000.
func TestNoMoreMemoryAWorker(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	plain, ours, theirs := memory(t, "bare"), memory(t, "selfheal"), memory(t, "suture")
	t.Logf("bytes a worker at %d: bare goroutine %d, selfheal %d, suture %d", many, plain, ours, theirs)
	if ours > theirs {
		t.Errorf("a worker costs %d bytes, and a service of suture %d", ours, theirs)
	}
}
