package goruntime_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/goruntime"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func TestModule(t *testing.T) {
	selfhealtest.TestModule(t, func(*testing.T) selfheal.Module { return goruntime.Module(goruntime.Options{}) })
}

func TestModuleWithEverything(t *testing.T) {
	step := func(name string, risk remediate.Risk) remediate.Step {
		return remediate.Step{Name: name, Run: func(context.Context, remediate.Request) error { return nil }, Risk: risk, Lasting: risk != remediate.Safe}
	}
	selfhealtest.TestModule(t, func(t *testing.T) selfheal.Module {
		return goruntime.Module(goruntime.Options{
			Caches: &goruntime.Caches{}, EarlyFor: time.Minute,
			Relief:   []remediate.Step{step("shed", remediate.Disruptive), step("debug-off", remediate.Safe)},
			StopLeak: []remediate.Step{step("cancel", remediate.Disruptive)},
		})
	})
}

func TestWrongOptionsAreReportedAndNothingPanics(t *testing.T) {
	m := goruntime.Module(goruntime.Options{
		RecycleCode: 300, EarlyFor: -2, Window: 1, MemoryAct: 2, RaiseBy: -2, RaiseFor: -1, GCEarly: 0.9,
		LockFactor: 0.5, LockFloor: -1, LatencyClear: time.Second, MaxThreads: -2, ThreadsAct: 7,
		Leak: goruntime.LeakOptions{MinGrowth: -1},
	})
	s := selfheal.New(selfheal.Options{Escalate: escalate.To(&selfhealtest.Pager{})})
	s.Install(m)
	err := s.Validate()
	require.Error(t, err)
	for _, w := range []string{
		"RecycleCode is 300", "EarlyFor is -2ns", "Window is 1ns", "levels of memory", "RaiseBy is -2", "RaiseFor is -1ns",
		"levels of garbage collection", "LockFactor is 0.5", "LockFloor is -1", "levels of scheduler latency", "MaxThreads is -2",
		"levels of threads", "MinGrowth of the leak detector is -1",
	} {
		require.Contains(t, err.Error(), w)
	}
	for _, w := range m.Watches {
		_, err := w.Detector.Detect(context.Background())
		require.Error(t, err, w.Name)
	}
}

func TestTheMemoryDetectorIsADetector(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the names of the tree are Linux's")
	}
	selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
		root := t.TempDir()
		set := func(name, text string) {
			file := filepath.Join(root, filepath.FromSlash(name))
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		}
		usage := func(text string) func() { return func() { set("sys/fs/cgroup/app/memory.current", text) } }
		set("proc/self/cgroup", "0::/app\n")
		set("proc/self/mountinfo", "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
		set("sys/fs/cgroup/app/memory.max", "100000000000\n")
		set("sys/fs/cgroup/app/memory.stat", "inactive_file 0\n")
		usage("50000000000\n")()
		return selfhealtest.DetectorFixture{
			Detector: goruntime.Memory(goruntime.Options{Root: root}).Detector,
			Sicken:   usage("97000000000\n"), Heal: usage("50000000000\n"), Break: usage("lots\n"),
		}
	})
}

// bubble is a module's watch with another detector, so that its ladder can be
// watched in virtual time.
func bubble(w selfheal.Watch, d detect.Detector) selfheal.Watch {
	w.Detector = d
	return w
}

