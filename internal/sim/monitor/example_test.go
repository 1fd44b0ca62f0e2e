package monitor_test

import (
	"context"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/sim/monitor"
	"github.com/selfheal-go/selfheal/remediate"
)

// A supervisor that acts after somebody has halted it breaks a promise.
func Example() {
	shed := func(context.Context, remediate.Request) error { return nil }
	m := monitor.New(monitor.Config{
		Watches: []incident.Watch{{Name: "queue", Every: time.Second, Playbook: remediate.Ladder(remediate.Step{Name: "shed", Run: shed})}},
		Budget:  30, BudgetWindow: time.Hour, MaxKeys: 1000, MaxRisk: remediate.Disruptive,
	}, 1)
	seen := m.Machine(0)
	seen.Began(0, nil)
	seen.Halted("ann")
	seen.Begin(time.Minute, monitor.Act{Watch: "queue", Incident: "1", Attempt: 1, Try: 1})
	fmt.Println(m.Violation())
	// Output:
	// machine 0: run of shed on queue begins, and ann has halted all healing (invariant 9, nothing begins that people have stopped, or must allow)
}
