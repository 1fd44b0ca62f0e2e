package host

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// What a host does not have is blind, with the reason once, and nobody is called.
func TestTheModuleIsBlindToWhatTheHostLacks(t *testing.T) {
	all := []string{"clock", "descriptors", "memory-pressure", "oom", "memory-high", "cpu-throttling", "stalls"}
	for name, lacks := range map[string][]string{
		"v2":     nil,
		"hybrid": {"memory-high"},
		"v1":     {"memory-high", "memory-pressure", "stalls"},
		"bare":   {"cpu-throttling", "memory-high", "memory-pressure", "oom", "stalls"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newHands().options()
				o.Root = filepath.Join("testdata", name)
				m := Module(o)
				require.Equal(t, all, names(m))
				trial := selfhealtest.Start(t, m.Watches...)
				time.Sleep(10 * time.Minute)
				var blind []string
				for _, w := range trial.Supervisor().Status().Watches {
					if w.State == "blind" {
						require.NotEmpty(t, w.Blind)
						blind = append(blind, w.Name)
					}
				}
				slices.Sort(blind)
				require.Equal(t, len(lacks), strings.Count(trial.Timeline(), "0s blind"), "once")
				require.Equal(t, lacks, blind)
				require.Empty(t, trial.Pager().Pages())
			})
		})
	}
}

// The pressure files of one resource are enough to watch it.
func TestOneOfTwoPressureFilesIsWatched(t *testing.T) {
	tr := recorded(t, "v1")
	tr.set("proc/pressure/io", stalledFor(0, 0))
	for _, w := range Module(Options{Root: tr.root}).Watches {
		if w.Name == "stalls" {
			require.Empty(t, look(t, w.Detector))
		}
	}
}

// A feature that is there and cannot be read is no reason to look away.
func TestWhatCannotBeReadIsKeptAndBlind(t *testing.T) {
	tr := recorded(t, "v2")
	tr.set(v2Group+"memory.events", deadBeef)
	tr.set("proc/self/limits", deadBeef)
	m := Module(Options{Root: tr.root})
	require.Contains(t, names(m), "descriptors")
	_, err := m.Watches[1].Detector.Detect(context.Background())
	require.ErrorContains(t, err, "no number of open files")
	_, again := m.Watches[1].Detector.Detect(context.Background())
	require.Equal(t, err.Error(), again.Error(), "the words are the same each time")
}

// A watch that is asked for by name is blind where the host does not have it, in
// words that do not change.
func TestASingleWatchIsBlindWithTheReason(t *testing.T) {
	o := Options{Root: filepath.Join("testdata", "bare")}
	for _, w := range []selfheal.Watch{MemoryPressure(o), OOM(o), MemoryHigh(o), CPUThrottling(o), Stalls(o)} {
		found, err := w.Detector.Detect(context.Background())
		require.Error(t, err, w.Name)
		require.Empty(t, found)
		_, next := w.Detector.Detect(context.Background())
		require.Equal(t, err.Error(), next.Error())
	}
}

func TestOptionsThatMakeNoSenseAreSaid(t *testing.T) {
	bad := Options{
		Root: filepath.Join("testdata", "v2"), Every: -1, RecycleCode: 999,
		Descriptors:  DescriptorOptions{Levels: Levels{Early: 0.9, Act: 0.5}, HostAct: 7},
		Memory:       MemoryOptions{Some: 2, Window: 1},
		OOM:          OOMOptions{ShowFor: -1},
		CPU:          CPUOptions{Throttled: Levels{Clear: 1}, CPUStalled: Levels{Act: -1}, For: time.Hour, EarlyFor: time.Minute},
		Clock:        ClockOptions{Early: time.Second, Act: time.Millisecond},
		Certificates: []Certificate{{}, {File: "a"}, {Name: "a", Served: "nowhere"}},
		ExpiryLevels: []time.Duration{1, 2},
		DNS:          DNSOptions{Names: []string{"a\nb", "x", "x"}, Fails: 9, Of: 3, Patience: time.Hour},
	}
	for _, w := range Module(bad).Watches {
		err := w.Detector.(interface{ Validate() error }).Validate()
		require.ErrorContains(t, err, "host: ", w.Name)
		require.ErrorContains(t, err, "Every is -1ns", w.Name)
		_, looked := w.Detector.Detect(context.Background())
		require.Equal(t, err, looked, "what is wrong is blind, not a panic")
	}
	require.Len(t, Module(bad).Watches, 10)
}

func TestTheModule(t *testing.T) {
	t.Run("zero", func(t *testing.T) {
		selfhealtest.TestModule(t, func(*testing.T) selfheal.Module { return Module(Options{}) })
	})
	for _, name := range []string{"v2", "bare"} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestModule(t, func(*testing.T) selfheal.Module {
				h := &switches{}
				return Module(Options{
					Root: filepath.Join("testdata", name), DropCaches: h.run("drop"), Shed: h.turn("shed"),
					PauseBatch: h.turn("pause"), Pace: h.turn("pace"), Reduce: h.turn("reduce"),
					Descriptors: DescriptorOptions{Accepts: NewAccepts()},
				})
			})
		})
	}
}

