package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// A segment on disk begins, in little-endian order, with
//
//	 0 magic     "selfheal"
//	 8 version   uint8
//	 9 flags     uint8   1: it begins with a snapshot
//	12 crc       uint32  CRC32C of the other bytes of the header
//	16 id        uint64  as in its name
//	24 first     uint64  sequence of its first record that is not of the snapshot
//	32 size      uint64  bytes of the file
//	40 records   uint64  of the snapshot
//	48 bytes     uint64  of the snapshot
//
// then has the records of the snapshot, then the others as they were appended,
// then zeros. For all versions to come: magic, version and crc stay where they
// are. It is complete and synced when it gets its name.
const (
	segmentMagic  = "selfheal"
	segmentHeader = 64
	segmentSuffix = ".log"   // in use, or history
	spareSuffix   = ".spare" // in preparation, or ready; holds nothing of value

	maxSegmentBytes = 64 << 20
)

type header struct {
	snapshot  bool
	id, first uint64
	size      uint64
	records   uint64
	bytes     uint64
}

func appendHeader(dst []byte, h header) []byte {
	var b [segmentHeader]byte
	copy(b[:], segmentMagic)
	b[8] = formatVersion
	if h.snapshot {
		b[9] = 1
	}
	le := binary.LittleEndian
	le.PutUint64(b[16:], h.id)
	le.PutUint64(b[24:], h.first)
	le.PutUint64(b[32:], h.size)
	le.PutUint64(b[40:], h.records)
	le.PutUint64(b[48:], h.bytes)
	le.PutUint32(b[12:], checksum(b[:], 12))
	return append(dst, b[:]...)
}

func decodeHeader(b []byte) (h header, err error) {
	le := binary.LittleEndian
	if len(b) < segmentHeader || string(b[:8]) != segmentMagic || checksum(b[:segmentHeader], 12) != le.Uint32(b[12:]) {
		return h, errDamaged
	}
	if b[8] > formatVersion {
		return h, &NewerError{Version: int(b[8])}
	}
	h = header{
		snapshot: b[9]&1 != 0, id: le.Uint64(b[16:]), first: le.Uint64(b[24:]), size: le.Uint64(b[32:]),
		records: le.Uint64(b[40:]), bytes: le.Uint64(b[48:]),
	}
	if b[8] != 1 || b[9]&^1 != 0 || h.first == 0 || h.size > maxSegmentBytes || h.bytes > h.size {
		return header{}, errDamaged
	}
	return h, nil
}

func segmentName(id uint64, suffix string) string { return fmt.Sprintf("%016x%s", id, suffix) }

func parseName(name, suffix string) (id uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 16, 64)
	return id, err == nil && id > 0 && segmentName(id, suffix) == name
}

// A segment is one file of records as it was found or made.
type segment struct {
	header        // zero where it is damaged
	id     uint64 // by its name
	name   string
	sound  bool // the header is
	dead   bool // a write or sync failed: it is never written again
}

// directory is what lies in the directory of a journal.
type directory struct {
	segments []segment // by id
	spares   []string
	top      uint64 // highest id in any name
}

// survey reads all headers. It changes nothing. A segment that vanishes
// meanwhile was none: a writer at work recycles old ones.
func survey(fsys FS) (d directory, err error) {
	names, err := fsys.List()
	if err != nil {
		return d, advised("list the directory", err)
	}
	for _, name := range names {
		if id, ok := parseName(name, spareSuffix); ok {
			d.spares, d.top = append(d.spares, name), max(d.top, id)
		}
		id, ok := parseName(name, segmentSuffix)
		if !ok {
			continue
		}
		d.top = max(d.top, id)
		s, err := inspect(fsys, name, id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return directory{}, err
		}
		d.segments = append(d.segments, s)
	}
	slices.SortFunc(d.segments, func(a, b segment) int { return cmp.Compare(a.id, b.id) })
	slices.Sort(d.spares)
	return d, nil
}

func inspect(fsys FS, name string, id uint64) (segment, error) {
	s := segment{id: id, name: name}
	f, err := fsys.Open(name, false)
	if err != nil {
		return s, advised("open "+name, err)
	}
	defer f.Close()
	var b [segmentHeader]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && err != io.EOF {
		return s, advised("read "+name, err)
	}
	h, err := decodeHeader(b[:n])
	var newer *NewerError
	if errors.As(err, &newer) {
		newer.File = name
		return s, newer
	}
	if err == nil && h.id == id {
		s.header, s.sound = h, true
	}
	return s, nil
}

// load reads the whole segment into buf, which it grows, and says whether the
// name still was that file's when it was read.
func (s *segment) load(fsys FS, buf []byte) (b []byte, current bool, err error) {
	f, err := fsys.Open(s.name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return buf[:0], false, nil
	}
	if err != nil {
		return buf[:0], false, advised("open "+s.name, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return buf[:0], false, advised("read "+s.name, err)
	}
	size = min(size, maxSegmentBytes) // a segment is never longer
	if int64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	n, err := f.ReadAt(buf, 0)
	if err != nil && err != io.EOF {
		return buf[:0], false, advised("read "+s.name, err)
	}
	return buf[:n], fsys.Check(s.name, f) == nil, nil
}

// wholeSnapshot says whether b, the bytes of s, begins with all of its snapshot.
func (s *segment) wholeSnapshot(b []byte) (bool, error) {
	if !s.sound || !s.snapshot || uint64(len(b)) < segmentHeader+s.bytes {
		return false, nil
	}
	b = b[segmentHeader : segmentHeader+s.bytes]
	var f frame
	for i := range s.records {
		n, err := decodeFrame(b, s.id, &f)
		if err != nil || !f.isSnapshot(s.first, i) {
			return false, keepNewer(err, s.name)
		}
		b = b[n:]
	}
	return len(b) == 0, nil
}

func (f *frame) isSnapshot(first, index uint64) bool {
	return f.flags == flagSnapshot && f.Seq == first-1 && f.mark == index
}

// keepNewer drops every error but one about a newer version.
func keepNewer(err error, file string) error {
	var newer *NewerError
	if errors.As(err, &newer) {
		newer.File = file
		return newer
	}
	return nil
}

func blank(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
