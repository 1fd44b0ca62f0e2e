package journal

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func bootID() BootID {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return BootID{}
	}
	id, _ := parseBootID(strings.TrimSpace(string(text)))
	return id
}

func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
