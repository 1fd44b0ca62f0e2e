//go:build unix

package selfheal

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// dialSystemd opens the socket of sd_notify(3); nil without one. The watchdog is
// for this process only if WATCHDOG_PID says so or nothing.
func dialSystemd() (messenger, time.Duration, error) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil, 0, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, 0, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return conn, 0, nil
	}
	us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || us <= 0 {
		return conn, 0, nil
	}
	return conn, time.Duration(us) * time.Microsecond, nil
}
