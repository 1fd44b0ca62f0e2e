//go:build unix

package journal_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/journal"
)

func openAt(t testing.TB, dir string, o journal.Options) *journal.Journal {
	t.Helper()
	j, err := journal.Open(dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// until polls for a condition on real files.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it has not come true within 20 s: %s", what)
		}
	}
}

func TestTheDirectoryIsMadeForTheOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "selfheal")
	j := openAt(t, dir, journal.Options{})
	require.NoError(t, j.AppendSync(t.Context(), entry(1)))
	require.NoError(t, j.Close())
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 4) // lock, one in use, two ready
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), f.Name())
		if f.Name() != "lock" {
			require.EqualValues(t, 1<<20, info.Size())
			require.GreaterOrEqual(t, info.Sys().(*syscall.Stat_t).Blocks*512, int64(1<<20), "its space is not taken")
		}
	}
	j = openAt(t, dir, journal.Options{})
	got, err := short(j.Replay())
	require.NoError(t, err)
	require.Equal(t, "1-1", got)
}

func TestTheSecondWriterIsToldWhoTheFirstIs(t *testing.T) {
	dir := t.TempDir()
	first := openAt(t, dir, journal.Options{})
	_, err := journal.Open(dir, journal.Options{})
	var locked *journal.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, os.Getpid(), locked.Holder.PID)
	require.WithinDuration(t, time.Now(), locked.Holder.Since, time.Hour)
	require.ErrorContains(t, err, "in use by this process (")
	require.ErrorContains(t, err, "give each process a directory of its own")
	require.NoError(t, first.AppendSync(t.Context(), entry(1)), "the attempt disturbed the first")
	require.NoError(t, first.Close())
	require.NoError(t, openAt(t, dir, journal.Options{}).Close())
}

func TestAReaderNeedsNoLock(t *testing.T) {
	dir := t.TempDir()
	j := openAt(t, dir, journal.Options{})
	require.NoError(t, j.AppendSync(t.Context(), entries(1, 3)...))
	r, err := journal.NewReader(dir)
	require.NoError(t, err)
	got, err := short(r.All())
	require.NoError(t, err)
	require.Equal(t, "1-3", got)
	report, err := r.Verify()
	require.NoError(t, err)
	require.Empty(t, report.Damage)
}

func TestPlacesWhereNoJournalCanBe(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	_, err := journal.Open(file, journal.Options{})
	require.ErrorContains(t, err, "is a file")
	require.ErrorContains(t, err, "give the path of a directory")
	_, err = journal.Open(filepath.Join(file, "below"), journal.Options{})
	require.ErrorContains(t, err, "is a file, or lies below one")
	_, err = journal.NewReader(file)
	require.ErrorContains(t, err, "is a file")
	_, err = journal.NewReader(filepath.Join(dir, "absent"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "there is none in")
	_, err = os.Stat(filepath.Join(dir, "absent"))
	require.ErrorIs(t, err, fs.ErrNotExist, "a reader made it")
}

func TestADirectoryThatIsNotOurs(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write anywhere: TestAReadOnlyFileSystem has the like")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o500))
	_, err := journal.Open(dir, journal.Options{})
	require.ErrorIs(t, err, fs.ErrPermission)
	require.ErrorContains(t, err, "let the user of this process write there")
}

// When somebody deletes the directory of a running service, nothing is
// acknowledged any more; it is made anew, and a snapshot closes the gap.
func TestTheDirectoryIsDeletedWhileRunning(t *testing.T) {
	for name, take := range map[string]func(dir string) error{
		"deleted": os.RemoveAll,
		"moved":   func(dir string) error { return os.Rename(dir, dir+".old") },
		"emptied": func(dir string) error {
			files, err := filepath.Glob(filepath.Join(dir, "*"))
			for _, f := range files {
				err = errors.Join(err, os.Remove(f))
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "selfheal")
			events := make(chan journal.Event, 100)
			j := openAt(t, dir, journal.Options{RetryEvery: 10 * time.Millisecond, Notify: func(e journal.Event) { events <- e }})
			require.NoError(t, j.AppendSync(t.Context(), entries(1, 3)...))
			require.NoError(t, take(dir))

			require.ErrorIs(t, j.AppendSync(t.Context(), entry(4)), journal.ErrDegraded)
			for e := range events {
				if e.Kind == journal.SnapshotWanted {
					break
				}
			}
			taken := make(chan error, 1)
			require.NoError(t, j.Snapshot(inState(4), func(err error) { taken <- err }))
			require.NoError(t, <-taken)
			require.NoError(t, j.AppendSync(t.Context(), entry(5)))
			_, err := journal.Open(dir, journal.Options{})
			var locked *journal.LockedError
			require.ErrorAs(t, err, &locked, "the lock did not come along")
			require.NoError(t, j.Close())

			info, err := os.Stat(dir)
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
			r, err := journal.NewReader(dir)
			require.NoError(t, err)
			got, err := short(r.All())
			require.NoError(t, err)
			require.Equal(t, "4x1 5-5", got)
		})
	}
}

