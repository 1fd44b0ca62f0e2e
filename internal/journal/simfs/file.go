package simfs

import (
	"io"
	"maps"
	"slices"
	"syscall"
)

// file is an open one.
type file struct {
	fs   *FS
	life int
	name string
	in   *inode
}

func (h *file) ReadAt(b []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.fs.down || h.life != h.fs.life {
		return 0, ErrDown
	}
	if off >= int64(len(h.in.data)) {
		return 0, io.EOF
	}
	n := copy(b, h.in.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *file) WriteAt(b []byte, off int64) (int, error) {
	fault, err := h.fs.begin(h.life, Op{Kind: Write, Name: h.name, Off: off, Len: len(b)}, h.in)
	if err != nil {
		return 0, err
	}
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.life != h.fs.life {
		return 0, ErrDown
	}
	if fault.Err != nil {
		b = b[:min(fault.Bytes, len(b))]
	}
	if room := h.in.space + max(0, h.fs.capacity-h.fs.used()) - off; int64(len(b)) > room {
		b, fault.Err = b[:max(0, room)], syscall.ENOSPC
	}
	h.in.write(b, off)
	h.fs.down = h.fs.down || fault.Cut
	if fault.Err == nil && fault.Cut {
		fault.Err = ErrDown
	}
	return len(b), fault.Err
}

func (in *inode) write(b []byte, off int64) {
	if len(b) == 0 {
		return
	}
	end := off + int64(len(b))
	in.grow(end)
	copy(in.data[off:], b)
	for s := off / Sector; s*Sector < end; s++ {
		in.dirty[int(s)] = struct{}{}
	}
}

func (in *inode) grow(size int64) {
	if size > int64(len(in.data)) {
		in.data = append(in.data, make([]byte, size-int64(len(in.data)))...)
	}
	in.space = max(in.space, size)
}

func (h *file) Allocate(size int64) error {
	return h.fs.effect(h.life, Op{Kind: Allocate, Name: h.name, Len: int(size)}, h.in, func() error {
		if size-h.in.space > h.fs.capacity-h.fs.used() && size > h.in.space {
			return syscall.ENOSPC
		}
		h.in.grow(size)
		return nil
	})
}

func (h *file) Sync() error {
	fault, err := h.fs.begin(h.life, Op{Kind: Sync, Name: h.name}, h.in)
	if err != nil {
		return err
	}
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.life != h.fs.life {
		return ErrDown
	}
	h.fs.flush(h.in, fault.Err != nil)
	h.fs.down = h.fs.down || fault.Cut
	if fault.Err == nil && fault.Cut {
		return ErrDown
	}
	return fault.Err
}

// flush writes what is dirty to the disk; by chance, if it is to fail. Then all
// is clean.
func (f *FS) flush(in *inode, chance bool) {
	if !chance || f.rng.IntN(2) == 0 {
		if n := len(in.data); len(in.disk) < n {
			in.disk = append(in.disk, make([]byte, n-len(in.disk))...)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(in.dirty)) {
		if chance && f.rng.IntN(2) == 0 {
			continue
		}
		from := min(s*Sector, len(in.disk))
		to := min(from+Sector, len(in.disk))
		copy(in.disk[from:to], in.data[from:])
	}
	clear(in.dirty)
}

func (h *file) Size() (int64, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.fs.down || h.life != h.fs.life {
		return 0, ErrDown
	}
	return int64(len(h.in.data)), nil
}

func (h *file) Close() error { return nil }
