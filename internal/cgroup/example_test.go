package cgroup_test

import (
	"fmt"

	"github.com/selfheal-go/selfheal/internal/cgroup"
)

func Example() {
	limit, err := cgroup.Limit([]byte("536870912\n")) // of memory.max
	fmt.Println(limit, err)
	cache, ok := cgroup.Field([]byte("anon 5\ninactive_file 1048576\n"), "inactive_file") // of memory.stat
	fmt.Println(cache, ok)
	none, err := cgroup.Limit([]byte("max\n"))
	fmt.Println(none == cgroup.Unlimited, err)
	// Output:
	// 536870912 <nil>
	// 1048576 true
	// true <nil>
}
