package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

var errNotBallast = errors.New("the file is none of ours: it does not begin as a ballast does, is a link, or has another name too; give another path, or remove it")

// open opens the file and makes sure that it is a ballast of ours.
func (b *Ballast) open(flags int) (*os.File, node, error) {
	dir, err := openPlace(filepath.Dir(b.o.Path))
	if err != nil {
		return nil, node{}, err
	}
	defer dir.close()
	name := filepath.Base(b.o.Path)
	if n, err := nodeAt(dir.fd(), name); err == nil && (!n.regular() || n.links != 1 || n.mnt != dir.node.mnt) {
		return nil, node{}, errNotBallast
	}
	f, err := dir.root.OpenFile(name, os.O_RDWR|unix.O_NONBLOCK|flags, 0o600)
	if err != nil {
		return nil, node{}, err
	}
	n, err := nodeAt(int(f.Fd()), "")
	if err == nil {
		err = tagged(f, &n, flags&os.O_CREATE != 0)
	}
	if err != nil {
		f.Close()
		return nil, node{}, err
	}
	return f, n, nil
}

// tagged reads the tag, and writes it into an empty file if that may be new.
func tagged(f *os.File, n *node, fresh bool) error {
	if !n.regular() || n.links != 1 {
		return errNotBallast
	}
	if n.size == 0 && fresh {
		_, err := f.WriteAt([]byte(ballastTag), 0)
		return err
	}
	got := make([]byte, len(ballastTag))
	if _, err := f.ReadAt(got, 0); err != nil || string(got) != ballastTag {
		return errNotBallast
	}
	return nil
}

func (b *Ballast) create(ctx context.Context) error {
	f, n, err := b.open(os.O_CREATE)
	if err != nil {
		return err
	}
	defer f.Close()
	if n.size >= b.o.Bytes && n.held >= b.o.Bytes {
		return nil
	}
	if err := b.fill(ctx, f); err != nil {
		return errors.Join(fmt.Errorf("take %s: %w", size(uint64(b.o.Bytes)), err), f.Truncate(int64(len(ballastTag))))
	}
	return nil
}

// fill takes real blocks: by fallocate, or where the file system has none by
// writing.
func (b *Ballast) fill(ctx context.Context, f *os.File) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, b.o.Bytes)
		switch {
		case err == unix.EINTR && ctx.Err() == nil:
			continue
		case err != unix.EOPNOTSUPP:
			return err
		}
		break
	}
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i * 131) // zeros would take no blocks where they are packed
	}
	for at := int64(len(ballastTag)); at < b.o.Bytes; at += int64(len(block)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if _, err := f.WriteAt(block[:min(int64(len(block)), b.o.Bytes-at)], at); err != nil {
			return err
		}
	}
	return f.Sync()
}

func (b *Ballast) release() error {
	f, n, err := b.open(0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return errNoBallast
	case err != nil:
		return err
	}
	defer f.Close()
	if n.size <= int64(len(ballastTag)) {
		return nil
	}
	return f.Truncate(int64(len(ballastTag)))
}
