package process

import "syscall"

// awaitUnreaped waits for a child to end and leaves it to be reaped. It returns
// false when the child was reaped by somebody else.
func awaitUnreaped(pid int) bool {
	const byPID = 1 // P_PID of waitid(2), which package syscall lacks
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPID, uintptr(pid), 0, syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		if errno != syscall.EINTR {
			return errno == 0
		}
	}
}
