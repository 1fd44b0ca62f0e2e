package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Errors of a [Store]. Others are of the file system, and are wrapped.
var (
	// ErrNotFound: there is no such bundle or file, or no longer. It is an
	// fs.ErrNotExist.
	ErrNotFound = fmt.Errorf("there is no such evidence, or no longer: %w", fs.ErrNotExist)
	// ErrTooBig: the bundle alone is larger than the store may be.
	ErrTooBig = errors.New("the bundle is larger than the store may be")
	// ErrBusy: another capture, or another Put, lasted for as long as could be
	// waited.
	ErrBusy = errors.New("another one is still under way")
)

// StoreOptions are the options of [OpenStore]. The zero value keeps 64 MiB for
// seven days in memory.
type StoreOptions struct {
	// Dir is a directory for the bundles alone, which is made where it is missing,
	// for its owner only. "": they are kept in memory, and end with the process.
	Dir string
	// MaxBytes bounds what all bundles take together. A bundle counts in whole
	// blocks of 4 KiB. 0: 64 MiB.
	MaxBytes int64
	// MaxAge is how long a bundle is kept. 0: seven days; -1: for as long as there
	// is room.
	MaxAge time.Duration
	// Redactor is asked of all text, after the rules of the library. nil: the
	// rules alone. See [NewRedactor].
	Redactor Redactor
}

const (
	defaultMaxBytes = 64 << 20
	defaultMaxAge   = 7 * 24 * time.Hour
	block           = 4 << 10
)

// A Store keeps bundles within bounds of size and age; what is oldest goes first.
// It is safe for concurrent use, has no goroutine and no open file, and so needs
// no closing: what is too old goes at the next call of Put, List or Open.
//
// Everything that is kept has been redacted.
type Store struct {
	maxBytes int64
	maxAge   time.Duration
	clean    cleaner
	shelf    shelf
	putting  chan struct{} // one Put at a time: it makes room, then takes it
	captures *turns
	lastAt   time.Time // of the newest bundle; putting is held
}

// A shelf is where the archives lie. It keeps no bounds.
type shelf interface {
	// list returns what lies there, the oldest first.
	list() ([]Info, error)
	// leftovers is the size, in whole blocks, of bundles that are half written.
	leftovers() (int64, error)
	save(info Info, zip []byte) error
	load(ref string) (source, int64, error)
	// remove does not mind that the bundle is gone.
	remove(ref string) error
}

type source interface {
	io.ReadSeekCloser
	io.ReaderAt
}

// OpenStore opens a store. In a directory it finds the bundles of earlier
// processes, and removes those that were only half written.
//
// A process at a time is meant to write to a directory. Two at once, as during a
// rolling restart, lose nothing, but may exceed MaxBytes by a bundle each.
func OpenStore(o StoreOptions) (*Store, error) {
	s := &Store{maxBytes: o.MaxBytes, maxAge: o.MaxAge, clean: newCleaner(o.Redactor), putting: make(chan struct{}, 1), captures: newTurns()}
	switch {
	case o.MaxBytes < 0:
		return nil, fmt.Errorf("evidence: MaxBytes is %d: give a size in bytes, or 0 for %d", o.MaxBytes, int64(defaultMaxBytes))
	case o.MaxBytes == 0:
		s.maxBytes = defaultMaxBytes
	case o.MaxBytes < block:
		return nil, fmt.Errorf("evidence: MaxBytes is %d, which no bundle fits into: give %d at least", o.MaxBytes, block)
	}
	switch {
	case o.MaxAge < -1:
		return nil, fmt.Errorf("evidence: MaxAge is %v: give a duration, 0 for %v, or -1 for no bound", o.MaxAge, defaultMaxAge)
	case o.MaxAge == 0:
		s.maxAge = defaultMaxAge
	}
	if o.Dir == "" {
		s.shelf = &memory{}
		return s, nil
	}
	d, err := openDir(o.Dir)
	if err != nil {
		return nil, err
	}
	s.shelf = d
	if _, _, err := s.kept(); err != nil { // also removes what is broken or too old
		return nil, err
	}
	return s, nil
}

// Put redacts the bundle and keeps it, and what it returns says under which Ref.
// Older bundles are removed to make room before anything is written, so that the
// store is never larger than it may be. b and its files are not changed.
//
// ctx bounds how long another Put is waited for; what is being written is not
// interrupted. Errors: [ErrTooBig], [ErrBusy], or those of the file system; then
// nothing is kept of b.
func (s *Store) Put(ctx context.Context, b Bundle) (Info, error) {
	files := b.Files
	b.Files, b.Notes = nil, slices.Clone(b.Notes)
	for _, f := range files {
		clean, err := s.clean.file(f)
		if err != nil {
			b.Notes = append(b.Notes, Note{Part: f.Name, Why: "left out: " + err.Error()})
			continue
		}
		b.Files = append(b.Files, clean)
	}
	return s.put(ctx, b)
}

