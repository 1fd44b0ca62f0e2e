package host

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	staUnsync = 0x0040 // linux/timex.h
	staNano   = 0x2000
)

// kernelTime reads what the kernel knows of its clock, which everybody may.
func kernelTime() (kernelClock, error) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return kernelClock{}, err
	}
	unit := time.Microsecond
	if t.Status&staNano != 0 {
		unit = time.Nanosecond
	}
	return kernelClock{offset: time.Duration(t.Offset) * unit, synced: t.Status&staUnsync == 0}, nil
}

// suspended is how long the machine has been suspended since it was started; only
// differences mean anything.
func suspended() time.Duration {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil || unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil {
		return 0
	}
	// The two are read one after the other: what is less than a second is that.
	if d := time.Duration(boot.Nano() - mono.Nano()); d >= time.Second {
		return d.Truncate(time.Millisecond)
	}
	return 0
}
