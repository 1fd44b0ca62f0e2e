package detect_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// print shows what a detector says now.
func print(d detect.Detector) {
	found, err := d.Detect(context.Background())
	for _, f := range found {
		if f.Key != "" {
			fmt.Print(f.Key, ": ")
		}
		fmt.Println(f.Summary)
	}
	if err != nil {
		fmt.Println("blind:", err)
	}
	if len(found) == 0 && err == nil {
		fmt.Println("healthy")
	}
}

// A queue is too deep above 5,000 jobs, and well again only below 2,000.
func ExampleAbove() {
	depth := 0
	queue := detect.Above(func(context.Context) (int, error) { return depth, nil }, 5_000).ClearBelow(2_000).Unit("jobs")
	for _, depth = range []int{4000, 9000, 3000, 1000} {
		print(queue)
	}
	// Output:
	// healthy
	// 9000 jobs is above 5000
	// 3000 jobs is not yet below 2000
	// healthy
}

func ExampleBelow() {
	idle := 1
	pool := detect.Below(func(context.Context) (int, error) { return idle, nil }, 5).ClearAbove(8).Critical(2)
	for _, idle = range []int{6, 1, 6, 9} {
		print(pool)
	}
	// Output:
	// healthy
	// 1 is below 5
	// 6 is not yet above 8
	// healthy
}

func ExampleAbove_duration() {
	oldest := func(context.Context) (time.Duration, error) { return 2 * time.Minute, nil }
	print(detect.Above(oldest, time.Minute))
	// Output: 2m0s is above 1m0s
}

// A read that fails is blind: neither healthy nor sick.
func ExampleAbove_blind() {
	depth := func(context.Context) (int, error) { return 0, errors.New("broker gone") }
	print(detect.Above(depth, 5_000))
	// Output: blind: broker gone
}

func ExampleProbe() {
	ping := func(context.Context) error { return errors.New("dial tcp 10.0.0.7:5432: connection refused") }
	print(detect.Probe(ping))
	// Output: dial tcp 10.0.0.7:5432: connection refused
}

// A worker that takes longer than 30 s for one round is stuck.
func ExampleHeartbeat() {
	beat := detect.Heartbeat(30 * time.Second)
	for range 3 { // the worker's loop
		beat.Beat()
	}
	print(beat)
	// Output: healthy
}

func ExampleExhaustion() {
	used := func(context.Context) (float64, error) { return 500, nil }
	print(detect.Exhaustion(detect.ExhaustionOptions{
		Read: used, Limit: 500, Level: 300, // warn early only when 60 % are used
		Within: 4 * time.Hour, Window: time.Hour, Unit: "GB",
	}))
	// Output: 500 GB has reached 500
}

// The usual alarms of a 99.9 % promise, for requests counted in place.
func ExampleBurnRate() {
	burn := detect.BurnRate(detect.BurnRateOptions{SLO: 0.999})
	burn.Record(true) // in the handler
	print(burn)
	// Output: healthy
}

func ExampleBurnWindow_Factor() {
	const day = 24 * time.Hour
	page := detect.BurnWindow{Long: time.Hour, Budget: 0.02}
	fmt.Printf("%.4g %.4g\n", page.Factor(30*day), page.Factor(28*day))
	// Output: 14.4 13.44
}

func ExampleKeyed() {
	depths := func(context.Context) (map[string]int, error) {
		return map[string]int{"orders": 9000, "mail": 9000, "audit": 12}, nil
	}
	print(detect.Keyed(detect.KeyedOptions[int]{
		Map:    depths,
		Level:  detect.Level[int]{Limit: 5_000, Clear: 2_000, Unit: "jobs"},
		Levels: map[string]detect.Level[int]{"mail": {Limit: 50_000}},
	}))
	// Output: orders: 9000 jobs is above 5000
}

// A sequence needs no map to be built at each look.
func ExampleKeyed_sequence() {
	type pool struct {
		name string
		busy float64
	}
	pools := []pool{{"reads", 0.4}, {"writes", 0.97}}
	print(detect.Keyed(detect.KeyedOptions[float64]{
		Seq: func(context.Context) (iter.Seq2[string, float64], error) {
			return func(yield func(string, float64) bool) {
				for _, p := range pools {
					if !yield(p.name, p.busy) {
						return
					}
				}
			}, nil
		},
		Level: detect.Level[float64]{Limit: 0.9},
	}))
	// Output: writes: 0.97 is above 0.9
}

// A full queue alone is load; a full queue and an idle consumer are a fault.
func ExampleAll() {
	depth := detect.Above(func(context.Context) (int, error) { return 9000, nil }, 5_000).Unit("jobs")
	speed := detect.Below(func(context.Context) (float64, error) { return 0.2, nil }, 1).Unit("jobs/s")
	print(detect.All(detect.AllOptions{Detectors: []detect.Detector{depth, speed}}))
	// Output: 9000 jobs is above 5000 and 0.2 jobs/s is below 1
}

func ExampleConfirm() {
	shaky := detect.Probe(func(context.Context) error { return errors.New("timeout") })
	confirmed := detect.Confirm(detect.ConfirmOptions{Detector: shaky, N: 2, Of: 3})
	print(confirmed)
	print(confirmed)
	// Output:
	// healthy
	// timeout
}

// Code that knows what is wrong says so, and says when it is over.
func ExampleMailbox() {
	replicas := detect.NewMailbox()
	replicas.Report(detect.Finding{Key: "eu-2", Severity: detect.Critical, Summary: "replication stopped"})
	print(replicas)
	replicas.Clear("eu-2")
	print(replicas)
	// Output:
	// eu-2: replication stopped
	// healthy
}
