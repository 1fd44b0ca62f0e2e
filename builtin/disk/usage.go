package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// usage is what a file system says of itself.
type usage struct {
	size, free, avail uint64 // bytes; avail is what is left to non-root
	inodes, ifree     uint64
	id                uint64 // of the file system; 0 where it has none
	readOnly          bool
}

// space is the share that is left to non-root of what non-root may use, in
// percent: what df(1) prints as 100 - Use%. ok is false where there is no space
// to speak of, as in /proc.
func (u *usage) space() (percent float64, ok bool) {
	if u.size == 0 || u.free > u.size {
		return 0, false
	}
	usable := u.size - u.free + u.avail
	if usable == 0 {
		return 0, true // all of it is reserved: nothing is left
	}
	return 100 * float64(u.avail) / float64(usable), true
}

// inodeSpace is the share of inodes that are free, in percent. ok is false for
// file systems without a fixed number of them (btrfs), which report none.
func (u *usage) inodeSpace() (percent float64, ok bool) {
	if u.inodes == 0 || u.ifree > u.inodes {
		return 0, false
	}
	return 100 * float64(u.ifree) / float64(u.inodes), true
}

// reading is one look at one path.
type reading struct {
	usage
	err  error // blind
	skip bool  // nothing to judge here
}

// mounts reads the file systems of several paths, each isolated from the
// others. Looks of several watches take turns, so that one statfs at most is
// under way for a path, whoever asks.
type mounts struct {
	patience time.Duration
	turn     chan struct{}
	timer    *time.Timer // made at the first look: a bubble's timers are its own
	at       []*mount
}

type mount struct {
	path     string
	optional bool // not given by the user: absent is nothing to tell
	call     *solo
	out      usage // written by the call; read after it is done
	err      error

	id       uint64 // as of the last answer
	writable bool   // it was, once
	hung     error
	vanished error
	frozen   error
}

// newMounts reads paths with read, which may hang.
func newMounts(paths []string, optional bool, patience time.Duration, read func(path string) func(*usage) error) *mounts {
	ms := &mounts{patience: patience, turn: make(chan struct{}, 1)}
	for _, p := range paths {
		// The texts are fixed, so that a blindness that lasts is told once.
		m := &mount{
			path: p, optional: optional,
			hung:     fmt.Errorf("disk: statfs of %s does not answer: its mount hangs, and is not asked again before it does", p),
			vanished: fmt.Errorf("disk: %s does not exist: create it, or take it out of Options.Paths", p),
			frozen:   fmt.Errorf("disk: the file system of %s was writable and is read-only now: look for I/O errors in the kernel log", p),
		}
		call := read(p)
		m.call = newSolo(func() { m.err = call(&m.out) })
		ms.at = append(ms.at, m)
	}
	return ms
}

// look reads every path at once and waits for the answers: patience at most,
// and not at all for a mount that hung before and still does. into is reused.
func (ms *mounts) look(ctx context.Context, into []reading) ([]reading, error) {
	into = into[:0]
	if ctx.Err() != nil {
		return into, fmt.Errorf("disk: the look was stopped: %w", context.Cause(ctx))
	}
	select {
	case ms.turn <- struct{}{}:
	case <-ctx.Done():
		return into, fmt.Errorf("disk: the look was stopped: %w", context.Cause(ctx))
	}
	defer func() { <-ms.turn }()
	var late <-chan time.Time
	stuck := false
	for _, m := range ms.at {
		into = append(into, reading{})
		if !m.call.begin() {
			into[len(into)-1].err = m.hung
		}
	}
	for i, m := range ms.at {
		r := &into[i]
		if r.err != nil {
			continue
		}
		if !m.call.landed() && !stuck {
			if late == nil {
				late = ms.deadline()
			}
			select {
			case <-m.call.done:
				m.call.flying = false
			case <-late:
				stuck = true
			case <-ctx.Done():
				stuck = true
			}
		}
		if m.call.flying && !m.call.landed() {
			r.err = m.hung
			continue
		}
		ms.take(i, r)
	}
	if late != nil {
		ms.timer.Stop()
	}
	if stuck && ctx.Err() != nil {
		return into, fmt.Errorf("disk: the look was stopped while statfs had not answered: %w", context.Cause(ctx))
	}
	return into, nil
}

func (ms *mounts) deadline() <-chan time.Time {
	if ms.timer == nil {
		ms.timer = time.NewTimer(ms.patience)
	} else {
		ms.timer.Reset(ms.patience)
	}
	return ms.timer.C
}

// take makes a reading of the answer of mount i.
func (ms *mounts) take(i int, r *reading) {
	m := ms.at[i]
	switch {
	case errors.Is(m.err, fs.ErrNotExist) && m.optional:
		r.skip = true
		return
	case errors.Is(m.err, fs.ErrNotExist):
		r.err = m.vanished
		return
	case m.err != nil:
		r.err = fmt.Errorf("disk: statfs of %s: %w", m.path, m.err)
		return
	}
	r.usage = m.out
	m.id = m.out.id
	switch {
	case !m.out.readOnly:
		m.writable = true
	case m.writable:
		r.err = m.frozen
		return
	default:
		r.skip = true // an image or a medium: nothing of ours fills it
		return
	}
	for _, other := range ms.at[:i] {
		// The id of the last answer counts: a path that hangs keeps its place.
		if m.id != 0 && other.id == m.id {
			r.skip = true
			return
		}
	}
}
