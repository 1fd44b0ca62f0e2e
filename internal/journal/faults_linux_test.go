package journal_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/selfheal-go/selfheal/internal/journal"
)

// missing skips a test that needs what this machine has not, or fails it where
// everything has to be there.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("SELFHEAL_REQUIRE_SERVICES") == "1" {
		t.Fatalf("this test needs %s", what)
	}
	t.Skipf("this test needs %s", what)
}

// traced runs a counting child whose system calls fail as inject says, and returns
// what it said and its trace.
func traced(t *testing.T, dir, inject string, count int) (w witness, trace string) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		missing(t, "strace: apt-get install strace")
	}
	trace = filepath.Join(t.TempDir(), "trace")
	cmd := counting(dir, count, strace, "-f", "-qq", "-o", trace, "-e", "trace=pwrite64,fdatasync,close", "-e", "inject="+inject)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	w.watch(t, out, func() {})
	err = cmd.Wait()
	text, _ := os.ReadFile(trace)
	if err != nil && !w.started {
		missing(t, fmt.Sprintf("the right to trace a process (%v)", err))
	}
	require.NoError(t, err)
	require.Empty(t, w.errors)
	require.Contains(t, string(text), "(INJECTED)")
	return w, string(text)
}

var call = regexp.MustCompile(`^(\d+) +(<\.\.\. )?(\w+)(?:\((\d+)| resumed>)(.*)$`)

// writtenAfterFailure is a line of the trace that writes a file on which a sync or
// a write had failed, before it was closed; "" if there is none.
func writtenAfterFailure(trace string) string {
	failed, under := map[string]bool{}, map[string]string{}
	for s := bufio.NewScanner(strings.NewReader(trace)); s.Scan(); {
		m := call.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		pid, resumed, name, fd, rest := m[1], m[2] != "", m[3], m[4], m[5]
		if resumed {
			fd = under[pid]
		} else {
			under[pid] = fd
			switch {
			case name == "close":
				delete(failed, fd)
			case name == "pwrite64" && failed[fd]:
				return s.Text()
			}
		}
		if strings.Contains(rest, "(INJECTED)") && name != "close" {
			failed[fd] = true
		}
	}
	return ""
}

// The kernel's own calls fail: one sync in each thread, all of them, all writes.
func TestSystemCallsThatFail(t *testing.T) {
	for _, c := range []struct {
		name, inject string
		degraded     bool
	}{
		{"one sync", "fdatasync:error=EIO:when=20", false},
		{"every sync", "fdatasync:error=EIO:when=20+", true},
		{"every sync, no space", "fdatasync:error=ENOSPC:when=20+", true},
		{"every write, no space", "pwrite64:error=ENOSPC:when=120+", true}, // beyond the zeros of new segments
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			w, trace := traced(t, dir, c.inject, 2000)
			require.Equal(t, 1, w.lines["done"])
			require.NotZero(t, w.lines["acked"])
			require.NotZero(t, w.lines["failed"])
			require.Empty(t, writtenAfterFailure(trace), "written after it had failed")
			if c.degraded {
				require.NotZero(t, w.lines["degraded"])
				require.NotZero(t, w.lines["refused"])
			} else {
				require.EqualValues(t, 2000, w.acked)
			}
			n := fromOutside(t, dir)
			require.GreaterOrEqual(t, n, w.acked, "acknowledged and lost")
			require.LessOrEqual(t, n, max(w.acked, w.refused))

			var again witness // and the next life, on a disk that is well
			cmd := counting(dir, 100)
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			again.watch(t, out, func() {})
			require.NoError(t, cmd.Wait())
			require.Empty(t, again.errors)
			require.Equal(t, n, again.state)
			require.Equal(t, n+100, again.acked)
		})
	}
}

func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	if err := unix.Mount("selfheal-test", dir, "tmpfs", 0, options+",mode=0700"); err != nil {
		missing(t, fmt.Sprintf("the right to mount a tmpfs (%v): run it as root", err))
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("something is left in use in %s: %v", dir, err)
			_ = unix.Unmount(dir, unix.MNT_DETACH)
		}
	})
	return dir
}

