package disk

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestLinksAreNotFollowed(t *testing.T) {
	victim := privateDir(t)
	file(t, victim, "precious", 100, 0)
	dir := privateDir(t)
	require.NoError(t, os.Symlink(victim, filepath.Join(dir, "dirlink")))
	require.NoError(t, os.Symlink(filepath.Join(victim, "precious"), filepath.Join(dir, "filelink")))
	require.NoError(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	file(t, filepath.Join(dir, "sub"), "x", 1, time.Hour)
	file(t, filepath.Join(dir, "sub"), "y", 1, 0)
	file(t, dir, "a", 1, time.Hour)
	file(t, dir, "b", 1, 0)

	flat, err := NewJanitor(JanitorOptions{Dirs: []string{dir}, Keep: 1}).Plan(ctx())
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, paths(flat))
	require.Equal(t, 4, flat.Other)

	r, err := NewJanitor(JanitorOptions{Dirs: []string{dir}, Keep: 1, Depth: 5}).Run(ctx())
	require.NoError(t, err)
	require.Equal(t, []string{"a", "x"}, paths(r), "each directory keeps its newest")
	require.Equal(t, []string{"precious"}, names(t, victim))
	require.Equal(t, []string{"b", "dirlink", "filelink", "pipe", "sub"}, names(t, dir))

	for _, path := range []string{filepath.Join(dir, "dirlink"), filepath.Join(dir, "dirlink", "deeper")} {
		_, err = NewJanitor(JanitorOptions{Dirs: []string{path}}).Run(ctx())
		require.ErrorContains(t, err, "symbolic link")
	}
}

func TestDirectoriesThatOthersMaySwapAreRefused(t *testing.T) {
	dir := privateDir(t)
	sub := filepath.Join(dir, "sub")
	require.NoError(t, os.Mkdir(sub, 0o700))
	file(t, sub, "a", 1, time.Hour)
	file(t, sub, "b", 1, 0)
	try := func(path string, depth int) error {
		_, err := NewJanitor(JanitorOptions{Dirs: []string{path}, Keep: 1, Depth: depth}).Plan(ctx())
		return err
	}
	require.NoError(t, try(sub, 0))
	require.NoError(t, os.Chmod(sub, 0o777))
	require.ErrorContains(t, try(sub, 0), "refused")
	require.ErrorContains(t, try(dir, 1), "not cleaned", "deeper ones too")
	require.NoError(t, os.Chmod(sub, 0o777|os.ModeSticky))
	require.NoError(t, try(sub, 0))
	require.NoError(t, os.Chmod(dir, 0o777))
	require.ErrorContains(t, try(sub, 0), dir+", which has no sticky bit", "and those above")
	require.NoError(t, os.Chmod(dir, 0o700))
}

// A bind mount of the same file system has the same device number.
func TestTheMountIsNotLeft(t *testing.T) {
	fs := tmpfs(t, "size=1m")
	dir, data := filepath.Join(fs, "cache"), filepath.Join(fs, "data")
	for _, d := range []string{dir, data, filepath.Join(dir, "bound")} {
		require.NoError(t, os.Mkdir(d, 0o700))
	}
	file(t, data, "precious", 100, 5*time.Hour)
	file(t, data, "precious too", 100, 4*time.Hour)
	file(t, dir, "a", 1, time.Hour)
	file(t, dir, "b", 1, 0)
	over := file(t, dir, "over", 1, 9*time.Hour)
	bind(t, data, filepath.Join(dir, "bound"))
	bind(t, filepath.Join(data, "precious"), over)
	var one, other unix.Stat_t
	require.NoError(t, unix.Stat(dir, &one))
	require.NoError(t, unix.Stat(filepath.Join(dir, "bound"), &other))
	require.Equal(t, one.Dev, other.Dev, "the test proves nothing otherwise")

	r, err := NewJanitor(JanitorOptions{Dirs: []string{dir}, Keep: 1, Depth: 3}).Run(ctx())
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, paths(r))
	require.Equal(t, 2, r.Other, "a directory and a file that are mounted on")
	require.Equal(t, []string{"precious", "precious too"}, names(t, data))

	p, err := openPlace(dir)
	require.NoError(t, err)
	defer p.close()
	_, _, err = p.below([]string{"bound"})
	require.ErrorIs(t, err, errOtherMount)
}

