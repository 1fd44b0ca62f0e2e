package goruntime

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// patient runs the test binary as a process that is really sick and returns what it
// printed.
func patient(t *testing.T, part string, env ...string) string {
	t.Helper()
	return play(t, os.Args[0], part, env...)
}

// play is patient with another binary.
func play(t *testing.T, bin, part string, env ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin)
	cmd.Env = append(append(os.Environ(), childEnv+"="+part), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// child is what such a process does.
func child(play string) {
	switch play {
	case "thrash":
		thrash()
	case "starve":
		starve()
	case "contend":
		contend()
	case "raise":
		raise()
	case "visit":
		visitor()
	case "leak-until-cancelled":
		leakUntilCancelled()
	case "leak-deadlocks":
		leakDeadlocks()
	case "tilt":
		tilt()
	}
}

// patience is for a machine that does much else.
const patience = time.Minute

// until looks ten times a second until a finding of the key comes, and prints it.
func until(d detect.Detector, key string, within time.Duration) bool {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		found, err := d.Detect(context.Background())
		if err != nil {
			fmt.Println("blind:", err)
			return false
		}
		for _, f := range found {
			if f.Key == key {
				fmt.Println("found:", f.Summary)
				return true
			}
		}
	}
	fmt.Println("nothing found")
	return false
}

// quick are options that judge within seconds.
func quick() Options { return Options{Window: time.Second, EarlyFor: -1} }

// thrash keeps a live heap just below GOMEMLIMIT and allocates beside it, which
// makes the collector run without a break; dropping the cache ends it.
func thrash() {
	debug.SetMemoryLimit(64 << 20)
	var mu sync.Mutex
	cache := map[int][]*[128]byte{}
	for i := range 1000 {
		for range 400 {
			cache[i] = append(cache[i], new([128]byte))
		}
	}
	stop := make(chan struct{})
	for range 2 {
		go func() {
			var keep [][]byte
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				keep = append(keep, make([]byte, 4096))
				if len(keep) > 100 {
					keep = nil
				}
			}
		}()
	}
	o := quick()
	o.Caches = &Caches{}
	o.Caches.OnPressure("cache", func(context.Context, Pressure) error {
		mu.Lock()
		defer mu.Unlock()
		clear(cache)
		return nil
	})
	w := GCSpiral(o)
	if until(w.Detector, "", patience) {
		req := remediate.Request{Incident: "i", Attempt: 1, Finding: detect.Finding{Severity: detect.Critical}}
		fmt.Println("shrink:", w.Playbook.Steps[0].Run(context.Background(), req))
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if found, err := w.Detector.Detect(context.Background()); len(found) == 0 && err == nil {
				fmt.Println("well again")
				break
			}
		}
	}
	close(stop)
	mu.Lock()
	runtime.KeepAlive(cache)
	mu.Unlock()
}

// starve has many more busy goroutines than processors.
func starve() {
	runtime.GOMAXPROCS(1)
	var stop atomic.Bool
	for range 40 {
		go func() {
			for !stop.Load() {
				spin(1000)
			}
		}()
	}
	o := quick()
	o.Window = 4 * time.Second
	until(Starvation(o).Detector, "", patience)
	stop.Store(true)
}

// contend makes goroutines queue for one mutex after two quiet minutes, which the
// detector is told have passed.
func contend() {
	locks := newLocks(time.Second)
	d := newLeveled(nil, 0, locks.watch(quick().effective()))
	for range 20 {
		if found, err := d.Detect(context.Background()); len(found) > 0 || err != nil {
			fmt.Println("too early", found, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	locks.usual.begun -= learnFor
	var mu sync.Mutex
	stop := make(chan struct{})
	for range 50 {
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				time.Sleep(5 * time.Millisecond)
				mu.Unlock()
			}
		}()
	}
	until(d, "", patience)
	close(stop)
}

// raise lets a whole supervisor climb the memory ladder in a real process: the
// limit goes up, memory is well, and the limit is put back.
func raise() {
	debug.SetMemoryLimit(48 << 20)
	keep := make([]*[1 << 10]byte, 0)
	for range 45 << 10 {
		keep = append(keep, new([1 << 10]byte))
	}
	runtime.GC()
	o := Options{Root: os.Getenv("ROOT"), RaiseFor: 2 * time.Second, RaiseBy: 0.5, RecycleCode: -1}
	w := Memory(o)
	for i := range w.Playbook.Steps {
		w.Playbook.Steps[i].Settle = time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	lines := make(chan string, 100)
	s := selfheal.New(selfheal.Options{
		Every:    100 * time.Millisecond,
		Escalate: escalate.To(escalate.NotifierFunc(func(context.Context, escalate.Notification) error { return nil })),
		Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) {
			switch e := e.(type) {
			case selfheal.EventStep:
				lines <- fmt.Sprintf("%s, limit %d MiB", e.Line(false), limitNow()>>20)
			case selfheal.EventUndo:
				lines <- fmt.Sprintf("%s, limit %d MiB", e.Line(false), limitNow()>>20)
				cancel()
			}
		}),
	})
	s.Watch(w)
	if err := s.Run(ctx); err != nil {
		fmt.Println(err)
	}
	close(lines)
	for l := range lines {
		fmt.Println(l)
	}
	runtime.KeepAlive(keep)
}