// put is Put for files that are redacted already.
func (s *Store) put(ctx context.Context, b Bundle) (Info, error) {
	if b.At.IsZero() {
		b.At = time.Now()
	}
	info := s.clean.info(b)
	safeNames(b.Files)
	for _, f := range b.Files {
		info.Files = append(info.Files, FileInfo{Name: f.Name, Type: s.clean.text(f.Type), Bytes: int64(len(f.Data))})
	}
	select {
	case s.putting <- struct{}{}:
	case <-ctx.Done():
		return Info{}, fmt.Errorf("evidence: put: %w: the store is busy writing another bundle: is its disk well?", ErrBusy)
	}
	defer func() { <-s.putting }()

	all, stuck, err := s.kept()
	if err = errors.Join(err, stuck); err != nil {
		return Info{}, err
	}
	if n := len(all); n > 0 && s.lastAt.IsZero() {
		s.lastAt, _ = refAt(all[n-1].Ref)
	}
	// Refs keep the order in which bundles came, also within a millisecond and
	// when the clock was set back.
	at := b.At.Truncate(time.Millisecond)
	if !at.After(s.lastAt) {
		at = s.lastAt.Add(time.Millisecond)
	}
	info.Ref = newRef(at)
	data, err := archive(info, b.Files)
	if err != nil {
		return Info{}, err
	}
	info.Bytes = int64(len(data))
	if err := s.makeRoom(all, info.Bytes); err != nil {
		return Info{}, err
	}
	if err := s.shelf.save(info, data); err != nil {
		return Info{}, err
	}
	s.lastAt = at
	return info, nil
}

// makeRoom removes the oldest bundles until one of this size fits.
func (s *Store) makeRoom(all []Info, size int64) error {
	if blocks(size) > s.maxBytes {
		return fmt.Errorf("evidence: put: %w: it has %d bytes of %d: raise StoreOptions.MaxBytes, or lower Options.Bytes", ErrTooBig, size, s.maxBytes)
	}
	taken, err := s.shelf.leftovers()
	if err != nil {
		return err
	}
	for _, i := range all {
		taken += blocks(i.Bytes)
	}
	for _, i := range all {
		if taken+blocks(size) <= s.maxBytes {
			break
		}
		if err := s.shelf.remove(i.Ref); err != nil {
			return fmt.Errorf("evidence: make room: %w", err)
		}
		taken -= blocks(i.Bytes)
	}
	if taken+blocks(size) > s.maxBytes {
		return fmt.Errorf("evidence: put: %w: what another process writes, or left half written, takes %d bytes of %d; that is removed when it is %v old", ErrBusy, taken, s.maxBytes, halfWritten)
	}
	return nil
}

func blocks(size int64) int64 { return (size + block - 1) / block * block }

// kept lists what is not too old, the oldest first, and removes the rest. stuck is
// why some of that could not be removed.
func (s *Store) kept() (all []Info, stuck, err error) {
	if all, err = s.shelf.list(); err != nil {
		return nil, nil, err
	}
	for len(all) > 0 && s.expired(all[0].Ref) {
		if err := s.shelf.remove(all[0].Ref); err != nil {
			stuck = fmt.Errorf("evidence: remove what is too old: %w", err)
		}
		all = all[1:]
	}
	return all, stuck, nil
}

func (s *Store) expired(ref string) bool {
	at, _ := refAt(ref)
	return s.maxAge >= 0 && time.Since(at) > s.maxAge
}

// List returns what is kept, the newest first.
func (s *Store) List() ([]Info, error) {
	all, _, err := s.kept()
	if err != nil {
		return nil, err
	}
	slices.Reverse(all)
	return all, nil
}

// Open opens a bundle by its ref, as a zip file, or one of its files by
// ref/name. What it returns must be closed. A ref is a name and never a path:
// whatever was not returned by Put or List is [ErrNotFound].
func (s *Store) Open(ref string) (*Content, error) {
	ref, name, part := strings.Cut(ref, "/")
	at, ok := refAt(ref)
	if !ok {
		return nil, fmt.Errorf("evidence: open %.80q: %w", ref, ErrNotFound)
	}
	if s.expired(ref) {
		_ = s.shelf.remove(ref) // Put says so if that cannot be done
		return nil, fmt.Errorf("evidence: open %s: %w", ref, ErrNotFound)
	}
	r, size, err := s.shelf.load(ref)
	if err != nil {
		return nil, err
	}
	if !part {
		return &Content{ReadSeekCloser: r, Name: ref + ".zip", Type: zipType, Bytes: size, At: at}, nil
	}
	defer r.Close()
	c, err := openPart(r, size, name, max(s.maxBytes, defaultMaxBytes))
	if err != nil {
		return nil, fmt.Errorf("evidence: open %s/%.80q: %w", ref, name, err)
	}
	return c, nil
}

// Remove removes a bundle. [ErrNotFound] when there is none.
func (s *Store) Remove(ref string) error {
	if _, ok := refAt(ref); !ok {
		return fmt.Errorf("evidence: remove %.80q: %w", ref, ErrNotFound)
	}
	r, _, err := s.shelf.load(ref)
	if err != nil {
		return err
	}
	r.Close()
	if err := s.shelf.remove(ref); err != nil {
		return fmt.Errorf("evidence: remove %s: %w", ref, err)
	}
	return nil
}
