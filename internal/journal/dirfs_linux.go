package journal

import (
	"os"

	"golang.org/x/sys/unix"
)

// Sync spares the metadata that no reader needs.
func (f *dirFile) Sync() error {
	return onFd(f.File, "fdatasync", unix.Fdatasync)
}

func (f *dirFile) Allocate(size int64) error {
	err := onFd(f.File, "fallocate", func(fd int) error { return unix.Fallocate(fd, 0, 0, size) })
	if e, ok := err.(*os.PathError); ok && (e.Err == unix.EOPNOTSUPP || e.Err == unix.ENOSYS) {
		return nil
	}
	return err
}

func syncDir(dir *os.File) error { return dir.Sync() }

// onFd makes a system call again while a signal interrupts it.
func onFd(f *os.File, op string, call func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		for {
			if failed = call(int(fd)); failed != unix.EINTR {
				return
			}
		}
	})
	if err == nil && failed != nil {
		err = &os.PathError{Op: op, Path: f.Name(), Err: failed}
	}
	return err
}