// Where the parent is gone too, a file system is probably not mounted, and
// nothing is made in its place.
func TestTheParentIsGone(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "mount")
	j := openAt(t, filepath.Join(parent, "selfheal"), journal.Options{RetryEvery: 5 * time.Millisecond})
	require.NoError(t, j.AppendSync(t.Context(), entry(1)))
	require.NoError(t, os.RemoveAll(parent))
	require.ErrorIs(t, j.AppendSync(t.Context(), entry(2)), journal.ErrDegraded)
	until(t, "the reason names the directory", func() bool {
		err := j.Status().Degraded
		return err != nil && strings.Contains(err.Error(), "make the directory")
	})
	_, err := os.Stat(parent)
	require.ErrorIs(t, err, fs.ErrNotExist)
	taken := make(chan error, 1)
	require.NoError(t, j.Snapshot(inState(2), func(err error) { taken <- err }))
	require.ErrorIs(t, <-taken, journal.ErrDegraded)
}

// A lock that was deleted lets a second writer in: the first one notices before
// it acknowledges anything, and stays out while the other is there.
func TestTheLockIsDeleted(t *testing.T) {
	dir := t.TempDir()
	j := openAt(t, dir, journal.Options{RetryEvery: 5 * time.Millisecond})
	require.NoError(t, j.AppendSync(t.Context(), entry(1)))
	require.NoError(t, os.Remove(filepath.Join(dir, "lock")))
	other := openAt(t, dir, journal.Options{})
	require.ErrorIs(t, j.AppendSync(t.Context(), entry(2)), journal.ErrDegraded)
	taken := make(chan error, 1)
	require.NoError(t, j.Snapshot(inState(2), func(err error) { taken <- err }))
	var locked *journal.LockedError
	require.ErrorAs(t, <-taken, &locked)
	require.NoError(t, other.Close())
	require.NoError(t, j.Snapshot(inState(2), func(err error) { taken <- err }))
	require.NoError(t, <-taken)
	require.Nil(t, j.Status().Degraded)
}

func TestWhereTheJournalLies(t *testing.T) {
	env := func(v string) func(string) string {
		return func(name string) string {
			require.Equal(t, "STATE_DIRECTORY", name)
			return v
		}
	}
	for _, c := range []struct{ dir, state, want, err string }{
		{"/var/lib/orders", "", "/var/lib/orders", ""},
		{"/var/lib/orders", "/x", "/var/lib/orders", ""},
		{"", "/var/lib/orders", "/var/lib/orders/selfheal", ""},
		{"", "/var/lib/orders:/var/lib/other", "/var/lib/orders/selfheal", ""},
		{"", "", "", "STATE_DIRECTORY is not set: set StateDirectory="},
		{"", ":/var/lib/other", "", "does not begin with an absolute path"},
		{"", "orders", "", "does not begin with an absolute path"},
	} {
		got, err := journal.Dir(c.dir, env(c.state))
		if c.err != "" {
			require.ErrorContains(t, err, c.err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	got, err := journal.Dir("orders", env(""))
	require.NoError(t, err)
	require.True(t, filepath.IsAbs(got))

	state := t.TempDir()
	t.Setenv("STATE_DIRECTORY", state)
	require.NoError(t, openAt(t, "", journal.Options{}).Close())
	_, err = os.Stat(filepath.Join(state, "selfheal", "lock"))
	require.NoError(t, err)
}
