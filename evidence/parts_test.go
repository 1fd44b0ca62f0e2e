package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// crowd are n goroutines that wait at one place, with a label of pprof.
func crowd(n int, labels ...string) (end func()) {
	until := make(chan struct{})
	var wg, started sync.WaitGroup
	started.Add(n)
	for range n {
		wg.Go(func() {
			pprof.Do(context.Background(), pprof.Labels(labels...), func(context.Context) { waitHere(started.Done, until) })
		})
	}
	started.Wait()
	return func() { close(until); wg.Wait() }
}

func waitHere(started func(), until chan struct{}) {
	started()
	<-until
}

// capturer is a program that has profiles of mutexes and of blocking on, and captures
// once into a directory.
func capturer(dir string) error {
	runtime.SetMutexProfileFraction(1)
	runtime.SetBlockProfileRate(1)
	var mu sync.Mutex
	var wg sync.WaitGroup
	contended := func() bool { return pprof.Lookup("mutex").Count() > 0 && pprof.Lookup("block").Count() > 0 }
	for until := time.Now().Add(20 * time.Second); !contended() && time.Now().Before(until); {
		for range 4 {
			wg.Go(func() {
				for range 100 {
					mu.Lock()
					time.Sleep(10 * time.Microsecond)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
	}
	s, err := OpenStore(StoreOptions{Dir: dir})
	if err != nil {
		return err
	}
	_, err = Default(Options{Store: s, Time: time.Minute}).Gather(context.Background(), patient())
	if n := runtime.SetMutexProfileFraction(-1); n != 1 {
		return fmt.Errorf("the rate of the mutex profile is %d now", n)
	}
	return err
}

func TestProfilesOpenInPprof(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "evidence")
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "SELFHEAL_EVIDENCE_CHILD="+dir)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	s := newStore(t, StoreOptions{Dir: dir})
	files := unpacked(t, s, refs(t, s)[0])
	for name, want := range map[string]string{
		"mutex.pb.gz": "Type: delay", "block.pb.gz": "Type: delay", "heap.pb.gz": "Type: inuse_space", "goroutine.pb.gz": "Type: goroutine",
	} {
		require.Contains(t, files, name)
		require.Contains(t, goTool(t, files[name], "pprof", "-top"), want, name)
	}
}

func TestGoroutinesAreGrouped(t *testing.T) {
	end := crowd(300, "tenant", "acme")
	defer end()
	s := newStore(t, StoreOptions{})
	_, files := gather(t, Default(Options{Store: s, Time: time.Minute}), s)
	text := string(files["goroutines.txt"])
	_, after, ok := strings.Cut(text, "\n300 × \"tenant\": \"acme\"\n")
	require.True(t, ok, text)
	stack, _, _ := strings.Cut(after, "\n\n")
	require.Regexp(t, `(?m)^\t\S*/evidence\.waitHere\n\t\t\S+/parts_test\.go:\d+$`, stack)
	require.Regexp(t, `^\d+ goroutines, of \d+ stacks\n`, text)
	raw := goTool(t, files["goroutine.pb.gz"], "pprof", "-raw")
	require.Contains(t, raw, "tenant:[acme]")
	require.Contains(t, raw, "evidence.waitHere")
}

// Nobody's rate is changed, and what the program has off is left out with a reason.
func TestProfilesThatAreOffStayOff(t *testing.T) {
	require.Zero(t, runtime.SetMutexProfileFraction(-1))
	require.Zero(t, pprof.Lookup("block").Count())
	rate := runtime.MemProfileRate
	s := newStore(t, StoreOptions{})
	i, files := gather(t, Default(Options{Store: s, Time: time.Minute}), s)
	require.NotContains(t, files, "mutex.pb.gz")
	require.NotContains(t, files, "block.pb.gz")
	require.Contains(t, notes(i), "mutex.pb.gz: there is nothing to capture: this program has mutex profiles off")
	require.Contains(t, notes(i), "block.pb.gz: there is nothing to capture")
	require.Zero(t, runtime.SetMutexProfileFraction(-1))
	require.Equal(t, rate, runtime.MemProfileRate)
}

func TestManyStacksAreCutAtAStack(t *testing.T) {
	var msg []byte
	for _, s := range []string{"", "main.f", "/f.go", strings.Repeat("g", 3000)} {
		msg = appendBytes(msg, profileStrings, s)
	}
	msg = appendBytes(msg, profileFunction, "\x08\x01\x10\x01\x20\x02")
	msg = appendBytes(msg, profileLocation, "\x08\x01\x22\x04\x08\x01\x10\x2a")
	for n := range 3 * mostStacks {
		body := []byte{0x0a, 1, 1, 0x12, 2, byte(n) | 0x80, byte(n >> 7)}
		if n%1000 == 0 {
			body = append(body, "\x1a\x04\x08\x01\x10\x03"...) // a label
		}
		msg = appendBytes(msg, profileSample, string(body))
	}
	var out bytes.Buffer
	require.NoError(t, writeStacks(&out, zipped(t, msg)))
	require.Equal(t, mostStacks, strings.Count(out.String(), " ×"))
	require.True(t, strings.HasPrefix(out.String(), "4498500 goroutines, of 3000 stacks\n\n2999 ×\n\tmain.f\n\t\t/f.go:42\n\n2998 ×\n"), out.String()[:100])
	require.Contains(t, out.String(), "\nand 2000 more stacks, of 1999000 goroutines\n")
	require.Contains(t, out.String(), "\n2000 × \"main.f\": \"ggg")

	out.Reset()
	require.NoError(t, writeStacks(&out, zipped(t, bytes.ReplaceAll(msg, []byte("main.f"), []byte("ma\nn.f")))))
	require.ErrorIs(t, writeStacks(&out, []byte("no")), errNoProfile)
}

func TestTraceOpensInTheTraceTool(t *testing.T) {
	r := NewRecorder(RecorderOptions{MinAge: time.Second})
	require.False(t, r.Enabled())
	_, err := r.WriteTo(io.Discard)
	require.ErrorIs(t, err, ErrAbsent)
	require.NoError(t, r.Start())
	defer r.Stop()
	require.ErrorIs(t, r.Start(), ErrRecording)
	require.ErrorIs(t, NewRecorder(RecorderOptions{}).Start(), ErrRecording)
	require.True(t, r.Enabled())
	ctx, task := trace.NewTask(context.Background(), "checkout")
	trace.Log(ctx, "order", "number 4711")
	trace.Log(ctx, "db", "dial postgres://app:canary-in-trace@db:5432/orders")
	trace.WithRegion(ctx, "charge", func() { crowd(10)() })
	task.End()

	s := newStore(t, StoreOptions{Redactor: NewRedactor("canary-in-task")})
	i, files := gather(t, Default(Options{Store: s, Flight: r, Time: time.Minute}), s)
	require.Contains(t, files, "trace.out", notes(i))
	parsed := goTool(t, files["trace.out"], "trace", "-d=parsed")
	require.Contains(t, parsed, "number 4711")
	require.Contains(t, parsed, "charge")
	require.Contains(t, parsed, "postgres://***@db:5432/orders")
	require.NotContains(t, parsed, "canary")
	goTool(t, files["trace.out"], "trace", "-pprof=sched")

	r.Stop()
	r.Stop()
	i, files = gather(t, Default(Options{Store: s, Flight: r, Time: time.Minute}), s)
	require.NotContains(t, files, "trace.out")
	require.Contains(t, notes(i), "trace.out: there is nothing to capture: the flight recorder does not run")

	// The application's own, while ours does not run; then the other way round.
	own := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: time.Second})
	require.NoError(t, own.Start())
	defer own.Stop()
	require.ErrorIs(t, r.Start(), ErrRecording)
	_, files = gather(t, Default(Options{Store: s, Flight: own, Time: time.Minute}), s)
	goTool(t, files["trace.out"], "trace", "-pprof=sched")
	own.Stop()
	require.NoError(t, r.Start(), "it starts again")
}

