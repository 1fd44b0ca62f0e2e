package host

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// What a host does not have is left out, and said.
func TestTheModuleHoldsWhatTheHostHas(t *testing.T) {
	for name, want := range map[string][]string{
		"v2":     {"clock", "descriptors", "memory-pressure", "oom", "memory-high", "cpu-throttling", "stalls"},
		"hybrid": {"clock", "descriptors", "memory-pressure", "oom", "cpu-throttling", "stalls"},
		"v1":     {"clock", "descriptors", "oom", "cpu-throttling"},
		"bare":   {"clock", "descriptors"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Root: filepath.Join("testdata", name)}
			require.Equal(t, want, names(Module(o)))
			left := LeftOut(o)
			require.Len(t, left, 10-len(want))
			for _, l := range left {
				require.Error(t, l.Why)
				require.NotContains(t, want, l.Watch)
			}
		})
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
		CPU:          CPUOptions{Throttled: Levels{Clear: 1}, CPUStalled: Levels{Act: -1}},
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
	for _, name := range []string{"v1", "v2", "hybrid", "bare"} {
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

const tick = 200 * time.Millisecond // of windows in real time

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
		return selfhealtest.DetectorFixture{
			Detector: watched(t, MemoryPressure(Options{Root: tr.root, Memory: MemoryOptions{Window: tick}})),
			Sicken:   func() { total += 10 * time.Second; write() },
			Heal:     write,
			Break:    func() { tr.set(file, deadBeef) },
			Within:   3 * tick,
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
		return selfhealtest.DetectorFixture{
			Detector: watched(t, Stalls(Options{Root: tr.root, CPU: CPUOptions{Window: tick}})),
			Sicken:   func() { total += 10 * time.Second; write() },
			Heal:     write,
			Break:    func() { tr.set(file, deadBeef) },
			Within:   3 * tick,
		}
	})
}

func TestThrottlingInATree(t *testing.T) {
	for name, file := range map[string]string{"v2": v2Group + "cpu.stat", "v1": "sys/fs/cgroup/cpu,cpuacct/cpu.stat", "hybrid": "sys/fs/cgroup/cpu/services/cpu.stat"} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
				tr := recorded(t, name)
				periods, throttled, n := 1000, 10, 100
				write := func() { tr.set(file, cpuStat(periods, throttled)) }
				write()
				return selfhealtest.DetectorFixture{
					Detector: watched(t, CPUThrottling(Options{Root: tr.root, CPU: CPUOptions{Window: tick}})),
					Sicken:   func() { n *= 30; periods += n; throttled += n; write() },
					Heal:     func() { periods += 30 * n; write() },
					Break:    func() { tr.set(file, "nr_periods lots\nnr_throttled 1\n") },
					Within:   3 * tick,
				}
			})
		})
	}
}

func TestKillsInATree(t *testing.T) {
	for name, file := range map[string]string{"v2": v2Group + "memory.events", "v1": "sys/fs/cgroup/memory/memory.oom_control"} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
				tr := recorded(t, name)
				kills := 7
				write := func() { tr.set(file, events(0, kills)) }
				write() // what was before says nothing
				return selfhealtest.DetectorFixture{
					Detector: watched(t, OOM(Options{Root: tr.root, OOM: OOMOptions{ShowFor: 2 * tick, AgainWithin: tick}})),
					Sicken:   func() { kills++; write() },
					Heal:     write,
					Break:    func() { tr.set(file, deadBeef) },
					Within:   4 * tick,
					Skip: map[string]string{
						"wake": "it is a Waker only to be told when a run begins and ends; the kernel is read, it does not call",
					},
				}
			})
		})
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
