package selfheal_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// A queue that is too deep is drained, and the run ends once all is well.
func Example() {
	var depth atomic.Int64
	depth.Store(9_000)

	ctx, done := context.WithCancel(context.Background())
	heal := selfheal.New(selfheal.Options{
		Logger:   slog.New(slog.DiscardHandler),
		Escalate: escalate.To(escalate.Log(nil)),
		Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) {
			switch e.(type) {
			case selfheal.EventOpen, selfheal.EventStep, selfheal.EventUndo:
				fmt.Println(e.Line(false))
			case selfheal.EventClose:
				fmt.Println(e.Line(false))
				done()
			}
		}),
	})
	heal.Watch(selfheal.Watch{
		Name:     "orders/queue-depth",
		Detector: detect.Above(func(context.Context) (int64, error) { return depth.Load(), nil }, 5_000).Unit("jobs"),
		Every:    10 * time.Millisecond,
		KeepFor:  50 * time.Millisecond,
		Playbook: remediate.Ladder(remediate.Step{
			Name:   "shed-load",
			Run:    func(context.Context, remediate.Request) error { depth.Store(100); return nil },
			Undo:   func(context.Context, remediate.Request) error { return nil },
			Settle: 20 * time.Millisecond,
		}),
	})
	if err := heal.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// open orders/queue-depth: 9000 jobs is above 5000
	// step shed-load: healed
	// undo shed-load
	// close
}

// Services check the wiring of their watches in a test.
func ExampleSupervisor_Validate() {
	heal := selfheal.New(selfheal.Options{Escalate: escalate.To(escalate.Log(nil))})
	heal.Watch(selfheal.Watch{
		Name:     "cache/memory",
		Detector: detect.Above(func(context.Context) (int, error) { return 0, nil }, 90),
		After:    []string{"cache/server"},
		Playbook: remediate.Ladder(remediate.Step{
			Name: "restart", Run: func(context.Context, remediate.Request) error { return nil },
		}),
	})
	var wiring *selfheal.WiringError
	if errors.As(heal.Validate(), &wiring) {
		for _, p := range wiring.Problems {
			fmt.Printf("%s: %s\n", p.Watch, p.What)
		}
	}
	// Output:
	// cache/memory: step "restart": is disruptive and has neither Undo nor Lasting: set Undo, or Lasting if it leaves nothing to put back, or Risk: Safe if nobody can notice it
	// cache/memory: After names "cache/server", and there is no such watch: correct the name, or add it
}

// A person stops all healing, and lets it go on.
func ExampleSupervisor_Halt() {
	heal := selfheal.New(selfheal.Options{})
	fmt.Println(heal.Halt("ann", "a migration is running"))
	fmt.Println(heal.Status().Halted.Reason)
	fmt.Println(heal.Resume("ann"))
	// Output:
	// <nil>
	// a migration is running
	// <nil>
}
