// Package disk watches the file systems under a service and makes room before
// they are full.
//
//	heal.Install(disk.Module(disk.Options{
//		Clean:   disk.JanitorOptions{Dirs: []string{"/var/cache/shop"}},
//		Logs:    disk.LogOptions{Files: []string{"/var/log/shop/shop.log"}, Reopen: log.Reopen},
//		Ballast: disk.BallastOptions{Path: "/var/lib/shop/ballast"},
//	}))
//
// # What is watched
//
//   - space-low, inodes-low: less than 15 % is left, or less than 40 % and by the
//     line through the last 6 h it is used up within 24 h.
//   - space, inodes: less than 10 % is left, or less than 20 % and it is used up
//     within 4 h by the line through the last hour.
//   - deleted: this process holds more than 1 GiB in files that are deleted and
//     still open. Mapped files without a descriptor, and other processes, are not
//     seen.
//
// Space is what is left to non-root (f_bavail) of what non-root may use, as df(1)
// has it. One file system is one finding, whose key is the first of Options.Paths
// on it. File systems without inodes of their own number (btrfs), without a size
// (/proc), and those that were read-only from the start are not judged. Subvolumes
// of btrfs are file systems of their own.
//
// A mount that does not answer is blind, with one fixed reason, and hides no
// other: each statfs runs on a goroutine of its own, is waited for once, and is not
// made again while it hangs. It costs one thread until the mount answers. A file
// system that turns read-only is blind too: nothing can be removed from it, and a
// person has to look.
//
// # What is done
//
// A warning (15 %) compresses logs, and tells people if that does not help. Below 10 %
// the ladder is, each rung only where the options declare it:
//
//	compress-logs    rotate and compress own logs           safe
//	clean            a Janitor on declared directories      disruptive, lasting
//	reopen-logs      open own logs anew                     safe
//	quiet-logs       no debug logs                          safe, undone
//	read-only        stop writing, or serve degraded        disruptive, undone
//	release-ballast  give up a file made for this           disruptive, undone
//
// Inodes are won back by clean, quiet-logs and read-only. The janitor cleans only
// directories on the file system of the finding, asks that before each file whether
// it is still short, and stops as soon as it is not. Ladders of the pack exclude
// each other.
//
// With zero options nothing is removed or changed: the pack finds and tells.
//
// # Never
//
// Patterns or paths that come from data; data or WAL directories (do not declare
// any); files of others, open files, the newest files, files by age alone; links;
// other mounts; cutting off a file that does not carry the tag of a ballast.
//
// # When a person is called
//
// When a ladder is exhausted, because what fills the disk is not ours; for a
// warning that lasts 5 min; when a look stays blind; when there is no room to take
// the ballast again.
//
// # What it needs, and where it stops
//
// Linux 5.8 for the janitor (mount ids). Elsewhere every watch is blind with
// errors.ErrUnsupported. Whether a file is open elsewhere is told by leases, as
// tried on ext4, tmpfs and overlayfs; on a file system without them files are
// skipped and counted. An opener that reaches the files below an overlay by another
// way is not seen. Blocks that files share (reflinks, snapshots, layers of an image)
// count as freed though they are not. A directory that only a group can write is
// trusted.
//
// # Cost
//
// A healthy look is one statfs and one hand-over between goroutines for each path,
// without garbage: microseconds every 10 s. The watch deleted lists the descriptors
// once a minute, a few microseconds for each. A run of the janitor holds the files
// that may go in memory, at most Options.Clean.MaxFiles, however many there are.
package disk
