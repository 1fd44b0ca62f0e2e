package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func bundleOf(size int) Bundle {
	data := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(size)})
	_, _ = r.Read(data) // random, so that it does not compress
	return Bundle{Incident: "inc-7", Watch: "w", Files: []File{{Name: "data.bin", Type: "application/octet-stream", Data: data}}}
}

func put(t testing.TB, s *Store, b Bundle) Info {
	t.Helper()
	i, err := s.Put(context.Background(), b)
	require.NoError(t, err)
	return i
}

func refs(t testing.TB, s *Store) []string {
	t.Helper()
	all, err := s.List()
	require.NoError(t, err)
	out := []string{}
	for _, i := range all {
		out = append(out, i.Ref)
	}
	slices.Reverse(out)
	return out
}

func TestABundleIsKeptAsItWasPut(t *testing.T) {
	shelves(t, func(t *testing.T, o StoreOptions) {
		s := newStore(t, o)
		b := Bundle{
			Incident: "inc-7", Watch: "orders/queue", Key: "eu", Attempt: 2, At: time.Date(2026, 3, 1, 12, 0, 0, 5e8, time.UTC),
			Files: []File{{Name: "a.txt", Type: TextType, Data: []byte("hello\n")}, {Name: "b.bin", Type: "application/octet-stream", Data: []byte{0xff, 0, 1}}, {Name: "empty.txt", Type: TextType}},
			Notes: []Note{{Part: "heap", Why: "off"}},
		}
		s.maxAge = -1
		i := put(t, s, b)
		require.True(t, strings.HasPrefix(i.Ref, "20260301T120000500Z-"), i.Ref)
		all, err := s.List()
		require.NoError(t, err)
		require.Equal(t, []Info{i}, all)
		all[0].Files[0].Name, all[0].Notes[0].Why = "changed", "changed"
		all, err = s.List()
		require.NoError(t, err)
		require.Equal(t, []Info{i}, all, "what is handed out is the caller's own")
		require.Equal(t, "hello\n", string(read(t, s, i.Ref+"/a.txt")))
		require.Equal(t, []byte{0xff, 0, 1}, read(t, s, i.Ref+"/b.bin"))
		require.Empty(t, read(t, s, i.Ref+"/empty.txt"))
		require.Contains(t, string(read(t, s, i.Ref+"/manifest.json")), `"watch": "orders/queue"`)
		require.Len(t, unpacked(t, s, i.Ref), 4)
		c, err := s.Open(i.Ref)
		require.NoError(t, err)
		require.Equal(t, i.Ref+".zip", c.Name)
		require.Equal(t, b.At, c.At)
		_, err = c.Seek(0, io.SeekEnd)
		require.NoError(t, errors.Join(err, c.Close()))

		require.NoError(t, s.Remove(i.Ref))
		require.ErrorIs(t, s.Remove(i.Ref), ErrNotFound)
		_, err = s.Open(i.Ref)
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.Empty(t, refs(t, s))
	})
}

// Whatever happens, the store is within its bounds, what is gone is the oldest,
// no more of it than had to go, and a directory says the same after a restart.
func TestStoreKeepsItsBounds(t *testing.T) {
	shelves(t, func(t *testing.T, o StoreOptions) {
		for seed := range uint64(12) {
			synctest.Test(t, func(t *testing.T) { boundsOf(t, o, seed) })
			if o.Dir != "" {
				require.NoError(t, os.RemoveAll(o.Dir))
			}
		}
	})
}