func TestDescriptorsInATree(t *testing.T) {
	selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
		tr := recorded(t, "v2")
		n := 3
		have := func(want int) {
			tr.set("proc/self/limits", openLimits)
			for ; n < want; n++ {
				tr.set("proc/self/fd/"+strconv.Itoa(n), "")
			}
			for ; n > want; n-- {
				tr.remove("proc/self/fd/" + strconv.Itoa(n-1))
			}
		}
		return selfhealtest.DetectorFixture{
			Detector: Descriptors(Options{Root: tr.root}).Detector,
			Sicken:   func() { have(10) },
			Heal:     func() { have(3) },
			Break:    func() { tr.set("proc/self/limits", deadBeef) },
			Within:   2 * time.Second, // a list is not made at each look
		}
	})
}

func TestDescriptorsHaveTwoThresholdsAndHysteresis(t *testing.T) {
	tr := recorded(t, "v1")
	d := newDescriptors(Options{Root: tr.root}.effective())
	have := func(n int) []string {
		t.Helper()
		tr.remove("proc/self/fd")
		for i := range n {
			tr.set("proc/self/fd/"+strconv.Itoa(i), "")
		}
		d = &descriptors{
			o: d.o, origin: d.origin, dir: newFDDir(tr.path("proc/self/fd")), kinds: newFDKinds(tr.root),
			limits: source{path: tr.path("proc/self/limits")}, table: source{path: tr.path("proc/sys/fs/file-nr")}, own: d.own, host: d.host,
		}
		return keys(look(t, d))
	}
	require.Empty(t, have(8), "a level that is reached is not exceeded")
	require.Equal(t, []string{Early}, have(9))
	require.Equal(t, []string{"", Early}, have(10))
	require.Equal(t, []string{"", Early}, have(7), "not yet below the level that clears")
	require.Empty(t, have(6))
	require.Equal(t, []string{""}, have(10), "what is acute at once warns of nothing beside it")
	found := look(t, d)
	require.Equal(t, "10 of 10 descriptors are open (100 %), above 90 %", found[0].Summary)
	require.InDelta(t, 10, found[0].Value, 1e-9)
	require.InDelta(t, 9, found[0].Limit, 1e-9)
	tr.set("proc/sys/fs/file-nr", "95\t0\t100\n")
	require.Equal(t, []string{"", hostTable}, have(10))
	tr.set("proc/sys/fs/file-nr", "95\t0\t9223372036854775807\n")
	require.Equal(t, []string{""}, have(10), "a table without a bound cannot be full")
	require.NoError(t, os.WriteFile(tr.path("proc/self/limits"), []byte("Max open files  unlimited unlimited files\n"), 0o600))
	require.Empty(t, have(10))
}

// What is looked at more rarely than the window is long would never be found.
func TestAWindowIsAtLeastTheInterval(t *testing.T) {
	o := Options{Every: 3 * time.Minute}.effective()
	require.Equal(t, o.Every, o.Memory.Window)
	require.Equal(t, o.Every, o.CPU.Window)
	o = Options{Every: time.Minute, Memory: MemoryOptions{Window: time.Second}, CPU: CPUOptions{Window: time.Second}}.effective()
	require.ErrorContains(t, o.memoryProblem(), "Memory.Window is 1s: use 1m0s or more")
	require.ErrorContains(t, o.cpuProblem(), "CPU.Window is 1s: use 1m0s or more")
	synctest.Test(t, func(t *testing.T) {
		tr := recorded(t, "v2")
		tr.set(v2Group+"memory.pressure", stalledFor(0, 0))
		d := watched(t, MemoryPressure(Options{Root: tr.root, Every: 3 * time.Minute}))
		time.Sleep(3 * time.Minute)
		tr.set(v2Group+"memory.pressure", stalledFor(time.Minute, time.Minute))
		require.Equal(t, []string{""}, keys(look(t, d)))
	})
}

// A quota that is used up for a while is paced; people are told of a warning only when
// it lasts.
func TestThrottlingIsPacedSoonAndWarnedOfLate(t *testing.T) {
	for _, c := range []struct {
		share int
		want  string
	}{
		{8, `
			6m43s open cpu-throttling: the CPU quota was used up in 80 % of its periods (/sys/fs/cgroup/system.slice/orders.service), above 50 %
			8m43s step pace: no effect
			8m43s undo pace
			8m43s page exhausted`},
		{3, `
			16m55s open cpu-throttling[early]: the CPU quota was used up in 30 % of its periods (/sys/fs/cgroup/system.slice/orders.service), above 25 %
			16m55s step pace: skipped
			16m55s page exhausted`},
	} {
		synctest.Test(t, func(t *testing.T) {
			tr, h := recorded(t, "v2"), &switches{}
			periods, throttled := 0, 0
			run := func(seconds, share int) {
				for range seconds {
					time.Sleep(time.Second)
					periods, throttled = periods+10, throttled+share
					tr.set(v2Group+"cpu.stat", cpuStat(periods, throttled))
				}
			}
			tr.set(v2Group+"cpu.stat", cpuStat(0, 0))
			trial := selfhealtest.Start(t, CPUThrottling(Options{Root: tr.root, Pace: h.turn("pace")}))
			time.Sleep(500 * time.Millisecond) // no look is at the same instant
			run(60, 0)
			run(20*60, c.share)
			synctest.Wait()
			trial.Want(c.want)
		})
	}
}

