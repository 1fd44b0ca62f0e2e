package disk

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// node is what is under a name, as statx tells without following links.
type node struct {
	mode    uint32
	uid     uint32
	links   uint32
	dev     uint64
	ino     uint64
	mnt     uint64 // id of the mount, not of the file system
	size    int64
	held    int64 // bytes in blocks
	changed time.Time
}

func (n *node) regular() bool { return n.mode&unix.S_IFMT == unix.S_IFREG }
func (n *node) dir() bool     { return n.mode&unix.S_IFMT == unix.S_IFDIR }

// swappable says whether others may rename what is inside: a directory that they
// can write, without the sticky bit.
func (n *node) swappable() bool {
	return n.mode&unix.S_IWOTH != 0 && n.mode&unix.S_ISVTX == 0
}

func (n *node) same(o *node) bool { return n.dev == o.dev && n.ino == o.ino && n.mnt == o.mnt }

var errNoMountID = errors.New("disk: this kernel does not tell mount ids (Linux 5.8 does), so that nothing can be known to stay on its mount")

// nodeAt looks at name in the directory fd; name "" is fd itself.
func nodeAt(fd int, name string) (node, error) {
	var st unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	for {
		err := unix.Statx(fd, name, flags, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return node{}, err
		}
		break
	}
	if st.Mask&unix.STATX_MNT_ID == 0 {
		return node{}, errNoMountID
	}
	return node{
		mode: uint32(st.Mode), uid: st.Uid, links: st.Nlink,
		dev: uint64(st.Dev_major)<<32 | uint64(st.Dev_minor), ino: st.Ino, mnt: st.Mnt_id,
		size: int64(st.Size), held: int64(st.Blocks) * 512,
		changed: time.Unix(st.Mtime.Sec, int64(st.Mtime.Nsec)),
	}, nil
}

// place is a directory that is safe to work in.
type place struct {
	path string
	root *os.Root
	file *os.File // the directory itself
	node node
}

func (p *place) fd() int { return int(p.file.Fd()) }

func (p *place) close() {
	p.file.Close()
	p.root.Close()
}

// openPlace opens a directory by its absolute path. Every component is looked at
// from the top: a link is not followed, and a directory whose entries others may
// swap is refused.
func openPlace(dir string) (*place, error) {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("disk: open /: %w", err)
	}
	defer func() { unix.Close(fd) }()
	at := "/"
	last, err := nodeAt(fd, "")
	for _, name := range strings.Split(strings.TrimPrefix(dir, "/"), "/") {
		if err != nil {
			return nil, fmt.Errorf("disk: look at %s: %w", at, err)
		}
		if last.swappable() {
			return nil, refuseSwappable(dir, at)
		}
		next, e := openDirAt(fd, name, unix.O_PATH)
		at = path.Join(at, name)
		if e != nil {
			return nil, fmt.Errorf("disk: open %s: %w", at, e)
		}
		unix.Close(fd)
		fd = next
		last, err = nodeAt(fd, "")
	}
	if err != nil {
		return nil, fmt.Errorf("disk: look at %s: %w", at, err)
	}
	if last.swappable() {
		return nil, refuseSwappable(dir, at)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	f, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("disk: %w", err)
	}
	p := &place{path: dir, root: root, file: f}
	p.node, err = nodeAt(p.fd(), "")
	if err == nil && !p.node.same(&last) {
		err = errSwapped
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("disk: open %s: %w", dir, err)
	}
	return p, nil
}

var errSwapped = errors.New("something else took its place meanwhile")

func refuseSwappable(dir, at string) error {
	return fmt.Errorf("disk: %s is refused: others can write %s, which has no sticky bit, and swap what is in it: take that right away", dir, at)
}

// openDirAt opens a directory in a directory, never through a link.
func openDirAt(fd int, name string, flags int) (int, error) {
	for {
		next, err := unix.Openat(fd, name, flags|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ELOOP || err == unix.ENOTDIR:
			return -1, errors.New("it is a symbolic link or no directory: name the directory itself")
		}
		return next, err
	}
}

// below opens a directory below the place by the names on the way, each on the
// same mount. The caller closes it.
func (p *place) below(names []string) (int, node, error) {
	fd, err := unix.FcntlInt(p.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, node{}, err
	}
	n := p.node
	for _, name := range names {
		next, err := openDirAt(fd, name, unix.O_RDONLY)
		unix.Close(fd)
		if err != nil {
			return -1, node{}, err
		}
		fd = next
		n, err = nodeAt(fd, "")
		if err == nil && n.mnt != p.node.mnt {
			err = errOtherMount
		}
		if err == nil && n.swappable() {
			err = refuseSwappable(name, name)
		}
		if err != nil {
			unix.Close(fd)
			return -1, node{}, err
		}
	}
	return fd, n, nil
}

var errOtherMount = errors.New("it lies on another mount")

// openQuietly opens a file for reading without a side effect on devices, pipes,
// links or terminals.
func openQuietly(fd int, name string) (int, error) {
	for {
		f, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return f, err
		}
	}
}

// errOpenElsewhere and errUnknowable are why no lease is had.
var (
	errOpenElsewhere = errors.New("it is open elsewhere")
	errUnknowable    = errors.New("nobody can tell whether it is open elsewhere")
)

// lease takes a write lease on an open file, which is granted only if nobody
// else has it open; it ends when fd is closed. The signal by which the kernel
// tells of an opener that waits is sent to nobody: we end the lease anyway.
func lease(fd int) error {
	for {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_WRLCK)
		switch err {
		case nil:
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETOWN, 0)
			return nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return errOpenElsewhere
		default: // EACCES: not ours. EINVAL and others: not on this file system.
			return fmt.Errorf("%w: %w", errUnknowable, err)
		}
	}
}

func unlease(fd int) { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK) }
