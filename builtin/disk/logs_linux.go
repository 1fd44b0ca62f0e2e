package disk

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/selfheal-go/selfheal/remediate"
)

// mostRotated bounds how many rotated files of one log a run looks at.
const mostRotated = 10_000

// rotate rotates and compresses, and returns how many files it did so to.
func (l *Logs) rotate(ctx context.Context) (done int, err error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	var errs []error
	var moves []*move
	defer func() {
		for _, m := range moves {
			m.dir.close()
		}
	}()
	for _, f := range l.o.Files {
		dir, err := openPlace(filepath.Dir(f))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m := &move{dir: dir, base: filepath.Base(f)}
		moves = append(moves, m)
		if err := l.move(m); err != nil {
			errs = append(errs, fmt.Errorf("rotate %s: %w", f, err))
		}
	}
	moved := slices.ContainsFunc(moves, func(m *move) bool { return m.to != "" })
	if moved {
		if err := l.reopen(ctx); err != nil {
			for _, m := range moves {
				errs = append(errs, m.back())
			}
			errs = append(errs, fmt.Errorf("reopen: %w", err))
			moved = false
		}
	}
	for _, m := range moves {
		n, err := l.zipAll(ctx, m)
		done += n
		if m.to != "" && moved && n == 0 {
			done++ // rotated, if nothing more
		}
		errs = append(errs, err)
	}
	return done, errors.Join(errs...)
}

// reopen makes a panic of the service's own an error: the files still have to get
// their names back.
func (l *Logs) reopen(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &remediate.PanicError{Where: "the reopening of log files", Value: v, Stack: debug.Stack()}
		}
	}()
	return l.o.Reopen(ctx)
}

// move is the rotation of one log.
type move struct {
	dir  *place
	base string
	to   string // its new name; "" where it was not moved
}

// move gives a log that is large enough its new name.
func (l *Logs) move(m *move) error {
	n, err := nodeAt(m.dir.fd(), m.base)
	switch {
	case errors.Is(err, unix.ENOENT) || l.o.Reopen == nil:
		return nil
	case err != nil:
		return err
	case !n.regular() || n.mnt != m.dir.node.mnt:
		return errors.New("it is a link, a mount point or no file: name the file itself")
	case n.size == 0 || n.size < l.o.MinBytes:
		return nil
	}
	to := rotateTo(m.base, time.Now())
	if err := unix.Renameat2(m.dir.fd(), m.base, m.dir.fd(), to, unix.RENAME_NOREPLACE); err != nil {
		return err
	}
	m.to = to
	return nil
}

// back undoes a move, unless there is a new log already.
func (m *move) back() error {
	if m.to == "" {
		return nil
	}
	err := unix.Renameat2(m.dir.fd(), m.to, m.dir.fd(), m.base, unix.RENAME_NOREPLACE)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("give %s its name back: %w", m.base, err)
	}
	return nil
}

// zipAll compresses every rotated file of one log, oldest first.
func (l *Logs) zipAll(ctx context.Context, m *move) (done int, err error) {
	dir, err := m.dir.root.Open(".") // a fresh position
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	var names []string
	err = each(ctx, dir, func(name string) error {
		if _, zipped, ok := rotatedName(m.base, name); ok && !zipped && len(names) < mostRotated {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	slices.Sort(names)
	var errs []error
	for _, name := range names {
		switch err := m.dir.zip(ctx, name); {
		case err == nil:
			done++
		case errors.Is(err, errLeave):
		case ctx.Err() != nil:
			return done, err
		default:
			errs = append(errs, fmt.Errorf("compress %s: %w", clip(name), err))
		}
	}
	return done, errors.Join(errs...)
}

// errLeave says that a file is to be left as it is, which is no failure.
var errLeave = errors.New("left as it is")

// zip compresses one file beside itself.
func (p *place) zip(ctx context.Context, name string) error {
	fd, err := openQuietly(p.fd(), name)
	if err != nil {
		return errLeave // gone, a link, or in use under a lease
	}
	in := os.NewFile(uintptr(fd), name)
	defer in.Close()
	before, err := nodeAt(fd, "")
	if err != nil || !before.regular() || before.links != 1 || before.mnt != p.node.mnt {
		return errLeave
	}
	if lease(fd) != nil {
		return errLeave
	}
	unlease(fd) // an opener would wait while we compress

	part, final := name+".gz.part", name+".gz"
	if err := unix.Unlinkat(p.fd(), part, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err // of a run that was killed
	}
	out, err := p.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	err = compressTo(ctx, out, in)
	if err == nil {
		err = like(out, &before)
	}
	if err == nil {
		err = out.Sync()
	}
	if err == nil {
		err = p.replace(name, part, final, fd, &before, out)
	}
	if err != nil {
		return errors.Join(err, p.drop(part))
	}
	return nil
}

// replace puts the copy in the place of the original, if that is as it was.
func (p *place) replace(name, part, final string, fd int, before *node, out *os.File) error {
	if copied, err := nodeAt(int(out.Fd()), ""); err != nil || copied.held >= before.held {
		return errors.Join(err, errLeave) // nothing would be gained
	}
	if lease(fd) != nil {
		return errLeave
	}
	defer unlease(fd)
	now, err := nodeAt(p.fd(), name)
	if err != nil || !now.same(before) || now.size != before.size || !now.changed.Equal(before.changed) || now.links != 1 {
		return errLeave
	}
	if err := unix.Renameat(p.fd(), part, p.fd(), final); err != nil {
		return err
	}
	if err := p.file.Sync(); err != nil { // the copy's name is on disk before the original's goes
		return err
	}
	return unix.Unlinkat(p.fd(), name, 0)
}

func (p *place) drop(part string) error {
	if err := unix.Unlinkat(p.fd(), part, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// like gives the copy the owner, rights and age of the original; a janitor goes
// by the age. Only root may give files away, so the owner is best effort.
func like(out *os.File, n *node) error {
	_ = out.Chown(int(n.uid), -1)
	if err := out.Chmod(os.FileMode(n.mode & 0o777)); err != nil {
		return err
	}
	at := unix.NsecToTimeval(n.changed.UnixNano())
	return unix.Futimes(int(out.Fd()), []unix.Timeval{at, at})
}

func compressTo(ctx context.Context, out io.Writer, in io.Reader) error {
	z, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch _, err := io.CopyN(z, in, 1<<20); {
		case errors.Is(err, io.EOF):
			return z.Close()
		case err != nil:
			return err
		}
	}
}
