//go:build !linux

package host

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

func kernelTime() (kernelClock, error) {
	return kernelClock{}, fmt.Errorf("host: the kernel of %s is not asked: %w", runtime.GOOS, errors.ErrUnsupported)
}

// suspended is 0 where the monotonic clock of Go goes on while the machine sleeps,
// or nothing tells.
func suspended() time.Duration { return 0 }
