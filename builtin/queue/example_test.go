package queue_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/queue"
	"github.com/selfheal-go/selfheal/remediate"
)

// A service with a queue of jobs, a pool of workers, an importer and an HTTP API.
func Example() {
	type job struct {
		queue.Stamp
		id int
	}
	meter := queue.NewMeter(queue.CoDelOptions{Target: time.Second})
	jobs := make(chan job, 1000)
	pool := queue.NewPool(queue.PoolOptions{
		Size: 4, Max: 16, // what the database behind them can bear
		Work: queue.Each(jobs, func(_ context.Context, j job) error {
			meter.Leave(j.Stamp)
			return nil // do the job
		}),
	})
	imports := queue.NewPause(queue.PauseOptions{})                        // the importer asks imports.Wait
	gate := queue.NewGate(queue.GateOptions{Overloaded: meter.Overloaded}) // the API is behind gate.Handler
	put := func(id int) { jobs <- job{Stamp: meter.Enter(), id: id} }      // whoever has a job
	q := queue.Channel("jobs", jobs)                                       // how deep it is, and how deep it may be
	q.Meter, q.Pool, q.Pause, q.Gate = meter, pool, imports, gate          // how it flows, and what helps
	module := queue.Module(queue.Options{Queues: []queue.Queue{q}, MaxWait: 10 * time.Second})

	for _, w := range module.Watches {
		fmt.Println(module.Name + "/" + w.Name)
		for _, s := range w.Playbook.Steps {
			fmt.Println("  " + s.Name)
		}
	}
	for id := range 801 { // nobody works: the pool does not run
		put(id)
	}
	found, _ := module.Watches[0].Detector.Detect(context.Background())
	fmt.Println(found[0].Key + ": " + found[0].Summary)
	// Output:
	// queue/backlog
	//   scale-workers
	//   pause-producers
	//   shed-load
	// queue/warning
	// jobs: 801 items wait, above 800
}

// The ladder of one watch of your own.
func ExampleGate_Shed() {
	waiting := 0
	gate := queue.NewGate(queue.GateOptions{Shed: queue.Shed{Below: queue.Important, Share: -1}})
	w := queue.Depth(queue.Options{Queues: []queue.Queue{{Name: "orders", Len: func() int { return waiting }, MaxDepth: 5_000}}})
	w.Playbook = remediate.Ladder(remediate.Step{Name: "shed-load", Run: gate.Shed, Undo: gate.Restore, Settle: time.Minute})
	heal := selfheal.New(selfheal.Options{})
	heal.Watch(w)

	_ = gate.Shed(context.Background(), remediate.Request{Incident: "i-1"}) // as the supervisor does
	fmt.Println("refuses", gate.State())
	fmt.Println(gate.Admit(queue.Normal), gate.Admit(queue.Important))
	// Output:
	// refuses 100% of background, 100% of normal
	// false true
}

func ExampleGate_Handler() {
	gate := queue.NewGate(queue.GateOptions{Shed: queue.Shed{Below: queue.Important, Share: -1}, RetryAfter: time.Second})
	api := gate.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "welcome")
	}), func(r *http.Request) queue.Priority {
		if strings.HasPrefix(r.URL.Path, "/checkout") {
			return queue.Important
		}
		return queue.Normal
	})
	_ = gate.Shed(context.Background(), remediate.Request{Incident: "i-1"})
	for _, path := range []string{"/checkout", "/search"} {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		fmt.Println(path, w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// /checkout 200 welcome
	// /search 503 overloaded, try again later
}

func ExampleControlLaw() {
	for n := 1; n <= 4; n++ {
		fmt.Println(queue.ControlLaw(100*time.Millisecond, n).Round(100 * time.Microsecond))
	}
	// Output:
	// 100ms
	// 70.7ms
	// 57.7ms
	// 50ms
}
