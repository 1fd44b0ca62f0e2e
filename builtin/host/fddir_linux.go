package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// fdDir is the folder of the descriptors of this process. It is kept open, since it
// must be read when no descriptor is left.
type fdDir struct {
	path   string
	dir    *os.File
	isProc bool // its size may be a number of descriptors
	buf    []byte
}

func newFDDir(path string) *fdDir { return &fdDir{path: path} }

func (d *fdDir) open() error {
	if d.dir != nil {
		return nil
	}
	f, err := os.Open(d.path)
	if err != nil {
		return unreadable(err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		_ = f.Close() // it was only read
		return fmt.Errorf("host: statfs of %s: %w", d.path, err)
	}
	d.dir, d.isProc = f, fs.Type == unix.PROC_SUPER_MAGIC
	return nil
}

// size is the number of descriptors where the kernel tells it as the size of the
// folder, which it does since Linux 6.2.
func (d *fdDir) size() (n int, ok bool, err error) {
	if err := d.open(); err != nil {
		return 0, false, err
	}
	if !d.isProc {
		return 0, false, nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(d.dir.Fd()), &st); err != nil {
		return 0, false, d.failed("stat", err)
	}
	return int(st.Size), st.Size > 0, nil
}

// list counts the entries of the folder.
func (d *fdDir) list() (n int, err error) {
	err = d.each(func(buf []byte) { n += countEntries(buf) })
	return n, err
}

// names are the numbers of the descriptors.
func (d *fdDir) names() (all []string, err error) {
	if err := d.open(); err != nil {
		return nil, err
	}
	err = d.each(func(buf []byte) { _, _, all = unix.ParseDirent(buf, -1, all) })
	return all, err
}

func (d *fdDir) each(use func(buf []byte)) error {
	if d.buf == nil {
		d.buf = make([]byte, 16<<10)
	}
	fd := int(d.dir.Fd())
	if _, err := unix.Seek(fd, 0, 0); err != nil {
		return d.failed("seek in", err)
	}
	for {
		n, err := unix.Getdents(fd, d.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return d.failed("list", err)
		}
		if n == 0 {
			return nil
		}
		use(d.buf[:n])
	}
}

func (d *fdDir) failed(what string, err error) error {
	_ = d.dir.Close() // it was only read
	d.dir = nil
	return fmt.Errorf("host: %s %s: %w", what, d.path, err)
}

// The layout of struct linux_dirent64 (getdents(2)).
const (
	entryLength = 16
	entryName   = 19
)

// countEntries counts the entries of what getdents64 filled, "." and ".." apart.
func countEntries(buf []byte) int {
	n := 0
	for len(buf) > entryName {
		length := int(binary.NativeEndian.Uint16(buf[entryLength:]))
		if length <= entryName || length > len(buf) {
			break
		}
		name := buf[entryName:length]
		dot := name[0] == '.' && (len(name) == 1 || name[1] == 0 || name[1] == '.' && (len(name) == 2 || name[2] == 0))
		if !dot {
			n++
		}
		buf = buf[length:]
	}
	return n
}
