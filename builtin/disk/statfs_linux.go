package disk

import "golang.org/x/sys/unix"

// reader returns what reads the usage of the file system at path. It may hang
// as long as the mount does.
func reader(path string) func(*usage) error {
	raw := rawStatfs(path)
	st := new(unix.Statfs_t)
	return func(u *usage) error {
		for {
			err := raw(st)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return err
			}
			u.fill(st)
			return nil
		}
	}
}

func (u *usage) fill(st *unix.Statfs_t) {
	unit := uint64(st.Frsize)
	if unit == 0 {
		unit = uint64(st.Bsize)
	}
	*u = usage{
		size: st.Blocks * unit, free: st.Bfree * unit, avail: min(st.Bavail, st.Bfree) * unit,
		inodes: st.Files, ifree: st.Ffree,
		id:       uint64(uint32(st.Fsid.Val[0]))<<32 | uint64(uint32(st.Fsid.Val[1])),
		readOnly: st.Flags&unix.ST_RDONLY != 0,
	}
}

// readUsage reads once, on the goroutine of the caller.
func readUsage(path string) (usage, error) {
	var u usage
	err := reader(path)(&u)
	return u, err
}
