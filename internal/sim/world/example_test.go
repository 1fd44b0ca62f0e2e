package world_test

import (
	"fmt"

	"github.com/selfheal-go/selfheal/internal/sim/world"
)

// A seed is a world. This one has an hour of trouble, heals, and comes to rest.
func ExampleRun() {
	r := world.Run(world.Config{Seed: 3, Hours: 1})
	fmt.Println("broken:", r.Violation)
	fmt.Println("faults came:", len(r.Fired) > 0)
	// Output:
	// broken: <nil>
	// faults came: true
}
