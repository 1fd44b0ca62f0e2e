package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// A real file system is filled; the module finds it, cleans it, and leaves the
// newest and what is somewhere else.
func TestARealFileSystemIsFilledAndHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full, dir := tmpfs(t, "size=4m,nr_inodes=1000"), privateDir(t)
		file(t, dir, "old", 1, 9*time.Hour)
		file(t, dir, "newest", 1, 0)
		m := Module(Options{
			Paths: []string{full}, Space: Levels{Warn: -1}, Inodes: Levels{Warn: -1}, DeletedAbove: -1,
			Clean: JanitorOptions{Dirs: []string{full, dir}, Keep: 1},
		})
		trial := selfhealtest.Start(t, m.Watches...)
		time.Sleep(time.Minute)
		n := fill(t, full, 64<<10)
		time.Sleep(10 * time.Minute)
		line := trial.Timeline()
		want := `
			1m25s open space[` + full + `]: 0 % of 4.0 MiB left, below 10 %
			1m45s step clean: healed
			6m45s close`
		require.Equal(t, squeeze(want), squeeze(line))
		require.Empty(t, trial.Pager().Pages())
		u, err := readUsage(full)
		require.NoError(t, err)
		percent, _ := u.space()
		require.InDelta(t, 16, percent, 2, "no more goes than has to")
		left := names(t, full)
		require.Len(t, left, n-int(u.avail/(64<<10)))
		require.Contains(t, left, fmt.Sprintf("f%04d", n-1), "the newest stays")
		require.Len(t, names(t, dir), 2, "another file system is left alone")
	})
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// fill writes files until the file system has no more room, or no more inodes,
// and returns how many there are, the oldest first.
func fill(t *testing.T, dir string, bytes int) int {
	t.Helper()
	for i := 0; ; i++ {
		path := filepath.Join(dir, fmt.Sprintf("f%04d", i))
		err := os.WriteFile(path, make([]byte, bytes), 0o600)
		if errors.Is(err, syscall.ENOSPC) {
			_ = os.Remove(path)
			return i
		}
		require.NoError(t, err)
		at := old.Add(time.Duration(i) * time.Minute)
		require.NoError(t, os.Chtimes(path, at, at))
	}
}

func TestRealInodesAreUsedUpAndHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := tmpfs(t, "size=4m,nr_inodes=200")
		w := Inodes(Options{Paths: []string{full}, Clean: JanitorOptions{Dirs: []string{full}, Keep: 1}})
		trial := selfhealtest.Start(t, w)
		time.Sleep(time.Minute)
		n := fill(t, full, 0)
		require.Less(t, n, 200)
		time.Sleep(10 * time.Minute)
		require.Equal(t, squeeze(`
			1m25s open inodes[`+full+`]: 0 % of 200 inodes left, below 10 %
			1m45s step clean: healed
			6m45s close`), squeeze(trial.Timeline()))
		require.InDelta(t, 200*0.85, len(names(t, full)), 3)
	})
}

// What is full of others' files is left to a person.
func TestARealFileSystemThatIsFullOfOthersFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := tmpfs(t, "size=1m,nr_inodes=1000")
		own := filepath.Join(full, "own")
		require.NoError(t, os.Mkdir(own, 0o700))
		file(t, own, "old", 1, time.Hour)
		file(t, own, "newest", 1, 0)
		n := fill(t, full, 64<<10)
		w := Space(Options{Paths: []string{full}, Clean: JanitorOptions{Dirs: []string{own}, Keep: 1}})
		trial := selfhealtest.Start(t, w)
		time.Sleep(2 * time.Minute)
		require.Contains(t, trial.Timeline(), "step clean: no effect")
		require.Contains(t, trial.Timeline(), "page exhausted")
		require.Len(t, names(t, full), n+1)
		require.Equal(t, []string{"newest"}, names(t, own))
	})
}

