package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

func (j *Janitor) run(ctx context.Context, t task) (Report, error) {
	var report Report
	if ctx.Err() != nil {
		return report, fmt.Errorf("disk: not begun: %w", context.Cause(ctx))
	}
	places, err := j.places(t, &report)
	defer func() {
		for _, p := range places {
			p.close()
		}
	}()
	if err != nil {
		return report, err
	}
	s := &scan{
		o: &j.o, now: time.Now(), me: uint32(os.Geteuid()), report: &report,
		oldest: heap{before: younger}, most: j.o.MaxFiles,
	}
	for _, p := range places {
		if err := s.folder(ctx, p, nil); err != nil {
			if ctx.Err() != nil {
				return report, fmt.Errorf("disk: stopped while listing %s: %w", p.path, err)
			}
			report.refuse(fmt.Errorf("disk: %s was not listed to its end: %w", p.path, err))
		}
	}
	slices.SortFunc(s.oldest.all, func(a, b *found) int {
		switch {
		case older(a, b):
			return -1
		case older(b, a):
			return 1
		}
		return 0
	})
	r := &remover{j: j, t: t, report: &report, fd: -1}
	defer r.leave()
	for i, x := range s.oldest.all {
		if stop, err := r.next(ctx, x); stop {
			report.Later += len(s.oldest.all) - i
			return report, errors.Join(err, report.Refused)
		}
	}
	return report, report.Refused
}

// places opens the directories that the task is about.
func (j *Janitor) places(t task, report *Report) ([]*place, error) {
	var on unix.Statfs_t
	if t.on != "" {
		if err := statfs(func(st *unix.Statfs_t) error { return unix.Statfs(t.on, st) }, &on); err != nil {
			return nil, fmt.Errorf("disk: statfs of %s: %w", clip(t.on), err)
		}
	}
	var places []*place
	elsewhere := 0
	for _, dir := range j.o.Dirs {
		p, err := openPlace(dir)
		if err != nil {
			report.refuse(err)
			continue
		}
		if t.on != "" && !p.on(&on, t.on) {
			p.close()
			elsewhere++
			continue
		}
		places = append(places, p)
	}
	if len(places) == 0 && report.Refused == nil && elsewhere > 0 {
		return nil, errNowhere
	}
	return places, nil
}

func statfs(call func(*unix.Statfs_t) error, st *unix.Statfs_t) error {
	for {
		if err := call(st); err != unix.EINTR {
			return err
		}
	}
}

// on says whether the place lies on the file system that was read at path: by
// its id, or where it has none by the device. What cannot be told is a no.
func (p *place) on(st *unix.Statfs_t, path string) bool {
	var own unix.Statfs_t
	if statfs(func(st *unix.Statfs_t) error { return unix.Fstatfs(p.fd(), st) }, &own) != nil {
		return false
	}
	if own.Fsid != (unix.Fsid{}) || st.Fsid != (unix.Fsid{}) {
		return own.Fsid == st.Fsid && own.Type == st.Type
	}
	n, err := nodeAt(unix.AT_FDCWD, path)
	return err == nil && n.dev == p.node.dev
}

// remover removes one file after the other.
type remover struct {
	j      *Janitor
	t      task
	report *Report

	in *folder // that fd is
	fd int
}

func (r *remover) leave() {
	if r.fd >= 0 {
		unix.Close(r.fd)
	}
	r.in, r.fd = nil, -1
}

// next deals with one file, and says whether the run is over.
func (r *remover) next(ctx context.Context, x *found) (stop bool, err error) {
	switch o := &r.j.o; {
	case ctx.Err() != nil:
		return true, fmt.Errorf("disk: stopped: %w", context.Cause(ctx))
	case o.MaxBytes > 0 && r.report.Bytes >= o.MaxBytes:
		return true, nil
	case o.Enough != nil && !r.t.dry:
		if enough, err := o.Enough(ctx, r.t.finding); enough || err != nil {
			return true, err
		}
	}
	if r.in != x.in {
		r.leave()
		fd, n, err := x.in.place.below(x.in.way)
		if err == nil && !n.same(&x.in.node) {
			unix.Close(fd)
			err = errSwapped
		}
		if err != nil {
			r.report.Changed++
			return false, nil
		}
		r.in, r.fd = x.in, fd
	}
	if !r.floor() {
		// Somebody else removed what was to stay: what was old then may be the
		// newest now.
		r.report.Changed++
		return false, nil
	}
	return r.one(ctx, x)
}

