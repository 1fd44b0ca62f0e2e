package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// found is a file that may have to go.
type found struct {
	in      *folder
	name    string
	changed int64 // ns
	dev     uint64
	ino     uint64
}

// older orders by age, and by path where that is equal, so that two runs agree.
func older(a, b *found) bool {
	switch {
	case a.changed != b.changed:
		return a.changed < b.changed
	case a.in != b.in && a.in.key() != b.in.key():
		return a.in.key() < b.in.key()
	}
	return a.name < b.name
}

func younger(a, b *found) bool { return older(b, a) }

// folder is one directory of a scan.
type folder struct {
	place *place
	way   []string // below place
	node  node
	kept  []string // the newest, which stay
}

func (f *folder) key() string { return path.Join(f.place.path, path.Join(f.way...)) }

// scan lists directories in batches and remembers the oldest files only, and of
// each directory the newest while it is listed: memory does not grow with their
// number.
type scan struct {
	o      *JanitorOptions
	now    time.Time
	me     uint32
	oldest heap // the youngest of them on top
	most   int
	report *Report
}

const batch = 512

// folder scans one directory and what is below it. Errors are those of the
// directory itself; deeper ones are in the report.
func (s *scan) folder(ctx context.Context, p *place, way []string) error {
	fd, n, err := p.below(way)
	if err != nil {
		return err
	}
	f := &folder{place: p, way: slices.Clone(way), node: n}
	dir := os.NewFile(uintptr(fd), f.key())
	defer dir.Close()
	newest := heap{before: older}
	deeper := false
	err = each(ctx, dir, func(name string) error {
		n, err := nodeAt(fd, name)
		switch {
		case errors.Is(err, unix.ENOENT):
			return nil // gone already
		case err != nil:
			return fmt.Errorf("look at %q: %w", name, err)
		case n.dir() && n.mnt == p.node.mnt && len(way) < s.o.Depth:
			deeper = true
		case !n.regular() || n.mnt != p.node.mnt:
			s.report.Other++
		case s.foreign(name, &n, f):
			s.report.Foreign++
		default:
			s.file(&newest, &found{in: f, name: name, changed: n.changed.UnixNano(), dev: n.dev, ino: n.ino})
		}
		return nil
	})
	s.report.Kept += len(newest.all)
	for _, x := range newest.all {
		f.kept = append(f.kept, x.name)
	}
	if err != nil || !deeper {
		return err
	}
	// Once more for the directories, so that their names need no memory either.
	if _, err := dir.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return each(ctx, dir, func(name string) error {
		n, err := nodeAt(fd, name)
		if err != nil || !n.dir() || n.mnt != p.node.mnt {
			return nil
		}
		down := append(slices.Clone(way), name)
		if err := s.folder(ctx, p, down); err != nil {
			if ctx.Err() != nil {
				return err
			}
			s.report.refuse(fmt.Errorf("disk: %s was not cleaned: %w", clip(path.Join(p.path, path.Join(down...))), err))
		}
		return nil
	})
}

// each calls f with every name in dir.
func each(ctx context.Context, dir *os.File, f func(name string) error) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		names, err := dir.Readdirnames(batch)
		for _, name := range names {
			if err := f(name); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// foreign says whether a file is not ours to remove. In a directory that many
// write into, only our own files and those of its owner are.
func (s *scan) foreign(name string, n *node, in *folder) bool {
	return n.uid != s.me && n.uid != in.node.uid || s.o.Match != nil && !s.o.Match(name)
}

// file moves one file through the newest of its directory to the oldest of all.
func (s *scan) file(newest *heap, x *found) {
	newest.push(x)
	if newest.len() <= s.o.Keep {
		return
	}
	x = newest.pop()
	if s.o.MinAge > 0 && s.now.UnixNano()-x.changed < int64(s.o.MinAge) {
		s.report.Young++
		return
	}
	s.oldest.push(x)
	if s.oldest.len() > s.most {
		s.oldest.pop()
		s.report.Later++
	}
}

func (r *Report) refuse(err error) {
	// A tree of refusals says no more than its first hundred.
	if strings.Count(errorText(r.Refused), "\n") < 100 {
		r.Refused = errors.Join(r.Refused, err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// heap is a binary heap of files, the one that comes before all others on top.
type heap struct {
	before func(a, b *found) bool
	all    []*found
}

func (h *heap) len() int { return len(h.all) }

func (h *heap) push(x *found) {
	h.all = append(h.all, x)
	for i := len(h.all) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.before(h.all[i], h.all[up]) {
			return
		}
		h.all[i], h.all[up] = h.all[up], h.all[i]
		i = up
	}
}

func (h *heap) pop() *found {
	top, last := h.all[0], len(h.all)-1
	h.all[0] = h.all[last]
	h.all[last] = nil
	h.all = h.all[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down+1 < last && h.before(h.all[down+1], h.all[down]) {
			down++
		}
		if down >= last || !h.before(h.all[down], h.all[i]) {
			return top
		}
		h.all[i], h.all[down] = h.all[down], h.all[i]
		i = down
	}
}
