package disk

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Whatever comes in whatever order: the newest stay, and of the others the oldest
// are listed.
func FuzzWhatIsListed(f *testing.F) {
	f.Add(uint64(1), uint8(20), uint8(3), uint8(5), uint8(4))
	f.Add(uint64(2), uint8(0), uint8(1), uint8(1), uint8(1))
	f.Add(uint64(3), uint8(200), uint8(1), uint8(255), uint8(255))
	f.Fuzz(func(t *testing.T, seed uint64, n, keep, most, ages uint8) {
		k, m := max(1, int(keep)), max(1, int(most))
		rnd := rand.New(rand.NewPCG(seed, 0))
		var report Report
		in := &folder{place: &place{path: "/d"}}
		s := &scan{o: &JanitorOptions{Keep: k}, report: &report, oldest: heap{before: younger}, most: m}
		newest := heap{before: older}
		var all []*found
		for i := range int(n) {
			all = append(all, &found{in: in, name: fmt.Sprintf("%03d", i), changed: rnd.Int64N(int64(ages) + 1)})
		}
		rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, x := range all {
			s.file(&newest, x)
			require.LessOrEqual(t, newest.len(), k+1)
			require.LessOrEqual(t, s.oldest.len(), m+1)
		}
		order := func(a, b *found) int {
			return cmp.Or(cmp.Compare(a.changed, b.changed), strings.Compare(a.name, b.name))
		}
		slices.SortFunc(all, order)
		gone := all[:max(0, len(all)-k)]
		want := gone[:min(len(gone), m)]
		slices.SortFunc(s.oldest.all, order)
		require.Equal(t, len(want), len(s.oldest.all))
		for i := range want {
			require.Same(t, want[i], s.oldest.all[i])
		}
		require.Equal(t, len(gone)-len(want), report.Later)
		require.Equal(t, min(k, int(n)), newest.len())
	})
}

// Random trees against a model: what goes was old, ours and not among the
// newest, and nothing else changed.
func TestRandomTrees(t *testing.T) {
	top := tmpfs(t, "size=16m,nr_inodes=20000")
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		dir := filepath.Join(top, fmt.Sprint(seed))
		require.NoError(t, os.Mkdir(dir, 0o700))
		o := JanitorOptions{
			Dirs: []string{dir}, Keep: 1 + rnd.IntN(4), Depth: rnd.IntN(3), MaxFiles: 1 + rnd.IntN(30), MaxBytes: 1 + rnd.Int64N(100_000),
		}
		grow(t, rnd, dir, 3)
		before := listing(t, dir)
		plan, err := NewJanitor(o).Plan(ctx())
		require.NoError(t, err)
		r, err := NewJanitor(o).Run(ctx())
		require.NoError(t, err)
		require.Equal(t, plan, r)
		after := listing(t, dir)

		require.LessOrEqual(t, len(r.Removed), o.MaxFiles)
		require.LessOrEqual(t, r.Bytes, o.MaxBytes)
		for i, x := range r.Removed {
			require.True(t, before[x.Path].Mode().IsRegular(), "%q", x.Path)
			require.LessOrEqual(t, strings.Count(strings.TrimPrefix(x.Path, dir), "/")-1, o.Depth)
			require.True(t, i == 0 || !x.ModTime.Before(r.Removed[i-1].ModTime))
			delete(before, x.Path)
			newer := 0
			for path, info := range after {
				if filepath.Dir(path) == filepath.Dir(x.Path) && info.Mode().IsRegular() && !info.ModTime().Before(x.ModTime) {
					newer++
				}
			}
			require.GreaterOrEqual(t, newer, o.Keep, "%q is gone, and the newest with it", x.Path)
		}
		require.Equal(t, len(before), len(after))
		for path := range before {
			require.Contains(t, after, path)
		}
	}
}