// A directory may be mounted over while a run is under way, before it is entered
// again.
func TestAMountThatComesMeanwhile(t *testing.T) {
	fs := tmpfs(t, "size=1m")
	dir, data := filepath.Join(fs, "cache"), filepath.Join(fs, "data")
	sub := filepath.Join(dir, "sub")
	for _, d := range []string{dir, data, sub} {
		require.NoError(t, os.Mkdir(d, 0o700))
	}
	file(t, dir, "first", 1, 9*time.Hour)
	file(t, dir, "last", 1, 0)
	for _, d := range []string{sub, data} {
		file(t, d, "second", 1, 5*time.Hour)
		file(t, d, "newest", 1, 0)
	}
	r, err := NewJanitor(JanitorOptions{
		Dirs: []string{dir}, Keep: 1, Depth: 1,
		Audit: func(_ context.Context, r Removal) error {
			if filepath.Base(r.Path) == "first" {
				bind(t, data, sub)
			}
			return nil
		},
	}).Run(ctx())
	require.NoError(t, err)
	require.Equal(t, []string{"first"}, paths(r))
	require.Equal(t, 1, r.Changed)
	require.Equal(t, []string{"newest", "second"}, names(t, data))
}

func TestFilesThatAreOpenElsewhereStay(t *testing.T) {
	dir := privateDir(t)
	mine, err := os.OpenFile(file(t, dir, "open here", 4096, 9*time.Hour), os.O_WRONLY, 0)
	require.NoError(t, err)
	defer mine.Close()
	file(t, dir, "a", 4096, 5*time.Hour)
	file(t, dir, "newest", 1, 0)
	as(t, "open", file(t, dir, "open there", 4096, 8*time.Hour))
	as(t, "map", file(t, dir, "mapped there", 4096, 7*time.Hour))
	j := NewJanitor(JanitorOptions{Dirs: []string{dir}, Keep: 1})
	r, err := j.Run(ctx())
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, paths(r))
	require.Equal(t, 3, r.InUse)

	require.NoError(t, mine.Close())
	r, err = j.Run(ctx())
	require.NoError(t, err)
	require.Equal(t, []string{"open here"}, paths(r))
}

// The root of a container is an overlay: files of the image and files that were
// written since.
func TestFilesThatAreOpenOnAnOverlayStay(t *testing.T) {
	base := tmpfs(t, "size=4m")
	lower, upper, work, root := filepath.Join(base, "lower"), filepath.Join(base, "upper"), filepath.Join(base, "work"), filepath.Join(base, "root")
	for _, d := range []string{lower, upper, work, root} {
		require.NoError(t, os.Mkdir(d, 0o700))
	}
	file(t, lower, "of the image", 4096, 9*time.Hour)
	file(t, lower, "of the image, open", 4096, 8*time.Hour)
	if err := unix.Mount("selfheal-test", root, "overlay", 0, "lowerdir="+lower+",upperdir="+upper+",workdir="+work); err != nil {
		t.Skipf("this test needs a kernel that mounts an overlay on tmpfs, which not every CI has: %v", err)
	}
	t.Cleanup(func() { unmount(t, root) })
	file(t, root, "written", 4096, 7*time.Hour)
	file(t, root, "newest", 1, 0)
	as(t, "open", filepath.Join(root, "of the image, open"))
	as(t, "open", file(t, root, "written, open", 4096, 6*time.Hour))
	r, err := NewJanitor(JanitorOptions{Dirs: []string{root}, Keep: 1}).Run(ctx())
	require.NoError(t, err)
	require.Equal(t, []string{"of the image", "written"}, paths(r))
	require.Equal(t, 2, r.InUse)
}

// A lease is had on own files only. Without the right to tell, nothing is
// removed, and it is said so.
func TestWhatCannotBeKnownIsSkippedAndCounted(t *testing.T) {
	if os.Geteuid() != 0 {
		missing(t, "root, to become another user")
	}
	// The directory of the test is closed to others; root's temporary directory
	// is not.
	top, err := os.MkdirTemp("/tmp", "selfheal-disk-")
	require.NoError(t, err)
	defer os.RemoveAll(top)
	require.NoError(t, os.Chmod(top, 0o755))
	dir := filepath.Join(top, "shared")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	for i, owner := range []int{0, 65534, 12345, 65534} { // of the directory, own, of a stranger, own
		path := file(t, dir, fmt.Sprint("f", i), 1, time.Duration(9-i)*time.Hour)
		require.NoError(t, os.Chmod(path, 0o644))
		require.NoError(t, os.Chown(path, owner, owner))
	}
	exe := filepath.Join(top, "test")
	data, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(exe, data, 0o755))
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "SELFHEAL_DISK_CHILD=plan", "SELFHEAL_DISK_ARGS="+dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "1 files, 4.0 KiB; left: 1 kept as the newest, 1 not ours, 1 unknown whether open\n", string(out))
}
