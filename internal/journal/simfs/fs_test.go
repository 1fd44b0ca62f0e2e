package simfs_test

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/journal/simfs"
)

var _ journal.FS = (*simfs.FS)(nil)

func create(t testing.TB, fs *simfs.FS, name string) journal.File {
	t.Helper()
	f, err := fs.Create(name)
	require.NoError(t, err)
	return f
}

func write(t testing.TB, f journal.File, off int64, b ...byte) {
	t.Helper()
	n, err := f.WriteAt(b, off)
	require.NoError(t, err)
	require.Equal(t, len(b), n)
}

func block(c byte) []byte {
	b := make([]byte, simfs.Sector)
	for i := range b {
		b[i] = c
	}
	return b
}

func TestWhatIsSyncedSurvives(t *testing.T) {
	for seed := range uint64(50) {
		fs := simfs.New(seed)
		f := create(t, fs, "a")
		write(t, f, 0, block(1)...)
		require.NoError(t, f.Sync())
		require.NoError(t, fs.SyncDir())
		fs.PowerCut()
		require.Equal(t, block(1), fs.Bytes("a"))
		_, err := f.ReadAt(make([]byte, 1), 0)
		require.ErrorIs(t, err, simfs.ErrDown, "a file of the life before")
	}
}

func TestWhatIsNotSyncedSurvivesInWholeSectorsByChance(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(200) {
		fs := simfs.New(seed)
		f := create(t, fs, "a")
		write(t, f, 0, append(append(block(1), block(1)...), block(1)...)...)
		require.NoError(t, f.Sync())
		require.NoError(t, fs.SyncDir())
		write(t, f, 10, append(block(2), block(2)...)...) // touches three sectors
		fs.PowerCut()
		b := fs.Bytes("a")
		require.Len(t, b, 3*simfs.Sector)
		story := ""
		for s := range 3 {
			sector := b[s*simfs.Sector : (s+1)*simfs.Sector]
			was := [][]byte{block(1), append(block(1)[:10:10], block(2)[10:]...)}
			if s == 1 {
				was[1] = block(2)
			} else if s == 2 {
				was[1] = append(block(2)[:10:10], block(1)[10:]...)
			}
			switch string(sector) {
			case string(was[0]):
				story += "0"
			case string(was[1]):
				story += "1"
			default:
				t.Fatalf("sector %d is neither old nor new", s)
			}
		}
		seen[story] = true
	}
	require.Len(t, seen, 8)
}

func TestNamesSurviveInOrder(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(100) {
		fs := simfs.New(seed)
		create(t, fs, "a")
		require.NoError(t, fs.SyncDir())
		require.NoError(t, fs.Rename("a", "b"))
		create(t, fs, "c")
		require.NoError(t, fs.Remove("b"))
		names, err := fs.List()
		require.NoError(t, err)
		require.Equal(t, []string{"c"}, names)
		fs.PowerCut()
		names, err = fs.List()
		require.NoError(t, err)
		seen[fmt.Sprint(names)] = true
	}
	require.Equal(t, map[string]bool{"[a]": true, "[b]": true, "[b c]": true, "[c]": true}, seen)
}

// The kernel takes pages for clean whose write failed.
func TestASyncAfterAFailedOneProvesNothing(t *testing.T) {
	lost := 0
	for seed := range uint64(100) {
		fs := simfs.New(seed)
		f := create(t, fs, "a")
		write(t, f, 0, block(1)...)
		require.NoError(t, f.Sync())
		require.NoError(t, fs.SyncDir())
		write(t, f, 0, block(2)...)
		fs.SetHook(func(simfs.Op) simfs.Fault { return simfs.Fault{Err: syscall.EIO} })
		require.ErrorIs(t, f.Sync(), syscall.EIO)
		fs.SetHook(nil)
		require.NoError(t, f.Sync())
		require.Equal(t, block(2), fs.Bytes("a"), "it can still be read")
		fs.PowerCut()
		if string(fs.Bytes("a")) == string(block(1)) {
			lost++
		}
	}
	require.NotZero(t, lost)
	require.Less(t, lost, 100)
}