// A daemon of a real FUSE file system is stopped: statfs hangs in the kernel.
func TestARealMountThatHangs(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Geteuid() != 0 {
		t.Skip("this test needs root and a kernel with FUSE (/dev/fuse), which not every CI has; TestAMountThatHangs shows the same with a call that does not return")
	}
	dir := privateDir(t)
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	daemon := as(t, "fuse", dir)
	full := tmpfs(t, "size=64k,nr_inodes=100")
	// As patient as a busy machine needs: a healthy look waits for its answers only,
	// and what hangs is waited for once.
	p := newPack(Options{Paths: []string{dir, full}, Patience: 4 * time.Second})
	d := p.act("space", bytesKind(), p.o.Space).Detector
	found, err := d.Detect(context.Background())
	require.NoError(t, err)
	require.Empty(t, found)

	require.NoError(t, daemon.Process.Signal(unix.SIGSTOP))
	require.Eventually(t, func() bool { return stopped(t, daemon.Process.Pid) }, 20*time.Second, time.Millisecond)
	fill(t, full, 4096)
	before := runtime.NumGoroutine()
	for range 20 {
		found, err = d.Detect(context.Background())
		require.ErrorContains(t, err, dir+" does not answer")
		require.Len(t, found, 1, "the other file system is still judged")
	}
	require.LessOrEqual(t, runtime.NumGoroutine()-before, 1, "one call hangs, not twenty")

	// A supervisor goes on beside it, and ends.
	sup := selfheal.New(selfheal.Options{Escalate: policy(), Logger: quiet()})
	sup.Watch(selfheal.Watch{Name: "space", Detector: d, Every: 10 * time.Millisecond})
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	require.NoError(t, sup.Run(ctx))
	require.Zero(t, sup.Status().Abandoned)

	require.NoError(t, daemon.Process.Signal(unix.SIGCONT))
	require.Eventually(t, func() bool {
		_, err := d.Detect(context.Background())
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
}

// stopped says whether every thread of a process is.
func stopped(t *testing.T, pid int) bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	require.NoError(t, err)
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		require.NoError(t, err)
		_, state, _ := strings.Cut(string(stat), ") ")
		if !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return len(stats) > 0
}

func TestDeletedFilesThatAreHeldOpen(t *testing.T) {
	dir := privateDir(t)
	d := Deleted(Options{DeletedAbove: 1 << 20}).Detector
	look := func() string {
		found, err := d.Detect(context.Background())
		require.NoError(t, err)
		if len(found) == 0 {
			return ""
		}
		require.Len(t, found, 1)
		return found[0].Summary
	}
	require.Empty(t, look())
	path := file(t, dir, "hostile\nname", 2<<20, 0)
	f, err := os.Open(path)
	require.NoError(t, err)
	again, err := os.Open(path)
	require.NoError(t, err)
	require.Empty(t, look(), "it is open, and has its name")
	other := path + " too"
	require.NoError(t, os.Link(path, other))
	require.NoError(t, os.Remove(path))
	require.Empty(t, look(), "it has another name")
	require.NoError(t, os.Remove(other))
	memory, err := unix.MemfdCreate("no disk", 0)
	require.NoError(t, err)
	defer unix.Close(memory)
	require.NoError(t, unix.Ftruncate(memory, 8<<20))
	require.Equal(t, `this process holds 2.0 MiB in 1 deleted files, more than 1.0 MiB; the largest, of 2.0 MiB, was `+
		fmt.Sprintf("%q", path), look(), "two descriptors of one file hold it once, and memory is no disk")
	require.NoError(t, f.Close())
	require.NotEmpty(t, look())
	require.NoError(t, again.Close())
	require.Empty(t, look())
}

func TestDeletedIsADetector(t *testing.T) {
	selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
		dir := privateDir(t)
		d := newDeletedDetector(Options{DeletedAbove: 1 << 20}.withDefaults(), nil)
		var held *os.File
		heal := func() {
			d.dir = "/proc/self/fd"
			if held != nil {
				_ = held.Close()
				held = nil
			}
		}
		t.Cleanup(heal)
		return selfhealtest.DetectorFixture{
			Detector: d,
			Sicken: func() {
				heal()
				path := file(t, dir, "x", 2<<20, 0)
				held, _ = os.Open(path)
				_ = os.Remove(path)
			},
			Heal:        heal,
			Break:       func() { d.dir = filepath.Join(dir, "no such folder") },
			AllowAllocs: true, // a listing has names
		}
	})
}
