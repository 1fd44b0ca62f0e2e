//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package journal

import (
	"os"

	"golang.org/x/sys/unix"
)

const supported = true

// flock takes the file for this open file alone, also within one process. The
// system lets go of it when the process ends, however that happens.
func flock(f *os.File) error {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return errLocked
		default:
			return err
		}
	}
}