func TestTheMemoryLadder(t *testing.T) {
	finding := func(severity detect.Severity, key string) selfhealtest.Frame {
		return selfhealtest.Frame{Findings: []detect.Finding{{Key: key, Severity: severity, Summary: "memory is short", Value: 0.97, Limit: 0.95}}}
	}
	t.Run("a warning does only what nobody notices", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var caches goruntime.Caches
			var sick atomic.Bool
			sick.Store(true)
			caches.OnPressure("pages", func(_ context.Context, p goruntime.Pressure) error {
				if p.Severity != detect.Warning {
					t.Errorf("severity %v", p.Severity)
				}
				return nil
			})
			w := bubble(goruntime.Memory(goruntime.Options{Root: t.TempDir(), Caches: &caches}), selfhealtest.Script(finding(detect.Warning, goruntime.Early)))
			trial := selfhealtest.Start(t, w)
			time.Sleep(time.Minute)
			trial.Want(`
				0s open memory[early]: memory is short
				10s step shrink-caches: no effect
				10s step free-os-memory: skipped
				10s step raise-memory-limit: skipped
				10s step recycle: skipped
				10s page exhausted`)
		})
	})
	t.Run("an acute shortage climbs to the end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := bubble(goruntime.Memory(goruntime.Options{Root: t.TempDir(), RecycleCode: -1}), selfhealtest.Script(finding(detect.Critical, "")))
			trial := selfhealtest.Start(t, w)
			time.Sleep(time.Minute)
			trial.Want(`
				0s open memory: memory is short
				0s step shrink-caches: skipped
				10s step free-os-memory: no effect
				10s step raise-memory-limit: skipped
				10s page exhausted`)
		})
	})
	t.Run("what is blind is not acted on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := bubble(goruntime.Memory(goruntime.Options{Root: t.TempDir()}), selfhealtest.Script(selfhealtest.Frame{Err: fmt.Errorf("cannot read")}))
			trial := selfhealtest.Start(t, w)
			time.Sleep(10 * time.Second)
			trial.Want(`0s blind: cannot read`)
		})
	})
	t.Run("nothing that people notice runs in a storm", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := bubble(goruntime.Memory(goruntime.Options{Root: t.TempDir()}), selfhealtest.Script(finding(detect.Critical, "")))
			watches := []selfheal.Watch{w}
			for i := range 6 {
				watches = append(watches, selfheal.Watch{
					Name: fmt.Sprint("other", i), Detector: selfhealtest.Script(finding(detect.Critical, "")),
					Playbook: remediate.Ladder(remediate.Step{Name: "fix", Lasting: true, Run: func(context.Context, remediate.Request) error {
						t.Error("fixed in a storm")
						return nil
					}}),
				})
			}
			trial := selfhealtest.Start(t, watches...)
			time.Sleep(4 * time.Minute) // a storm ends 5 min after the last new one
			got := trial.Timeline()
			require.Contains(t, got, "hold memory raise-memory-limit: storm")
			require.NotContains(t, got, "step memory recycle")
		})
	})
	t.Run("nothing runs while a person said halt", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var caches goruntime.Caches
			caches.OnPressure("pages", func(context.Context, goruntime.Pressure) error { t.Error("asked"); return nil })
			quiet := selfhealtest.Frame{}
			w := bubble(goruntime.Memory(goruntime.Options{Root: t.TempDir(), Caches: &caches}), selfhealtest.Script(quiet, quiet, quiet, quiet, finding(detect.Critical, "")))
			trial := selfhealtest.Start(t, w)
			require.NoError(t, trial.Supervisor().Halt("ann", "test"))
			time.Sleep(30 * time.Second)
			require.Contains(t, trial.Timeline(), "hold shrink-caches: halt")
		})
	})
}

func TestALeakPagesWithItsSiteAndAFloodRecycles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leak := detect.Finding{Key: "main.f (app/main.go:1)", Summary: "proven goroutine leak", Value: 20, Labels: map[string]string{"verdict": goruntime.Proven}}
		flood := leak
		flood.Key, flood.Severity = "flood: "+leak.Key, detect.Critical
		stopped := 0
		o := goruntime.Options{StopLeak: []remediate.Step{goruntime.OnlyProven(remediate.Step{
			Name: "cancel", Lasting: true, Run: func(context.Context, remediate.Request) error { stopped++; return nil },
		})}}
		w := bubble(goruntime.GoroutineLeak(o), selfhealtest.Script(selfhealtest.Frame{Findings: []detect.Finding{leak}}))
		trial := selfhealtest.Start(t, w)
		time.Sleep(time.Minute)
		got := trial.Timeline()
		require.Equal(t, 1, stopped)
		for _, line := range []string{"step cancel: no effect", "step recycle: skipped", "page exhausted"} {
			require.Contains(t, got, line)
		}
		trial.Stop()

		w = bubble(goruntime.GoroutineLeak(goruntime.Options{}), selfhealtest.Script(selfhealtest.Frame{Findings: []detect.Finding{flood}}))
		trial = selfhealtest.Start(t, w)
		time.Sleep(time.Minute)
		require.Contains(t, trial.Timeline(), "recycle", "without a journal the supervisor escalates instead")
		require.NotEmpty(t, trial.Pager().Pages())
	})
}

func ExampleNewLeakDetector() {
	d := goruntime.NewLeakDetector(goruntime.LeakOptions{})
	found, err := d.Detect(context.Background())
	fmt.Println(len(found), err)
	// Output: 0 <nil>
}

func ExampleModule() {
	var caches goruntime.Caches
	remove := caches.OnPressure("thumbnails", func(ctx context.Context, p goruntime.Pressure) error {
		return nil // drop the oldest half; everything where p.Severity is Critical
	})
	defer remove()

	heal := selfheal.New(selfheal.Options{Escalate: escalate.To(escalate.Log(nil))})
	heal.Install(goruntime.Module(goruntime.Options{Caches: &caches}))
	fmt.Println(heal.Validate())
	for _, w := range goruntime.Module(goruntime.Options{}).Watches {
		var names []string
		for _, s := range w.Playbook.Steps {
			names = append(names, s.Name)
		}
		fmt.Printf("%s %q\n", w.Name, names)
	}
	// Output:
	// <nil>
	// goroutine-leak ["recycle"]
	// memory ["shrink-caches" "free-os-memory" "raise-memory-limit" "recycle"]
	// gc-spiral ["shrink-caches" "raise-memory-limit" "recycle"]
	// lock-contention []
	// starvation []
	// threads ["recycle"]
}
