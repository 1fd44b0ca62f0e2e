// Package simfs is a disk in memory that forgets what was not synced: a
// journal.FS for simulators and tests.
//
// It keeps apart what a process sees and what is on the disk. Sync moves the bytes
// of a file to the disk, SyncDir its names. [FS.PowerCut] leaves what is on the
// disk, and of the rest what chance spares: whole sectors of 512 bytes, and a
// beginning of the changes of names. After [FS.Kill] everything is still there,
// as the kernel keeps it when only a process dies.
//
// A Sync that fails behaves as Linux does: some of the bytes reach the disk, all
// are taken for clean, and a later Sync that succeeds does not write them.
//
// A [Hook] sees each effect before it happens and may let it fail, happen in part,
// or be the last one before the power goes. With one seed and the same calls, the
// same happens. Only the journal's tests, the simulator and other tests may
// import this package.
package simfs
