package evidence

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestADirectoryIsForItsOwner(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has other permissions")
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := newStore(t, StoreOptions{Dir: dir})
	put(t, s, bundleOf(10))
	for name, want := range map[string]fs.FileMode{dir: 0o700, filepath.Dir(dir): 0o700, filepath.Join(dir, refs(t, s)[0]+".zip"): 0o600} {
		i, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, want, i.Mode().Perm(), name)
	}
	require.NoError(t, os.Chmod(dir, 0o755))
	_, err := OpenStore(StoreOptions{Dir: dir})
	require.ErrorContains(t, err, "chmod 700")
	i, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o755), i.Mode().Perm(), "the directory may be that of others")
	_, err = OpenStore(StoreOptions{Dir: filepath.Join(dir, refs(t, s)[0]+".zip", "x")})
	require.ErrorContains(t, err, "give one that the service may write to")
}

// A kill in the middle of a write leaves a part, a power cut a broken bundle. Both
// are ignored and removed, what is not ours is never touched, and a file that
// another process writes at this moment stays.
func TestWhatIsHalfWrittenIsRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "evidence")
	o := StoreOptions{Dir: dir}
	s := newStore(t, o)
	whole := put(t, s, bundleOf(3000))
	data, err := os.ReadFile(filepath.Join(dir, whole.Ref+bundleExt))
	require.NoError(t, err)
	old, young := newRef(time.Now())+writeExt, newRef(time.Now())+writeExt
	cut, zeros, lies := newRef(time.Now())+bundleExt, newRef(time.Now())+bundleExt, newRef(time.Now())+bundleExt
	info := whole
	info.Files = append(slices.Clone(info.Files), FileInfo{Name: "more", Bytes: 1})
	lying, err := archive(info, bundleOf(3000).Files)
	require.NoError(t, err)
	theirs := []string{"notes.zip", "README", whole.Ref + ".txt", "x" + whole.Ref + ".zip", strings.ToUpper(whole.Ref) + ".zip"}
	for name, content := range map[string][]byte{old: data[:1000], young: data[:1000], cut: data[:1000], zeros: make([]byte, 3000), lies: lying} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	for _, name := range theirs {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("theirs"), 0o600))
	}
	long := time.Now().Add(-2 * halfWritten)
	require.NoError(t, os.Chtimes(filepath.Join(dir, old), long, long))
	folder := newRef(time.Now()) + bundleExt
	require.NoError(t, os.Mkdir(filepath.Join(dir, folder), 0o700))

	s = newStore(t, o)
	require.Equal(t, []string{whole.Ref}, refs(t, s))
	var left []string
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	require.ElementsMatch(t, append(theirs, whole.Ref+bundleExt, young, folder), left)
	require.Equal(t, bundleOf(3000).Files[0].Data, read(t, s, whole.Ref+"/data.bin"))
}

// writer is a program that puts bundles until it is killed.
func writer(dir string) error {
	s, err := OpenStore(StoreOptions{Dir: dir, MaxBytes: 200 * block})
	for n := 0; err == nil; n++ {
		_, err = s.Put(context.Background(), bundleOf(20_000+n%1000))
	}
	return err
}

// A process that is killed in the middle leaves whole bundles, within the bounds.
func TestAKillTearsNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "evidence")
	exe, err := os.Executable()
	require.NoError(t, err)
	for range 3 {
		newest := ""
		if i := sortedNames(t, dir); len(i) > 0 {
			newest = i[len(i)-1]
		}
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), "SELFHEAL_EVIDENCE_CHILD="+dir, "SELFHEAL_EVIDENCE_WRITES=1")
		require.NoError(t, cmd.Start())
		wrote := func() bool {
			names := sortedNames(t, dir)
			return len(names) > 20 && names[len(names)-1] > newest
		}
		deadline := time.Now().Add(30 * time.Second)
		for !wrote() && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		require.True(t, wrote())
		s := newStore(t, StoreOptions{Dir: dir, MaxBytes: 200 * block})
		all, err := s.List()
		require.NoError(t, err)
		require.NotEmpty(t, all)
		for _, i := range all {
			size := int(i.Files[0].Bytes)
			require.Equal(t, bundleOf(size).Files[0].Data, read(t, s, i.Ref+"/data.bin"))
		}
		size, err := onDisk(dir)
		require.NoError(t, err)
		require.LessOrEqual(t, size, int64(200*block))
		require.LessOrEqual(t, len(sortedNames(t, dir)), len(all)+3, "at most what each kill left half written")
	}
}

func sortedNames(t *testing.T, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A bit that flips on the disk is an error, not evidence.
func TestDamageIsNoticed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "evidence")
	i := put(t, newStore(t, StoreOptions{Dir: dir}), bundleOf(3000))
	name := filepath.Join(dir, i.Ref+bundleExt)
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	data[bytes.Index(data, bundleOf(3000).Files[0].Data[100:120])] ^= 1
	require.NoError(t, os.WriteFile(name, data, 0o600))
	_, err = newStore(t, StoreOptions{Dir: dir}).Open(i.Ref + "/data.bin")
	require.ErrorContains(t, err, "checksum")
}
