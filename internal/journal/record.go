package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// An Entry is what its owner puts on record.
type Entry struct {
	Type    uint16 // what Payload means; the journal does not care
	Payload []byte // may be empty
}

// A Record is an entry as it stands in the journal.
type Record struct {
	// Seq counts the records of a journal from 1, without a gap in what was
	// acknowledged. Records of a snapshot have the number of the last record that
	// the snapshot contains.
	Seq uint64
	// Snapshot says that the record is part of a snapshot and not something that
	// happened at this moment.
	Snapshot bool
	Stamp
	Entry
}

// A record on disk, in little-endian order:
//
//	 0 size     uint32  bytes of payload
//	 4 crc      uint32  CRC32C (Castagnoli, RFC 3720 appendix B.4) of all other bytes
//	 8 version  uint8
//	 9 flags    uint8
//	10 type     uint16
//	12 segment  uint32  low half of the segment's id: a record of another segment is none
//	16 seq      uint64
//	24 mark     uint64  highest sequence that was durable when this was written;
//	                    in a snapshot: how many of its records come before
//	32 wall     int64   nanoseconds since 1970
//	40 boot     int64   nanoseconds since boot
//	48 boot id  [16]byte
//	64 payload, then zeros up to a multiple of 8
//
// For all versions to come: size, crc and version stay where they are, and a
// record takes 64 bytes and its padded payload.
const (
	formatVersion = 1
	recordHeader  = 64

	flagSnapshot = 1 << 0
	flagMark     = 1 << 1 // nothing happened; it carries mark, and the next batch overwrites it
	flagsKnown   = flagSnapshot | flagMark
)

var errDamaged = errors.New("not a record")

// frame is a record with what only the journal itself needs.
type frame struct {
	Record
	flags uint8
	mark  uint64
}

func padded(payload int) int { return (recordHeader + payload + 7) &^ 7 }

// checksum is the CRC32C of b but for the 4 bytes at skip.
func checksum(b []byte, skip int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(b[:skip], table), table, b[skip+4:])
}

// appendFrame appends f as it stands in the segment of that id.
func appendFrame(dst []byte, segment uint64, f *frame) []byte {
	at, size := len(dst), padded(len(f.Payload))
	if cap(dst)-at >= size {
		dst = dst[:at+size]
	} else {
		dst = append(dst, make([]byte, size)...)
	}
	b := dst[at:]
	le := binary.LittleEndian
	le.PutUint32(b[0:], uint32(len(f.Payload)))
	b[8], b[9] = formatVersion, f.flags
	le.PutUint16(b[10:], f.Type)
	le.PutUint32(b[12:], uint32(segment))
	le.PutUint64(b[16:], f.Seq)
	le.PutUint64(b[24:], f.mark)
	var wall int64
	if !f.Wall.IsZero() {
		wall = f.Wall.UnixNano()
	}
	le.PutUint64(b[32:], uint64(wall))
	le.PutUint64(b[40:], uint64(f.Boot))
	copy(b[48:64], f.BootID[:])
	clear(b[recordHeader+copy(b[recordHeader:], f.Payload):])
	le.PutUint32(b[4:], checksum(b, 4))
	return dst
}

// decodeFrame reads the record at the beginning of b and says how many bytes it
// takes. The payload is part of b. It returns errDamaged for everything that was
// never written into the segment of that id, and a *NewerError for what a later
// version wrote.
func decodeFrame(b []byte, segment uint64, f *frame) (int, error) {
	if len(b) < recordHeader {
		return 0, errDamaged
	}
	le := binary.LittleEndian
	size := uint64(le.Uint32(b))
	total := (recordHeader + size + 7) &^ 7
	if total > uint64(len(b)) || le.Uint32(b[12:]) != uint32(segment) && b[8] <= formatVersion {
		return 0, errDamaged
	}
	b = b[:total]
	if checksum(b, 4) != le.Uint32(b[4:]) {
		return 0, errDamaged
	}
	switch version := b[8]; {
	case version == 1:
		return int(total), decodeV1(b, int(size), f)
	case version > formatVersion:
		return 0, &NewerError{Version: int(version)}
	}
	return 0, errDamaged
}

func decodeV1(b []byte, size int, f *frame) error {
	if b[9]&^flagsKnown != 0 {
		return errDamaged
	}
	le := binary.LittleEndian
	f.flags = b[9]
	f.Snapshot = f.flags&flagSnapshot != 0
	f.Type = le.Uint16(b[10:])
	f.Seq = le.Uint64(b[16:])
	f.mark = le.Uint64(b[24:])
	f.Wall = time.Time{}
	if wall := int64(le.Uint64(b[32:])); wall != 0 {
		f.Wall = time.Unix(0, wall).UTC()
	}
	f.Boot = time.Duration(le.Uint64(b[40:]))
	copy(f.BootID[:], b[48:64])
	f.Payload = b[recordHeader : recordHeader+size : recordHeader+size]
	return nil
}
