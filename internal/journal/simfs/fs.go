package simfs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/selfheal-go/selfheal/internal/journal"
)

// Sector is how many bytes of a file survive or are lost together.
const Sector = 512

// ErrDown is returned by everything between an effect that cut the power, or
// Kill, and the next PowerCut or Kill, and by files of before for ever.
var ErrDown = errors.New("simfs: this life is over")

var errGone = errors.New("simfs: the name is not that of this file")

// Kind is what an effect does.
type Kind int

// The kinds of effects. Reading is none.
const (
	Create Kind = iota
	Allocate
	Write
	Sync
	Rename
	Remove
	SyncDir
)

// String is the kind in a word.
func (k Kind) String() string {
	return [...]string{"create", "allocate", "write", "sync", "rename", "remove", "syncdir"}[k]
}

// An Op is an effect about to happen.
type Op struct {
	N    int // counts effects from 1
	Kind Kind
	Name string // of the file now, or at last; "" for SyncDir
	Off  int64  // of Write
	Len  int    // of Write and Allocate
}

// A Fault is what befalls an effect. The zero value is nothing.
type Fault struct {
	// Err fails it. Of a Write, the first Bytes bytes are written before.
	Err   error
	Bytes int
	// Cut ends this life: the effect happens, but for a Write with Err only in
	// part, and everything from then on is ErrDown.
	Cut bool
}

// A Hook is asked before each effect, without a lock; it may block, to be a disk
// that does not answer.
type Hook func(Op) Fault

// FS implements [journal.FS]. All methods are safe for concurrent use.
type FS struct {
	mu       sync.Mutex
	rng      *rand.Rand
	hook     Hook
	life     int // files of earlier ones are dead
	down     bool
	ops      int
	names    map[string]*inode // as a process sees them
	disk     map[string]*inode // as a power cut leaves them
	pending  []func(map[string]*inode)
	capacity int64
}

type inode struct {
	data  []byte // as a process sees it
	disk  []byte
	dirty map[int]struct{} // sectors that a Sync would write
	space int64            // taken
}

// New is an empty disk without faults and without a limit of size.
func New(seed uint64) *FS {
	return &FS{
		rng:      rand.New(rand.NewPCG(seed, 0)),
		names:    map[string]*inode{},
		disk:     map[string]*inode{},
		capacity: 1 << 40,
	}
}

// SetHook sets the hook; nil for none.
func (f *FS) SetHook(h Hook) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = h
}

// SetCapacity limits the space in bytes. Less than what is taken is a full disk.
func (f *FS) SetCapacity(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = bytes
}

// Used is the space that is taken, in bytes.
func (f *FS) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used()
}

func (f *FS) used() (n int64) {
	for _, in := range f.names {
		n += in.space
	}
	return n
}

// Ops is how many effects there were.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// begin asks the hook about an effect. in is the file that it is on; may be nil.
func (f *FS) begin(life int, op Op, in *inode) (Fault, error) {
	f.mu.Lock()
	if f.down || life != f.life {
		f.mu.Unlock()
		return Fault{}, ErrDown
	}
	f.ops++
	op.N = f.ops
	for name, i := range f.names { // it may have another since it was opened
		if i == in {
			op.Name = name
		}
	}
	hook := f.hook
	f.mu.Unlock()
	if hook == nil {
		return Fault{}, nil
	}
	return hook(op), nil
}

// effect does one thing, unless it is to fail.
func (f *FS) effect(life int, op Op, in *inode, do func() error) error {
	fault, err := f.begin(life, op, in)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if life != f.life { // the power went while the disk did not answer
		return ErrDown
	}
	f.down = f.down || fault.Cut
	if fault.Err != nil {
		return fault.Err
	}
	if err := do(); err != nil || !fault.Cut {
		return err
	}
	return ErrDown
}

func (f *FS) now() (life int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.life
}

// change is a change of names, durable after SyncDir. f.mu is held.
func (f *FS) change(do func(map[string]*inode)) {
	do(f.names)
	f.pending = append(f.pending, do)
}

// List implements journal.FS.
func (f *FS) List() ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, ErrDown
	}
	return slices.Sorted(maps.Keys(f.names)), nil
}

// Open implements journal.FS.
func (f *FS) Open(name string, _ bool) (journal.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, ErrDown
	}
	in := f.names[name]
	if in == nil {
		return nil, fmt.Errorf("simfs: open %s: %w", name, fs.ErrNotExist)
	}
	return &file{fs: f, life: f.life, name: name, in: in}, nil
}

// Create implements journal.FS.
func (f *FS) Create(name string) (journal.File, error) {
	life := f.now()
	in := &inode{dirty: map[int]struct{}{}}
	err := f.effect(life, Op{Kind: Create, Name: name}, nil, func() error {
		if f.names[name] != nil {
			return fmt.Errorf("simfs: create %s: %w", name, fs.ErrExist)
		}
		f.change(func(names map[string]*inode) { names[name] = in })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &file{fs: f, life: life, name: name, in: in}, nil
}

// Rename implements journal.FS.
func (f *FS) Rename(from, to string) error {
	return f.effect(f.now(), Op{Kind: Rename, Name: from}, nil, func() error {
		in := f.names[from]
		switch {
		case in == nil:
			return fmt.Errorf("simfs: rename %s: %w", from, fs.ErrNotExist)
		case f.names[to] != nil:
			return fmt.Errorf("simfs: rename to %s: %w", to, fs.ErrExist)
		}
		f.change(func(names map[string]*inode) {
			delete(names, from)
			names[to] = in
		})
		return nil
	})
}

// Remove implements journal.FS.
func (f *FS) Remove(name string) error {
	return f.effect(f.now(), Op{Kind: Remove, Name: name}, nil, func() error {
		if f.names[name] == nil {
			return fmt.Errorf("simfs: remove %s: %w", name, fs.ErrNotExist)
		}
		f.change(func(names map[string]*inode) { delete(names, name) })
		return nil
	})
}

// SyncDir implements journal.FS.
func (f *FS) SyncDir() error {
	return f.effect(f.now(), Op{Kind: SyncDir}, nil, func() error {
		f.disk = maps.Clone(f.names)
		f.pending = nil
		return nil
	})
}

// Check implements journal.FS.
func (f *FS) Check(name string, of journal.File) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := of.(*file); f.down || h.life != f.life {
		return ErrDown
	} else if f.names[name] != h.in {
		return errGone
	}
	return nil
}
