//go:build linux && (amd64 || arm64 || loong64 || mips64 || mips64le || ppc64 || ppc64le || riscv64 || s390x)

package disk

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawStatfs is unix.Statfs with the path converted once and not at each look,
// which would be the only garbage of a healthy one.
func rawStatfs(path string) func(*unix.Statfs_t) error {
	p, err := unix.BytePtrFromString(path)
	return func(st *unix.Statfs_t) error {
		if err != nil {
			return err
		}
		_, _, errno := unix.Syscall(unix.SYS_STATFS, uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(st)), 0)
		if errno != 0 {
			return errno
		}
		return nil
	}
}
