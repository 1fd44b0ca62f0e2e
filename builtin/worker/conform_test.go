package worker_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/worker"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func selfhealtestRequest(key string) remediate.Request {
	return remediate.Request{Incident: "i", Step: "s", Attempt: 1, Try: 1, Finding: detect.Finding{Key: key, Summary: "x"}}
}

func TestModule(t *testing.T) {
	t.Run("zero", func(t *testing.T) {
		selfhealtest.TestModule(t, func(*testing.T) selfheal.Module { return worker.Module(worker.Options{}) })
	})
	t.Run("full", func(t *testing.T) {
		selfhealtest.TestModule(t, func(t *testing.T) selfheal.Module {
			h := &hanging{}
			g := worker.NewGroup(silent(worker.GroupOptions{Name: "g"}))
			require.NoError(t, g.Add(worker.Spec{Name: "a", Run: h.run, Budget: 5 * time.Second}))
			started(t, g)
			return worker.Module(worker.Options{
				Groups: []*worker.Group{g}, Recycle: 3, Runbook: "https://example.com/worker",
				QuarantineInput: func(context.Context, remediate.Request) error { return nil },
			})
		})
	})
}

func TestCrashDetector(t *testing.T) {
	selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
		p := newPuppet("a", nil)
		g := worker.NewGroup(silent(worker.GroupOptions{Restart: worker.Restart{Delay: -1, Intensity: 1, Quarantine: -1}}))
		require.NoError(t, g.Add(p.spec(), newPuppet("b", nil).spec()))
		started(t, g)
		return selfhealtest.DetectorFixture{
			Detector: worker.Crash(worker.Options{Groups: []*worker.Group{g}}).Detector,
			Sicken: func() {
				for of(t, g, "a").State != "given up" {
					select {
					case p.say <- func() error { return errFault }:
					case <-time.After(time.Millisecond):
					}
				}
			},
			Heal:   func() { require.NoError(t, g.Release("a")) },
			Within: time.Second,
		}
	})
}

func TestStuckDetector(t *testing.T) {
	selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
		var silent_ atomic.Bool
		g := worker.NewGroup(silent(worker.GroupOptions{}))
		require.NoError(t, g.Add(worker.Spec{Name: "a", Budget: 10 * time.Millisecond, Run: func(ctx context.Context, beat func()) error {
			for ctx.Err() == nil {
				if !silent_.Load() {
					beat()
				}
				time.Sleep(time.Millisecond)
			}
			return nil
		}}))
		started(t, g)
		return selfhealtest.DetectorFixture{
			Detector: worker.Stuck(worker.Options{Groups: []*worker.Group{g}, Every: 100 * time.Millisecond}).Detector,
			Sicken:   func() { silent_.Store(true) },
			Heal:     func() { silent_.Store(false) },
			Within:   3 * time.Second,
			Skip:     map[string]string{"wake": "silence is seen by looking", "wake-again": "silence is seen by looking"},
		}
	})
}

func stepWorld(t *testing.T, action func(...*worker.Group) remediate.Action) selfhealtest.StepFixture {
	var runs atomic.Int64
	g := worker.NewGroup(silent(worker.GroupOptions{MaxAbandoned: 1000}))
	var once sync.Once
	require.NoError(t, g.Add(worker.Spec{Name: "a", Run: func(ctx context.Context, _ func()) error {
		runs.Add(1)
		<-ctx.Done()
		return nil
	}}))
	started(t, g)
	until(t, func() bool { return runs.Load() == 1 })
	settled := func() int {
		until(t, func() bool { return of(t, g, "a").State == "running" })
		time.Sleep(5 * time.Millisecond) // the new goroutine counts itself
		return int(runs.Load())
	}
	return selfhealtest.StepFixture{
		Step:         remediate.Step{Name: "restart", Run: action(g), Lasting: true},
		Finding:      detect.Finding{Key: "a", Summary: "sick"},
		State:        func() string { return fmt.Sprint(settled()) },
		Effect:       settled,
		Inapplicable: func() { once.Do(func() { require.NoError(t, g.Remove(t.Context(), "a")) }) },
		Skip:         map[string]string{"skip": "State waits for the worker, which is gone: TestStepsSkip has it"},
	}
}

func TestRestartStep(t *testing.T) {
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture { return stepWorld(t, worker.RestartWorker) })
}

func TestReplaceStep(t *testing.T) {
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture { return stepWorld(t, worker.ReplaceWorker) })
}

func TestStepsSkip(t *testing.T) {
	g := worker.NewGroup(silent(worker.GroupOptions{Name: "g"}))
	require.NoError(t, g.Add(newPuppet("a", nil).spec()))
	for _, key := range []string{"", "a", "g", "g/b", "g/a", "\x00"} { // g/a: its group does not run
		for _, a := range []remediate.Action{worker.RestartWorker(g), worker.ReplaceWorker(g), worker.RestartWorker(), worker.ReplaceWorker(nil, g)} {
			require.ErrorIs(t, a(t.Context(), selfhealtestRequest(key)), remediate.ErrSkip, key)
		}
	}
}
