// Command patient is what the tests of goruntime watch: a program that leaks, or
// that only looks as if it did. It prints what the leak detector found, a line a
// finding, and "end" with what looking cost.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/builtin/goruntime"
)

// Line is what it prints as JSON.
type Line struct {
	At       time.Duration
	Key      string
	Verdict  string
	Summary  string
	Value    float64
	Function string
	File     string
}

// End is its last line.
type End struct {
	End        bool
	Ran        time.Duration
	Goroutines int
	Stopped    time.Duration // by everything
}

var registry sync.Map // keeps what some leaks wait for reachable

// behaviours are what it may do, with steps a second from n upwards.
var behaviours = map[string]func(step int, w *world){
	"quiet": func(int, *world) {},
	// Leaks.
	"send": func(int, *world) {
		c := make(chan int)
		go func() { c <- 1 }()
	},
	"receive": func(int, *world) {
		c := make(chan int)
		go wait(c)
	},
	"select": func(int, *world) {
		a, b := make(chan int), make(chan int)
		go func() {
			select {
			case <-a:
			case <-b:
			}
		}()
	},
	"nil-channel": func(int, *world) {
		var c chan int
		go func() { <-c }()
	},
	"mutex": func(int, *world) {
		mu := new(sync.Mutex)
		mu.Lock()
		go func() { mu.Lock() }()
	},
	"waitgroup": func(int, *world) {
		wg := new(sync.WaitGroup)
		wg.Add(1)
		go func() { wg.Wait() }()
	},
	"cond": func(int, *world) {
		c := sync.NewCond(new(sync.Mutex))
		go func() { c.L.Lock(); c.Wait() }()
	},
	"deadlock": func(int, *world) {
		a, b := new(sync.Mutex), new(sync.Mutex)
		var both sync.WaitGroup
		both.Add(2)
		lock := func(x, y *sync.Mutex) { x.Lock(); both.Done(); both.Wait(); y.Lock() }
		go lock(a, b)
		go lock(b, a)
	},
	"context": func(int, *world) {
		ctx, cancel := context.WithCancel(context.Background())
		registry.Store(rand.Int64(), cancel)
		go func() { <-ctx.Done() }()
	},
	"global": func(int, *world) {
		c := make(chan int)
		registry.Store(rand.Int64(), c)
		go func() { <-c }()
	},
	"ticker": func(int, *world) {
		go func() {
			for range time.Tick(100 * time.Millisecond) {
			}
		}()
	},
	"sleep": func(int, *world) { go func() { time.Sleep(time.Hour) }() },
	"body":  func(_ int, w *world) { w.getAndForget() },
	"deep":  func(int, *world) { go dig(60, make(chan int)) },
	"waitgroup-go": func(int, *world) {
		var wg sync.WaitGroup
		c := make(chan int)
		wg.Go(func() { <-c })
	},
	// One leak in the noise of much healthy work.
	"in-noise": func(step int, w *world) {
		w.busy(200)
		if step%4 == 0 {
			go func() { <-make(chan int) }()
		}
	},
	"once": func(step int, _ *world) {
		if step == 0 {
			go func() { <-make(chan int) }()
		}
	},
	// Healthy.
	"burst": func(step int, w *world) {
		if step%40 == 20 {
			w.busy(2000)
		}
	},
	"breathing": func(step int, w *world) { w.resize(100 + 90*triangle(step, 60)) },
	"ramp":      func(step int, w *world) { w.resize(min(step*5, 150)) },
	"saturate":  func(step int, w *world) { w.resize(500 * step / (step + 60)) },
	"staircase": func(step int, w *world) { w.resize(step / 100 * 40) },
	"parked": func(step int, _ *world) {
		if step < 3 {
			go func() { select {} }()
		}
	},
	"load": func(step int, w *world) { w.busy(1 + step) },
	"timers": func(step int, _ *world) {
		c := make(chan int)
		time.AfterFunc(2*time.Second, func() { close(c) })
		go func() { <-c }()
	},
}

func wait(c chan int) { <-c }

func dig(n int, c chan int) {
	if n == 0 {
		<-c
		return
	}
	dig(n-1, c)
	runtime.KeepAlive(n)
}

func triangle(step, period int) int {
	at := step % period
	return min(at, period-at)
}

// world is what behaviours keep between steps.
type world struct {
	jobs   chan struct{}
	quit   chan struct{}
	size   int
	server *httptest.Server
	client *http.Client
}

// resize is a pool of workers that wait for jobs.
func (w *world) resize(n int) {
	if w.jobs == nil {
		w.jobs, w.quit = make(chan struct{}), make(chan struct{})
	}
	for ; w.size < n; w.size++ {
		go func() {
			for {
				select {
				case <-w.jobs:
				case <-w.quit:
					return
				}
			}
		}()
	}
	for ; w.size > n; w.size-- {
		w.quit <- struct{}{}
	}
}

func (w *world) busy(n int) {
	for range n {
		go func() { time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond) }()
	}
}

// getAndForget does not close the body of an answer that goes on.
func (w *world) getAndForget() {
	if w.server == nil {
		w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
		}))
		w.client = &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{}).DialContext}}
	}
	resp, err := w.client.Get(w.server.URL)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	registry.Store(rand.Int64(), io.Reader(resp.Body))
}

func main() {
	what := flag.String("do", "quiet", "the behaviour")
	every := flag.Duration("every", 100*time.Millisecond, "between two steps")
	look := flag.Duration("look", 100*time.Millisecond, "between two looks")
	window := flag.Duration("window", 0, "LeakOptions.Window")
	shares := flag.Float64("shares", 1, "by how much more of the time it may use: windows that are shorter need as much more")
	run := flag.Duration("run", 10*time.Second, "how long")
	idle := flag.Int("idle", 0, "goroutines that wait beside")
	until := flag.String("until", "", "end at the first finding of this verdict")
	flag.Parse()
	do, ok := behaviours[*what]
	if !ok {
		fmt.Fprintln(os.Stderr, "no such behaviour:", *what)
		os.Exit(2)
	}
	hold := make(chan struct{})
	registry.Store("idle", hold)
	for range *idle {
		go func() { <-hold }()
	}
	d := goruntime.NewLeakDetector(goruntime.LeakOptions{Window: *window, StopShare: 0.001 * *shares, CPUShare: 0.005 * *shares})
	out := json.NewEncoder(os.Stdout)
	var w world
	began := time.Now()
	stopped := stops()
	go func() {
		for step := 0; ; step++ {
			do(step, &w)
			time.Sleep(*every)
		}
	}()
	said := map[string]bool{}
	for done := false; !done && time.Since(began) < *run; time.Sleep(*look) {
		found, err := d.Detect(context.Background())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		for _, f := range found {
			verdict := f.Labels["verdict"]
			done = done || verdict == *until
			if said[f.Key+verdict] {
				continue
			}
			said[f.Key+verdict] = true
			_ = out.Encode(Line{time.Since(began), f.Key, verdict, f.Summary, f.Value, f.Labels["function"], f.Labels["file"]})
		}
	}
	_ = out.Encode(End{true, time.Since(began), runtime.NumGoroutine(), time.Duration((stops() - stopped) * 1e9)})
}

// stops is how long the world stood still so far, in seconds.
func stops() (sum float64) {
	s := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(s)
	for _, x := range s {
		h := x.Value.Float64Histogram()
		for i, n := range h.Counts {
			if n > 0 {
				sum += float64(n) * h.Buckets[i+1]
			}
		}
	}
	return sum
}