func grow(t *testing.T, rnd *rand.Rand, dir string, depth int) {
	for i := range rnd.IntN(20) {
		name := fmt.Sprintf("f\n%d", i)
		switch path := filepath.Join(dir, name); rnd.IntN(8) {
		case 0:
			require.NoError(t, os.Symlink("..", path))
		case 1:
			require.NoError(t, unix.Mkfifo(path, 0o600))
		case 2:
			if depth > 0 {
				require.NoError(t, os.Mkdir(path, 0o700))
				grow(t, rnd, path, depth-1)
			}
		default:
			file(t, dir, name, rnd.IntN(20_000), time.Duration(rnd.IntN(10))*time.Hour)
		}
	}
}

func listing(t *testing.T, dir string) map[string]os.FileInfo {
	all := map[string]os.FileInfo{}
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		all[path] = info
		return err
	}))
	return all
}

func FuzzRotatedName(f *testing.F) {
	for _, s := range []string{"app.log", "app.log.20260102T150405.000000001Z", "app.log.20260102T150405.000000001Z.gz", "app.log.20261302T150405.000000001Z", "app.log.1.gz", "app.log.20260102T150405,000000001Z"} {
		f.Add("app.log", s)
	}
	f.Fuzz(func(t *testing.T, base, name string) {
		at, zipped, ok := rotatedName(base, name)
		if !ok {
			return
		}
		want := rotateTo(base, at)
		if zipped {
			want += ".gz"
		}
		require.Equal(t, want, name, "a name that is touched is one that was given")
	})
}

func FuzzDeletedTarget(f *testing.F) {
	for _, s := range []string{"/a (deleted)", "/memfd:x (deleted)", "socket:[1]", " (deleted)", "/a (deleted) (deleted)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, link string) {
		path, ok := deletedTarget(link)
		if ok {
			require.Equal(t, link, path+" (deleted)")
			require.True(t, strings.HasPrefix(path, "/"))
		}
		require.LessOrEqual(t, len(clip(link)), 4*120+10)
	})
}

// Memory does not grow with the number of files, only with that of those that
// may go: a million files where everything is tested (it takes 1 GiB of tmpfs and
// 20 s), 100,000 elsewhere and under the race detector.
func TestADirectoryOfVeryManyFiles(t *testing.T) {
	many := 100_000
	if os.Getenv("SELFHEAL_LONG") == "1" || os.Getenv("SELFHEAL_REQUIRE_SERVICES") == "1" && !underRace {
		many = 1_000_000
	}
	dir := tmpfs(t, fmt.Sprintf("size=1g,nr_inodes=%d", many+100))
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	for i := range many {
		// Neither the order of names nor that of creation is that of age.
		name := fmt.Sprintf("%08x", uint32(i)*2654435761)
		require.NoError(t, unix.Mknodat(fd, name, unix.S_IFREG|0o600, 0))
		at := []unix.Timespec{unix.NsecToTimespec(int64(i) * 1e9), unix.NsecToTimespec(int64(i*7919%many) * 1e9)}
		require.NoError(t, unix.UtimesNanoAt(fd, name, at, 0))
	}
	peak := watchHeap(t)
	began := time.Now()
	r, err := NewJanitor(JanitorOptions{Dirs: []string{dir}, Keep: 100}).Run(ctx())
	took := time.Since(began)
	most := peak()
	require.NoError(t, err)
	require.Len(t, r.Removed, defaultMaxFiles)
	require.Equal(t, 100, r.Kept)
	require.Equal(t, many-100-defaultMaxFiles, r.Later)
	for i, x := range r.Removed {
		require.Equal(t, int64(i), x.ModTime.Unix())
	}
	t.Logf("%d files: %v, %s of heap at most", many, took.Round(time.Millisecond), size(most))
	require.Less(t, most, uint64(24<<20))
}

// watchHeap returns what says how much the heap in use grew at most since.
func watchHeap(t *testing.T) (peak func() uint64) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	base, most := heap(), uint64(0)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				if now := heap(); now > base {
					most = max(most, now-base)
				}
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-ended
		return most
	}
}