// tilt starves a whole supervisor until its tilt rail is on, while a watch beside
// finds trouble all the time.
func tilt() {
	runtime.GOMAXPROCS(1)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	var tilted, sick atomic.Bool
	s := selfheal.New(selfheal.Options{
		Escalate: escalate.To(escalate.NotifierFunc(func(context.Context, escalate.Notification) error { return nil })),
		Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) {
			switch e := e.(type) {
			case selfheal.EventTilt:
				fmt.Println(e.Line(false))
				tilted.Store(true)
				sick.Store(true)
			case selfheal.EventHold:
				fmt.Println(e.Line(false))
				cancel()
			}
		}),
	})
	s.Install(Module(quick()))
	s.Watch(selfheal.Watch{
		Name: "orders",
		Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
			if !sick.Load() {
				return nil, nil
			}
			return []detect.Finding{{Summary: "orders time out"}}, nil
		}),
		Playbook: remediate.Ladder(remediate.Step{Name: "shed", Lasting: true, Run: func(context.Context, remediate.Request) error {
			fmt.Println("shed while tilted")
			return nil
		}}),
	})
	go func() {
		began := time.Now()
		spin(100_000_000)
		each := time.Since(began)
		for !tilted.Load() && ctx.Err() == nil {
			time.Sleep(time.Second)
			spin(100_000_000 * int(3*time.Second/each+1))
		}
	}()
	if err := s.Run(ctx); err != nil {
		fmt.Println(err)
	}
}

// spin holds its processor: it calls nothing, and the test switches the runtime's
// other way to take a processor away off.
func spin(n int) {
	x := uint64(n)
	for range n {
		x ^= x << 13
		x ^= x >> 7
	}
	runtime.KeepAlive(x)
}

// A process that is starved of its processor is late itself: it holds, and acts on
// nothing that it reads then.
func TestAStarvedSupervisorHolds(t *testing.T) {
	t.Parallel()
	out := patient(t, "tilt", "GODEBUG=asyncpreemptoff=1")
	require.Contains(t, out, "tilt: the supervisor was")
	require.Contains(t, out, "hold shed: tilt")
	require.NotContains(t, out, "shed while tilted")
}

func TestAThrashingCollectorIsFoundAndTheCachesHelp(t *testing.T) {
	t.Parallel()
	out := patient(t, "thrash")
	require.Contains(t, out, "found: garbage collection takes")
	require.Contains(t, out, "shrink: <nil>")
	require.Contains(t, out, "well again")
}

func TestAStarvedProcessIsFound(t *testing.T) {
	t.Parallel()
	out := patient(t, "starve")
	require.Contains(t, out, "found: goroutines wait")
}

func TestQueuesForALockAreFound(t *testing.T) {
	t.Parallel()
	out := patient(t, "contend")
	require.Contains(t, out, "found: goroutines wait")
	require.NotContains(t, out, "too early")
}

func TestTheLimitIsRaisedAndPutBackByASupervisor(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the names of the tree are Linux's")
	}
	root := tree(t, v2(fmt.Sprint(16*gib), fmt.Sprint(1*gib)))
	out := patient(t, "raise", "ROOT="+root, "GOGC=off")
	require.Contains(t, out, "step free-os-memory: no effect")
	require.Contains(t, out, "step raise-memory-limit: healed, limit 72 MiB")
	require.Contains(t, out, "undo raise-memory-limit, limit 48 MiB")
}
