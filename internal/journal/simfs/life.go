package simfs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// PowerCut ends this life and begins the next: what was synced is there; of what
// was not, each sector is or is not; of changes of names since the last SyncDir,
// the first so many.
func (f *FS) PowerCut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.life++
	f.down = false
	for _, do := range f.pending[:f.rng.IntN(len(f.pending)+1)] {
		do(f.disk)
	}
	f.pending = nil
	f.names = maps.Clone(f.disk)
	seen := map[*inode]bool{}
	for _, name := range slices.Sorted(maps.Keys(f.names)) {
		if in := f.names[name]; !seen[in] {
			seen[in] = true
			f.flush(in, true)
			in.data = slices.Clone(in.disk)
			in.space = int64(len(in.data))
		}
	}
}

// Kill ends this life and begins the next, in which everything that was written is
// there, synced or not: only the process died.
func (f *FS) Kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.life++
	f.down = false
}

// Clone is a disk with the same content, all of it synced, and no hook.
func (f *FS) Clone(seed uint64) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := &FS{rng: rand.New(rand.NewPCG(seed, 0)), names: map[string]*inode{}, capacity: f.capacity}
	for name, in := range f.names {
		c.names[name] = &inode{data: slices.Clone(in.data), disk: slices.Clone(in.data), dirty: map[int]struct{}{}, space: in.space}
	}
	c.disk = maps.Clone(c.names)
	return c
}

// Bytes is a copy of what a file holds; nil if there is none.
func (f *FS) Bytes(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if in := f.names[name]; in != nil {
		return slices.Clone(in.data)
	}
	return nil
}

// Put makes or replaces a file, durably, as damage or a person does.
func (f *FS) Put(name string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := &inode{data: slices.Clone(data), disk: slices.Clone(data), dirty: map[int]struct{}{}, space: int64(len(data))}
	f.names[name], f.disk[name] = in, in
}

// Flip turns one bit of a file over, on the disk too.
func (f *FS) Flip(name string, bit int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.names[name]
	if in == nil || bit < 0 || bit/8 >= len(in.data) {
		return fmt.Errorf("simfs: %s has no bit %d", name, bit)
	}
	in.data[bit/8] ^= 1 << (bit % 8)
	if bit/8 < len(in.disk) {
		in.disk[bit/8] ^= 1 << (bit % 8)
	}
	return nil
}

// Clear removes every file, durably, as somebody does who deletes the directory.
func (f *FS) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.names)
	clear(f.disk)
	f.pending = nil
}