// A recorder is stopped while it is read: for the race detector.
func TestRecorderIsSafeForConcurrentUse(t *testing.T) {
	r := NewRecorder(RecorderOptions{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				if err := r.Start(); err != nil && !errors.Is(err, ErrRecording) {
					t.Error(err)
				}
				if _, err := r.WriteTo(io.Discard); err != nil && !errors.Is(err, ErrAbsent) {
					t.Error(err)
				}
				r.Stop()
			}
		})
	}
	wg.Wait()
	require.False(t, r.Enabled())
}

func TestMetricsAndBuild(t *testing.T) {
	s := newStore(t, StoreOptions{})
	_, files := gather(t, Default(Options{Store: s, Time: time.Minute}), s)
	require.Regexp(t, `(?m)^/sched/goroutines:goroutines \d+$`, string(files["metrics.txt"]))
	require.Regexp(t, `(?m)^/sched/latencies:seconds count=\d+`, string(files["metrics.txt"]))
	require.Contains(t, string(files["build.txt"]), runtime.Version())
	require.Equal(t, "path\tx\nbuild\t-race=true\n", buildText(&debug.BuildInfo{Path: "x", Settings: []debug.BuildSetting{
		{Key: "-ldflags", Value: "-X main.canary=canary"}, {Key: "-race", Value: "true"},
	}}))
	require.Contains(t, string(files["incident.json"]), `"watch": "orders/queue-depth"`)
}