func boundsOf(t *testing.T, o StoreOptions, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	o.MaxBytes, o.MaxAge = int64(5+r.IntN(20))*block, time.Duration(1+r.IntN(48))*time.Hour
	s := newStore(t, o)
	var model []Info // what should be there, the oldest first
	at := func(i Info) time.Time { at, _ := refAt(i.Ref); return at }
	total := func() (n int64) {
		for _, i := range model {
			n += blocks(i.Bytes)
		}
		return n
	}
	for range 60 {
		switch r.IntN(10) {
		default:
			b := bundleOf(r.IntN(int(o.MaxBytes) / (1 + r.IntN(8))))
			if r.IntN(8) == 0 {
				b = bundleOf(int(o.MaxBytes) + r.IntN(10))
			}
			if r.IntN(4) == 0 {
				b.At = time.Now().Add(-time.Minute) // set back
			}
			i, err := s.Put(t.Context(), b)
			model = slices.DeleteFunc(model, func(i Info) bool { return time.Since(at(i)) > o.MaxAge })
			if len(b.Files[0].Data) >= int(o.MaxBytes) {
				require.ErrorIs(t, err, ErrTooBig)
				break
			}
			if errors.Is(err, ErrTooBig) {
				require.Greater(t, int64(len(b.Files[0].Data)), o.MaxBytes-2*block)
				break
			}
			require.NoError(t, err)
			if len(model) > 0 {
				require.Greater(t, i.Ref, model[len(model)-1].Ref)
			}
			for total()+blocks(i.Bytes) > o.MaxBytes {
				model = model[1:]
			}
			model = append(model, i)
		case 7:
			if len(model) > 0 {
				n := r.IntN(len(model))
				require.NoError(t, s.Remove(model[n].Ref))
				model = slices.Delete(model, n, n+1)
			}
		case 8:
			time.Sleep(time.Duration(r.IntN(20)) * time.Hour)
		case 9:
			if o.Dir != "" {
				s = newStore(t, o)
			}
		}
		model = slices.DeleteFunc(model, func(i Info) bool { return time.Since(at(i)) > o.MaxAge })
		want := []string{}
		for _, i := range model {
			want = append(want, i.Ref)
		}
		require.Equal(t, want, refs(t, s))
		require.LessOrEqual(t, total(), o.MaxBytes)
		if len(model) > 0 {
			read(t, s, model[r.IntN(len(model))].Ref+"/data.bin")
		}
		if o.Dir != "" {
			size, err := onDisk(o.Dir)
			require.NoError(t, err)
			require.LessOrEqual(t, size, o.MaxBytes)
		}
	}
}

func onDisk(dir string) (size int64, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if i, err := e.Info(); err == nil {
			size += blocks(i.Size())
		}
	}
	return size, err
}

// clinging is a shelf from which nothing can be removed.
type clinging struct{ memory }

func (*clinging) remove(string) error { return errors.New("read-only") }

func TestWhatCannotBeRemovedIsHiddenAndKeepsItsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, StoreOptions{MaxBytes: 4 * block})
		s.shelf = &clinging{}
		old := put(t, s, bundleOf(block))
		time.Sleep(8 * 24 * time.Hour)
		require.Empty(t, refs(t, s))
		_, err := s.Open(old.Ref)
		require.ErrorIs(t, err, ErrNotFound)
		_, err = s.Put(t.Context(), bundleOf(block))
		require.ErrorContains(t, err, "read-only")
	})
}

func TestRefsLeadNowhereElse(t *testing.T) {
	shelves(t, func(t *testing.T, o StoreOptions) {
		s := newStore(t, o)
		i := put(t, s, bundleOf(10))
		if o.Dir != "" {
			secret := filepath.Join(filepath.Dir(o.Dir), "secret")
			require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
			link := newRef(time.Now())
			if os.Symlink(secret, filepath.Join(o.Dir, link+bundleExt)) == nil {
				_, err := s.Open(link)
				require.Error(t, err, "a link out of the directory")
				require.Equal(t, []string{i.Ref}, refs(t, s))
			}
		}
		for _, ref := range []string{
			"", ".", "..", "/", "../secret", "..\\secret", "/etc/passwd", i.Ref + "/../../secret", i.Ref + "/", i.Ref + "/..", i.Ref + ".zip",
			i.Ref + "/data.bin/", "./" + i.Ref, i.Ref + "\x00", strings.ToUpper(i.Ref), i.Ref[:len(i.Ref)-1], "20260301T120000500Z-..........................",
			"20260301T1200000/..-abcdefghijklmnopqrstuvwxyz", strings.Repeat("a", 1<<16),
		} {
			_, err := s.Open(ref)
			require.ErrorIs(t, err, ErrNotFound, "%q", ref)
			require.ErrorIs(t, s.Remove(ref), ErrNotFound, "%q", ref)
		}
		require.Equal(t, []string{i.Ref}, refs(t, s))
	})
}