// fill takes all the space there is, to the last page.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	require.NoError(t, err)
	defer f.Close()
	for page := make([]byte, 4096); err == nil; {
		_, err = f.Write(page)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
}

// The space for segments is taken in advance: on a disk that is full the journal
// goes on, compactions and failed files included.
func TestItKeepsRecordingWhenTheDiskIsFull(t *testing.T) {
	mount := tmpfs(t, "size=2m")
	dir := filepath.Join(mount, "selfheal")
	j := openAt(t, dir, journal.Options{Log: journal.LogOptions{SegmentBytes: 64 << 10}})
	require.NoError(t, j.AppendSync(t.Context(), entry(1)))
	fill(t, mount)
	snapshots := 0
	for n := uint64(2); n <= 5000; n++ {
		if j.Status().Wants { // a sync costs nothing here: an event would come too late
			taken := make(chan error, 1)
			require.NoError(t, j.Snapshot(inState(n-1), func(err error) { taken <- err }))
			require.NoError(t, <-taken)
			snapshots++
		}
		require.NoError(t, j.AppendSync(t.Context(), entry(n)))
	}
	require.Greater(t, snapshots, 5)
	require.NoError(t, j.Close())
	require.EqualValues(t, 5000, fromOutside(t, dir))

	j = openAt(t, dir, journal.Options{Log: journal.LogOptions{SegmentBytes: 64 << 10}}) // the next life too
	require.NoError(t, j.AppendSync(t.Context(), entry(5001)))
	require.NoError(t, j.Close())
	require.EqualValues(t, 5001, fromOutside(t, dir))

	_, err := journal.Open(filepath.Join(mount, "another"), journal.Options{})
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "free space for it")
}

func TestAReadOnlyFileSystem(t *testing.T) {
	mount := tmpfs(t, "size=8m")
	dir := filepath.Join(mount, "selfheal")
	j := openAt(t, dir, journal.Options{})
	require.NoError(t, j.AppendSync(t.Context(), entry(1)))
	require.NoError(t, j.Close())
	readOnly := func(on uintptr) {
		t.Helper()
		require.NoError(t, unix.Mount("", mount, "", unix.MS_REMOUNT|on, "size=8m"))
	}
	readOnly(unix.MS_RDONLY)
	_, err := journal.Open(dir, journal.Options{})
	require.ErrorIs(t, err, syscall.EROFS)
	require.ErrorContains(t, err, "mount the file system writable, or give another directory")
	_, err = journal.Open(filepath.Join(mount, "another"), journal.Options{})
	require.ErrorIs(t, err, syscall.EROFS)
	require.EqualValues(t, 1, fromOutside(t, dir)) // it can still be read
	readOnly(0)
	require.NoError(t, openAt(t, dir, journal.Options{}).Close())
}

// With no file descriptor left the journal goes on in what it holds open.
func TestNoDescriptorIsFree(t *testing.T) {
	dir := t.TempDir()
	j := openAt(t, dir, journal.Options{Log: journal.LogOptions{SegmentBytes: 8 << 10}})
	require.NoError(t, j.AppendSync(t.Context(), entry(1)))
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	f, err := os.Open(dir)
	require.NoError(t, err)
	next := uint64(f.Fd()) // the lowest that is free
	require.NoError(t, f.Close())
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: next, Max: old.Max}))
	full := errors.Join(nil)
	if _, err := os.Open(dir); err == nil {
		full = errors.New("a descriptor is free")
	}
	for n := uint64(2); n < 150 && full == nil; n++ { // into the third segment
		full = j.AppendSync(t.Context(), entry(n))
	}
	snapshot := make(chan error, 1)
	if full == nil {
		full = j.Status().Degraded
	}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old))
	require.NoError(t, full)
	require.NoError(t, j.Snapshot(inState(149), func(err error) { snapshot <- err }))
	require.NoError(t, <-snapshot)
}