// floor says whether the newest files of the directory, or sixteen of them, are
// still there.
func (r *remover) floor() bool {
	for i, name := range r.in.kept {
		if i == 16 {
			break
		}
		if n, err := nodeAt(r.fd, name); err != nil || !n.regular() {
			return false
		}
	}
	return true
}

func (r *remover) one(ctx context.Context, x *found) (stop bool, err error) {
	f, err := openQuietly(r.fd, x.name)
	switch {
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP):
		r.report.Changed++
		return false, nil
	case errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.ETXTBSY):
		r.report.InUse++ // somebody holds a lease of their own
		return false, nil
	case err != nil:
		r.report.Unknown++
		return false, nil
	}
	defer unix.Close(f)
	if n, err := nodeAt(f, ""); err != nil || !x.is(&n) {
		r.report.Changed++
		return false, nil
	}
	switch err := lease(f); {
	case errors.Is(err, errOpenElsewhere):
		r.report.InUse++
		return false, nil
	case err != nil:
		r.report.Unknown++
		return false, nil
	}
	n, err := nodeAt(r.fd, x.name)
	if err != nil || !x.is(&n) || n.mnt != x.in.node.mnt {
		r.report.Changed++
		return false, nil
	}
	gone := Removal{
		Path: path.Join(x.in.key(), x.name), Size: n.size, ModTime: n.changed, Inode: n.ino,
	}
	if n.links == 1 {
		gone.Bytes = n.held
	}
	if most := r.j.o.MaxBytes; most > 0 && r.report.Bytes+gone.Bytes > most {
		r.report.Large++
		return false, nil
	}
	if r.t.dry {
		r.note(gone)
		return false, nil
	}
	return r.unlink(ctx, x, f, gone)
}

// is says whether n is the file that was listed, unchanged.
func (x *found) is(n *node) bool {
	return n.regular() && n.dev == x.dev && n.ino == x.ino && n.changed.UnixNano() == x.changed
}

func (r *remover) note(gone Removal) {
	r.report.Removed = append(r.report.Removed, gone)
	r.report.Bytes += gone.Bytes
}

// unlink removes the name of the open file f, which is under a lease.
func (r *remover) unlink(ctx context.Context, x *found, f int, gone Removal) (stop bool, err error) {
	if r.t.audit != nil {
		// Not under the lease: the audit may take its time, and an opener would wait.
		unlease(f)
		if err := r.t.audit(ctx, gone); err != nil {
			return true, fmt.Errorf("disk: stopped, because the audit failed: %w", err)
		}
		err = lease(f)
	}
	var n node
	if err == nil {
		n, err = nodeAt(r.fd, x.name) // once more, right before the name goes
	}
	if err == nil && !(x.is(&n) && n.mnt == x.in.node.mnt) {
		err = errSwapped
	}
	if err == nil {
		err = unix.Unlinkat(r.fd, x.name, 0)
	}
	if err == nil {
		r.note(gone)
		return false, nil
	}
	switch {
	case errors.Is(err, errOpenElsewhere):
		r.report.InUse++
	case errors.Is(err, errSwapped) || errors.Is(err, unix.ENOENT):
		r.report.Changed++
	case errors.Is(err, unix.EBUSY):
		r.report.Other++ // a mount point
	default:
		r.report.refuse(fmt.Errorf("disk: remove %s: %w", clip(gone.Path), err))
	}
	if r.t.audit != nil {
		gone.Err = err
		if err := r.t.audit(ctx, gone); err != nil {
			return true, fmt.Errorf("disk: stopped, because the audit failed: %w", err)
		}
	}
	return false, nil
}
