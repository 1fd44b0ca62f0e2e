package command

import "golang.org/x/sys/unix"

// awaitUnreaped waits for a child to end and leaves it to be reaped. It returns
// false when the child was reaped by somebody else.
func awaitUnreaped(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err == nil
		}
	}
}