func TestNamesAreHarmless(t *testing.T) {
	shelves(t, func(t *testing.T, o StoreOptions) {
		s := newStore(t, o)
		b := Bundle{Incident: "../i", Watch: "a\nb\x00/../..", Key: strings.Repeat("k", 5000)}
		hostile := []string{
			"", ".", "..", "../../etc/passwd", "/abs", `C:\x`, "a\x00b", "a\nb", "CON", "nul.txt", "manifest.json", "MANIFEST.json", "x", "X", "x", "2-x",
			"naïve", "\u202egpj.exe", "-rf", strings.Repeat("a/", 500), strings.Repeat(".", 100),
		}
		for n, name := range hostile {
			b.Files = append(b.Files, File{Name: name, Type: TextType, Data: fmt.Append(nil, n)})
		}
		i := put(t, s, b)
		files := unpacked(t, s, i.Ref)
		require.Len(t, files, len(hostile)+1)
		folded := map[string]bool{}
		for n, f := range i.Files {
			require.Regexp(t, `^[A-Za-z0-9_-][A-Za-z0-9._-]*$`, f.Name)
			require.LessOrEqual(t, len(f.Name), longestName+4)
			require.Equal(t, fmt.Sprint(n), string(files[f.Name]), "nothing is lost, and nothing takes another's place")
			require.Equal(t, fmt.Sprint(n), string(read(t, s, i.Ref+"/"+f.Name)))
			folded[strings.ToLower(f.Name)] = true
		}
		require.Len(t, folded, len(hostile))
		require.Equal(t, hostile[3], b.Files[3].Name, "what was given is not changed")
		require.Equal(t, b.Key, i.Key)
	})
}

func TestRefsCannotBeGuessed(t *testing.T) {
	seen := map[string]bool{}
	now := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	for range 1000 {
		ref := newRef(now)
		at, ok := refAt(ref)
		require.True(t, ok)
		_, ok = refAt(ref + "a")
		require.False(t, ok)
		require.Equal(t, now.Truncate(time.Millisecond), at)
		require.False(t, seen[ref[refStamp:]])
		seen[ref[refStamp:]] = true
	}
}

// Writers, readers and removers at once; for the race detector, and nothing torn.
func TestStoreIsSafeForConcurrentUse(t *testing.T) {
	shelves(t, func(t *testing.T, o StoreOptions) {
		o.MaxBytes = 10 * block
		s := newStore(t, o)
		var wg sync.WaitGroup
		for n := range 6 {
			wg.Go(func() {
				for k := range 10 {
					i, err := s.Put(context.Background(), bundleOf(100*n+k))
					if err != nil {
						t.Error(err)
						return
					}
					all, err := s.List()
					if err != nil || len(all) > 10 {
						t.Error(len(all), err)
					}
					c, err := s.Open(i.Ref + "/data.bin")
					if errors.Is(err, ErrNotFound) {
						continue // older ones make room
					}
					if err != nil {
						t.Error(err)
						return
					}
					data, err := io.ReadAll(c)
					if err != nil || !bytes.Equal(data, bundleOf(100*n + k).Files[0].Data) {
						t.Error("torn", err)
					}
					c.Close()
					if k%3 == 0 {
						if err := s.Remove(i.Ref); err != nil && !errors.Is(err, ErrNotFound) {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
	})
}

// stuck is a shelf on a disk that does not answer.
type stuck struct {
	memory
	until chan struct{}
}

func (s *stuck) save(i Info, zip []byte) error {
	<-s.until
	return s.memory.save(i, zip)
}

func TestPutWaitsForNoDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, StoreOptions{})
		disk := &stuck{until: make(chan struct{})}
		s.shelf = disk
		done := make(chan error)
		go func() {
			_, err := s.Put(t.Context(), bundleOf(10))
			done <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := s.Put(ctx, bundleOf(10))
		require.ErrorIs(t, err, ErrBusy)
		require.Empty(t, refs(t, s))
		close(disk.until)
		require.NoError(t, <-done)
		require.Len(t, refs(t, s), 1)
	})
}

func TestStoreOptionsAreChecked(t *testing.T) {
	for _, o := range []StoreOptions{{MaxBytes: -1}, {MaxBytes: 100}, {MaxAge: -2}} {
		_, err := OpenStore(o)
		require.Error(t, err)
	}
	s := newStore(t, StoreOptions{MaxAge: -1})
	put(t, s, Bundle{At: time.Now().Add(-1e5 * time.Hour)})
	require.Len(t, refs(t, s), 1)
}