func TestAKillLosesNothing(t *testing.T) {
	fs := simfs.New(1)
	f := create(t, fs, "a")
	write(t, f, 0, 1, 2, 3)
	fs.Kill()
	require.Equal(t, []byte{1, 2, 3}, fs.Bytes("a"))
	_, err := f.WriteAt([]byte{4}, 0)
	require.ErrorIs(t, err, simfs.ErrDown)
}

func TestACutIsTheLastEffect(t *testing.T) {
	fs := simfs.New(1)
	f := create(t, fs, "a")
	var ops []simfs.Op
	fs.SetHook(func(op simfs.Op) simfs.Fault {
		ops = append(ops, op)
		return simfs.Fault{Cut: op.Kind == simfs.Write, Err: errors.New("half"), Bytes: 2}
	})
	n, err := f.WriteAt([]byte{1, 2, 3, 4}, 0)
	require.Error(t, err)
	require.Equal(t, 2, n)
	require.ErrorIs(t, f.Sync(), simfs.ErrDown)
	_, err = fs.List()
	require.ErrorIs(t, err, simfs.ErrDown)
	require.Equal(t, []simfs.Op{{N: 2, Kind: simfs.Write, Name: "a", Len: 4}}, ops)
}

func TestAFullDisk(t *testing.T) {
	fs := simfs.New(1)
	fs.SetCapacity(1000)
	f := create(t, fs, "a")
	require.NoError(t, f.Allocate(600))
	g := create(t, fs, "b")
	require.ErrorIs(t, g.Allocate(600), syscall.ENOSPC)
	n, err := g.WriteAt(make([]byte, 500), 0)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 400, n)
	write(t, f, 0, make([]byte, 600)...) // its space is taken
	require.EqualValues(t, 1000, fs.Used())
}

func TestMistakesWithNames(t *testing.T) {
	fs := simfs.New(1)
	f := create(t, fs, "a")
	_, err := fs.Create("a")
	require.ErrorIs(t, err, iofs.ErrExist)
	_, err = fs.Open("b", false)
	require.ErrorIs(t, err, iofs.ErrNotExist)
	require.ErrorIs(t, fs.Remove("b"), iofs.ErrNotExist)
	require.ErrorIs(t, fs.Rename("b", "c"), iofs.ErrNotExist)
	require.NoError(t, fs.Check("a", f))
	require.NoError(t, fs.Rename("a", "b"))
	require.Error(t, fs.Check("a", f))
	require.NoError(t, fs.Check("b", f))
	require.Error(t, fs.Flip("b", 0))
	fs.Clear()
	require.Error(t, fs.Check("b", f))
}

func TestOneSeedOneFate(t *testing.T) {
	run := func() string {
		fs := simfs.New(9)
		for i := range 20 {
			f := create(t, fs, fmt.Sprint(i))
			write(t, f, 0, block(byte(i))...)
		}
		fs.PowerCut()
		names, err := fs.List()
		require.NoError(t, err)
		story := fmt.Sprint(names)
		for _, name := range names {
			story += fmt.Sprint(len(fs.Bytes(name)))
		}
		return story
	}
	require.Equal(t, run(), run())
}

// What was not synced may be gone after a power cut.
func Example() {
	disk := simfs.New(8)
	f, _ := disk.Create("log")
	_ = disk.SyncDir()
	_, _ = f.WriteAt([]byte("durable "), 0)
	_ = f.Sync()
	_, _ = f.WriteAt([]byte("not yet"), 8)
	disk.Kill()
	fmt.Printf("%q\n", disk.Bytes("log"))
	disk.PowerCut()
	fmt.Printf("%q\n", disk.Bytes("log"))
	// Output:
	// "durable not yet"
	// "durable "
}
