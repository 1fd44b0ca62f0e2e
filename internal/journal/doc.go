// Package journal keeps what must survive a crash: records, each durable before
// its append is acknowledged, in an append-only log with checksums.
//
// What a record means is its owner's business: it is a type, a number, and bytes.
//
// # Rooms
//
//   - The codec (record.go, segment.go): bytes of a record and of a segment. Every
//     version that was ever written can be read; a newer one is refused.
//   - Reading (walk.go, view.go, reader.go): a [Reader] needs no lock and bears a
//     writer at work. damage.go says what is wrong and what is lost.
//   - The commit state (log.go, commit.go, spare.go): a [Log] has no goroutine,
//     lock or clock, and knows the world as an [FS] only. The simulator runs it, on
//     the disk of package simfs that forgets what was not synced.
//   - The driver (journal.go, writer.go, mailroom.go, event.go): a [Journal] is one
//     goroutine around a Log, with a bounded queue, group commit and a watchdog.
//   - The operating system (home.go, dir.go, dirfs.go, lock.go, stamp.go).
//
// The root package, the simulator and commands may import it.
//
// # The directory
//
//	lock                     held by flock while a writer lives; says who it is
//	000000000000000a.log     a segment: header, maybe a snapshot, records, zeros
//	000000000000000c.log     the next one; the last is written
//	000000000000000d.spare   zeros: space for a segment to come
//
// Segments have their full size from the beginning, filled with zeros and synced.
// So an append changes no metadata, and a disk that is full stops nothing: even a
// compaction only needs a spare. A segment gets its name when all that it begins
// with is durable in it; names are durable before anything relies on them. On a
// file system that copies on write (btrfs, ZFS) a write may need space all the
// same.
//
// # What is promised
//
//   - Acknowledged is durable: written, synced, and still in the directory.
//   - What a power cut leaves of a write that was never acknowledged is cut. It is
//     told from damage by marks, see walk: damage is reported with what it cost.
//   - A file on which a write or a sync failed is not written again, because Linux
//     takes pages for clean whose write failed. The records go to the next segment;
//     when none is left, the journal is degraded: it refuses records until a
//     snapshot closes the gap.
//   - What is found when a journal is opened was made durable before it is
//     replayed. After a crash it may be more than was acknowledged, never less, in
//     order and without a gap.
//
// A snapshot is the state of the owner as records. It begins a segment, replaces
// all that came before, and turns that into history for audits. The owner takes
// it when [SnapshotWanted] asks, from where it appends, so that it holds exactly
// what was appended before.
//
// What cannot be known: whether the disk lies about a sync, and whether the very
// last write of a life was torn by a power cut or spoilt later. Files that
// disappear together with everything that came after them were never there.
package journal
