package remediate_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

func scale(context.Context, remediate.Request) error   { return nil }
func shed(context.Context, remediate.Request) error    { return nil }
func restore(context.Context, remediate.Request) error { return nil }

// A playbook is data: it can be listed before it ever runs.
func ExamplePlaybook() {
	p := remediate.Ladder(
		remediate.Step{Name: "scale-workers", Run: scale, Settle: 3 * time.Minute, Risk: remediate.Safe},
		remediate.Step{Name: "shed-load", Run: shed, Undo: restore, Settle: time.Minute},
		remediate.Step{Name: "replace-process", Run: remediate.Recycle(75), Lasting: true},
	)
	fmt.Print(p)
	// Output:
	// playbook:
	//   1. scale-workers: safe, self, settle 3m, timeout 30s
	//   2. shed-load: disruptive, self, undo, settle 1m, timeout 30s
	//   3. replace-process: disruptive, self, lasting, timeout 30s
	//   limits: cooldown 5m, breaker at 3 failed ladders in 1h for 30m, masking at 5 heals in 24h
}

// Every mistake is found at once, and each message says what to do.
func ExamplePlaybook_Validate() {
	p := remediate.Ladder(
		remediate.Step{Name: "shed-load", Run: shed},
		remediate.Step{Name: "purge/cache", Run: scale, Risk: remediate.Safe, Timeout: -time.Second},
	)
	for _, err := range p.Validate() {
		fmt.Println(err)
	}
	// Output:
	// step "shed-load": is disruptive and has neither Undo nor Lasting: set Undo, or Lasting if it leaves nothing to put back, or Risk: Safe if nobody can notice it
	// step "purge/cache": its name contains a slash, which separates the parts of an idempotency key: use a dash
	// step "purge/cache": Timeout is -1s: use the bound of one try, or 0 for 30s
}

// The pauses between the tries of a rung.
func ExampleBackoff_Pause() {
	b := remediate.Backoff{Tries: 6, Initial: 2 * time.Second, Max: 15 * time.Second}
	for try := 1; try < b.Attempts(); try++ {
		fmt.Println(b.Pause(try, 0))
	}
	// Output:
	// 2s
	// 4s
	// 8s
	// 15s
	// 15s
}

// Retries inside an action, where only a part of it is worth repeating.
func ExampleBackoff_Do() {
	calls := 0
	flush := func(context.Context) error {
		if calls++; calls < 3 {
			return errors.New("busy")
		}
		return nil
	}
	err := remediate.Backoff{Tries: 5, Initial: time.Millisecond}.Do(context.Background(), flush)
	fmt.Println(calls, err)
	// Output: 3 <nil>
}

// A member that does not apply here is passed over.
func ExampleSequence() {
	say := func(what string, err error) remediate.Action {
		return func(context.Context, remediate.Request) error {
			fmt.Println(what)
			return err
		}
	}
	fix := remediate.Sequence(
		say("drain", nil),
		say("no replica to promote", remediate.ErrSkip),
		say("restart", nil),
	)
	fmt.Println(fix(context.Background(), remediate.Request{}))
	// Output:
	// drain
	// no replica to promote
	// restart
	// <nil>
}

// Another try of the rung does not repeat what succeeded.
func ExampleOnce() {
	purge := remediate.Once(func(context.Context, remediate.Request) error {
		fmt.Println("purged")
		return nil
	})
	req := remediate.Request{Incident: "orders-7", Step: "purge", Attempt: 1}
	for req.Try = 1; req.Try <= 3; req.Try++ {
		fmt.Println(req.Try, purge(context.Background(), req))
	}
	// Output:
	// purged
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
}
