package disk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestAFileThatIsSwappedUnderTheJanitorStays(t *testing.T) {
	dir, victim := privateDir(t), privateDir(t)
	a := file(t, dir, "a", 1, 9*time.Hour)
	b := file(t, dir, "b", 1, 8*time.Hour)
	c := file(t, dir, "c", 1, 7*time.Hour)
	file(t, dir, "newest", 1, 0)
	precious := file(t, victim, "precious", 1, 9*time.Hour)
	var failed []string
	r, err := NewJanitor(JanitorOptions{
		Dirs: []string{dir}, Keep: 1,
		Audit: func(_ context.Context, r Removal) error {
			switch {
			case r.Err != nil:
				failed = append(failed, filepath.Base(r.Path))
			case r.Path == a: // by another file of the same age
				require.NoError(t, os.Rename(precious, a))
			case r.Path == b: // by a link
				require.NoError(t, os.Remove(b))
				require.NoError(t, os.Symlink(a, b))
			case r.Path == c: // written to
				require.NoError(t, os.WriteFile(c, []byte("fresh"), 0o600))
			}
			return nil
		},
	}).Run(ctx())
	require.NoError(t, err)
	require.Empty(t, r.Removed)
	require.Equal(t, 3, r.Changed)
	require.Equal(t, []string{"a", "b", "c"}, failed, "the audit learns what stayed after all")
	require.Equal(t, []string{"a", "b", "c", "newest"}, names(t, dir))
}

func TestADirectoryThatIsSwappedUnderTheJanitor(t *testing.T) {
	top, victim := privateDir(t), privateDir(t)
	dir, sub := filepath.Join(top, "cache"), filepath.Join(top, "cache", "sub")
	require.NoError(t, os.MkdirAll(sub, 0o700))
	for _, d := range []string{dir, sub, victim} {
		file(t, d, "old", 1, 9*time.Hour)
		file(t, d, "older", 1, 10*time.Hour)
		file(t, d, "newest", 1, 0)
	}
	swapped := false
	r, err := NewJanitor(JanitorOptions{
		Dirs: []string{dir}, Keep: 1, Depth: 1,
		Audit: func(context.Context, Removal) error {
			if !swapped {
				swapped = true
				require.NoError(t, os.Rename(sub, filepath.Join(top, "sub")))
				require.NoError(t, os.Symlink(victim, sub))
				require.NoError(t, os.Rename(dir, filepath.Join(top, "away")))
				require.NoError(t, os.Symlink(victim, dir))
			}
			return nil
		},
	}).Run(ctx())
	require.NoError(t, err)
	require.Equal(t, []string{"newest", "old", "older"}, names(t, victim))
	require.Equal(t, []string{"older", "old"}, paths(r), "the directory that was opened, wherever it is now")
	require.Equal(t, 2, r.Changed)
}

// Names are swapped as fast as a goroutine can, for links to what must stay and
// back, and opened by another, while the janitor cleans.
func TestSwapsAndRaces(t *testing.T) {
	dir, victim, park := privateDir(t), privateDir(t), privateDir(t)
	for i := range 50 {
		file(t, victim, fmt.Sprint("f", i), 1, 100*time.Hour)
	}
	stop := make(chan struct{})
	var swapped, opened atomic.Int64
	var others sync.WaitGroup
	defer others.Wait()
	end := sync.OnceFunc(func() { close(stop) })
	defer end()
	// Somebody opens and closes what is there: an open that meets the lease waits
	// for its end, and must neither fail nor hold the janitor up.
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if f, err := os.Open(filepath.Join(dir, fmt.Sprint("f", i%51))); err == nil {
				opened.Add(1)
				f.Close()
			}
		}
	})
	others.Go(func() {
		for {
			for i := range 50 {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprint("f", i)
				at, spare := filepath.Join(dir, name), filepath.Join(park, name)
				if os.Rename(at, spare) == nil {
					_ = os.Symlink(filepath.Join(victim, name), at)
					_ = os.Remove(at)
					_ = os.Symlink(victim, at)
					_ = os.Rename(spare, at) // over the link
					swapped.Add(1)
				}
			}
		}
	})
	j := NewJanitor(JanitorOptions{Dirs: []string{dir}, Keep: 1, Depth: 2})
	removed := 0
	deadline := time.Now().Add(time.Minute) // of a busy machine; else a second
	for runs := 0; runs < 100 || removed < 50 || swapped.Load() < 1000 || opened.Load() < 100; runs++ {
		require.True(t, time.Now().Before(deadline), "%d runs, %d removals, %d swaps, %d opens", runs, removed, swapped.Load(), opened.Load())
		for i := range 51 {
			fd, err := unix.Open(filepath.Join(dir, fmt.Sprint("f", i)), unix.O_CREAT|unix.O_WRONLY|unix.O_NOFOLLOW, 0o600)
			if err != nil {
				continue // a link stands there at this moment
			}
			at := unix.NsecToTimeval(old.Add(-time.Duration(100-i) * time.Hour).UnixNano())
			require.NoError(t, unix.Futimes(fd, []unix.Timeval{at, at}))
			require.NoError(t, unix.Close(fd))
		}
		r, err := j.Run(ctx())
		require.NoError(t, err)
		removed += len(r.Removed)
	}
	end()
	others.Wait()
	require.Len(t, names(t, victim), 50)
	t.Logf("%d removals beside %d swaps and %d opens", removed, swapped.Load(), opened.Load())
}