// A first look, from which on counters are compared.
func watched(t *testing.T, w selfheal.Watch) detect.Detector {
	look(t, w.Detector)
	return w.Detector
}

func TestMemoryPressureInATree(t *testing.T) {
	selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
		tr := recorded(t, "v2")
		file, total := v2Group+"memory.pressure", time.Second
		write := func() { tr.set(file, stalledFor(total, total)) }
		write()
		d := watched(t, MemoryPressure(Options{Root: tr.root})).(*memoryPressure)
		return selfhealtest.DetectorFixture{
			Detector: d,
			Sicken:   func() { d.age(10 * time.Second); total += 8 * time.Second; write() },
			Heal:     func() { d.age(15 * time.Second); write() },
			Break:    func() { tr.set(file, deadBeef) },
		}
	})
}

// The own control group counts where it is of version 2, else the host.
func TestWhosePressureItIs(t *testing.T) {
	for name, want := range map[string]string{"v2": "its control group", "hybrid": "its control group", "v1": "the host"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := recorded(t, name)
				if name == "v1" {
					tr.set("proc/pressure/memory", stalledFor(0, 0))
				}
				group := map[string]string{"v2": v2Group + "memory.pressure", "hybrid": "sys/fs/cgroup/unified/memory.pressure", "v1": "proc/pressure/memory"}[name]
				tr.set(group, stalledFor(0, 0))
				d := watched(t, MemoryPressure(Options{Root: tr.root}))
				time.Sleep(2 * time.Second)
				tr.set(group, stalledFor(2*time.Second, 0))
				require.Equal(t, []string{Early}, keys(look(t, d)))
				time.Sleep(2 * time.Second)
				tr.set(group, stalledFor(4*time.Second, time.Second))
				found := look(t, d)
				require.Equal(t, "tasks of "+want+" waited for memory 40 % of the time, all of them 10 %, above 5 %", found[0].Summary)
				require.Equal(t, []string{"", Early}, keys(found))
				time.Sleep(20 * time.Second)
				require.Empty(t, look(t, d))
			})
		})
	}
}

func TestStallsInATree(t *testing.T) {
	selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
		tr := recorded(t, "v2")
		file, total := v2Group+"io.pressure", time.Second
		write := func() { tr.set(file, stalledFor(total, 0)) }
		write()
		d := watched(t, Stalls(Options{Root: tr.root})).(*stalls)
		return selfhealtest.DetectorFixture{
			Detector: d,
			Sicken:   func() { d.age(time.Minute); total += 50 * time.Second; write() },
			Heal:     func() { d.age(90 * time.Second); write() },
			Break:    func() { tr.set(file, deadBeef) },
		}
	})
}

func TestThrottlingInATree(t *testing.T) {
	for name, file := range map[string]string{"v2": v2Group + "cpu.stat", "v1": "sys/fs/cgroup/cpu,cpuacct/cpu.stat", "hybrid": "sys/fs/cgroup/cpu/services/cpu.stat"} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
				tr := recorded(t, name)
				periods, throttled := 1000, 10
				write := func() { tr.set(file, cpuStat(periods, throttled)) }
				write()
				d := watched(t, CPUThrottling(Options{Root: tr.root})).(*throttling)
				return selfhealtest.DetectorFixture{
					Detector: d,
					Sicken:   func() { d.age(time.Minute); periods += 600; throttled += 500; write() },
					Heal:     func() { d.age(90 * time.Second); periods += 900; write() },
					Break:    func() { tr.set(file, "nr_periods lots\nnr_throttled 1\n") },
				}
			})
		})
	}
}

// A service that hardly runs is not judged by the few periods in which it did.
func TestFewPeriodsAreNotJudged(t *testing.T) {
	tr := recorded(t, "v2")
	tr.set(v2Group+"cpu.stat", cpuStat(0, 0))
	d := watched(t, CPUThrottling(Options{Root: tr.root})).(*throttling)
	d.age(time.Minute)
	tr.set(v2Group+"cpu.stat", cpuStat(fewPeriods-1, fewPeriods-1))
	require.Empty(t, look(t, d))
	tr.set(v2Group+"cpu.stat", cpuStat(fewPeriods, fewPeriods))
	require.Len(t, look(t, d), 1)
}
