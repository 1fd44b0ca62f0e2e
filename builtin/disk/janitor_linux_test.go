package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

func ctx() context.Context { return context.Background() }

// paths are the names that were removed, in order.
func paths(r Report) []string {
	all := []string{}
	for _, x := range r.Removed {
		all = append(all, filepath.Base(x.Path))
	}
	return all
}

func TestTheOldestGoFirstAndTheNewestStay(t *testing.T) {
	dir := privateDir(t)
	for i, name := range []string{"e", "d", "c", "b", "a"} {
		file(t, dir, name, 4096, time.Duration(i)*time.Hour)
	}
	j := NewJanitor(JanitorOptions{Dirs: []string{dir}, Keep: 2})
	plan, err := j.Plan(ctx())
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c"}, paths(plan))
	require.Len(t, names(t, dir), 5, "a plan changes nothing")

	r, err := j.Run(ctx())
	require.NoError(t, err)
	require.Equal(t, plan, r, "the run does what was planned")
	require.Equal(t, []string{"d", "e"}, names(t, dir))
	require.Equal(t, int64(3*4096), r.Bytes)
	require.Equal(t, "3 files, 12.0 KiB; left: 2 kept as the newest", r.String())

	r, err = j.Run(ctx())
	require.NoError(t, err)
	require.Empty(t, r.Removed, "the newest stay, run after run")
}

func TestTheLimitsOfARun(t *testing.T) {
	fill := func(t *testing.T) string {
		dir := privateDir(t)
		file(t, dir, "huge", 1<<20, 9*time.Hour)
		for i := range 5 {
			file(t, dir, fmt.Sprint("f", i), 8192, time.Duration(8-i)*time.Hour)
		}
		file(t, dir, "newest", 1, 0)
		return dir
	}
	for _, c := range []struct {
		name string
		o    JanitorOptions
		want []string
		left string
	}{
		{"files", JanitorOptions{MaxFiles: 2}, []string{"huge", "f0"}, "4 left for another run"},
		{"bytes: what does not fit stays", JanitorOptions{MaxBytes: 20_000}, []string{"f0", "f1"}, "4 too large for this run"},
		{"bytes, used up", JanitorOptions{MaxBytes: 16384}, []string{"f0", "f1"}, "1 too large for this run, 3 left for another run"},
		{"match", JanitorOptions{Match: func(n string) bool { return n != "huge" && n != "f3" }}, []string{"f0", "f1", "f2", "f4"}, "2 not ours"},
		{"enough", JanitorOptions{Enough: func() func(context.Context, detect.Finding) (bool, error) {
			n := 0
			return func(context.Context, detect.Finding) (bool, error) { n++; return n > 1, nil }
		}()}, []string{"huge"}, "5 left for another run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Dirs, c.o.Keep = []string{fill(t)}, 1
			r, err := NewJanitor(c.o).Run(ctx())
			require.NoError(t, err)
			require.Equal(t, c.want, paths(r))
			require.Contains(t, r.String(), c.left)
			if c.o.MaxBytes > 0 {
				require.LessOrEqual(t, r.Bytes, c.o.MaxBytes)
			}
		})
	}
}

func TestAYoungFileStays(t *testing.T) {
	dir := privateDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "young"), nil, 0o600))
	file(t, dir, "old", 1, 0)
	future := time.Now().Add(time.Hour)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "of tomorrow"), nil, 0o600))
	require.NoError(t, os.Chtimes(filepath.Join(dir, "of tomorrow"), future, future))
	r, err := NewJanitor(JanitorOptions{Dirs: []string{dir}, Keep: 1}).Run(ctx())
	require.NoError(t, err)
	require.Equal(t, []string{"old"}, paths(r))
	require.Equal(t, 1, r.Young)
	require.Equal(t, 1, r.Kept)
}

func TestHardLinksFreeNothingUntilTheLast(t *testing.T) {
	dir, elsewhere := privateDir(t), privateDir(t)
	a := file(t, dir, "a", 8192, 5*time.Hour)
	require.NoError(t, os.Link(a, filepath.Join(elsewhere, "a")))
	b := file(t, dir, "b", 8192, 4*time.Hour)
	require.NoError(t, os.Link(b, filepath.Join(dir, "b2")))
	file(t, dir, "newest", 1, 0)
	r, err := NewJanitor(JanitorOptions{Dirs: []string{dir}, Keep: 1, MaxBytes: 8192}).Run(ctx())
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "b2"}, paths(r))
	require.Equal(t, []int64{0, 0, 8192}, []int64{r.Removed[0].Bytes, r.Removed[1].Bytes, r.Removed[2].Bytes})
	require.Equal(t, int64(8192), r.Bytes)
}

func TestNamesWithNewlines(t *testing.T) {
	dir := privateDir(t)
	hostile := []string{"a\nb", "-rf", " ", "\x1b[31mred", "\xff\xfe", "level=ERROR msg=\"x\"", "*", "..."}
	for i, name := range hostile {
		file(t, dir, name, 1, time.Duration(20-i)*time.Hour)
	}
	file(t, dir, "newest", 1, 0)
	var log bytes.Buffer
	req := remediate.Request{Incident: "i", Step: "clean", Attempt: 1, Try: 1, Log: slog.New(slog.NewTextHandler(&log, nil))}
	require.NoError(t, NewJanitor(JanitorOptions{Dirs: []string{dir}, Keep: 1}).Clean(ctx(), req))
	require.Equal(t, []string{"newest"}, names(t, dir))
	require.Equal(t, len(hostile)+1, strings.Count(log.String(), "\n"), "a line a file, and one for all:\n%s", &log)
	require.NotContains(t, log.String(), "\x1b")
}

func TestTheNewestStayWhenOthersRemoveThem(t *testing.T) {
	dir := privateDir(t)
	file(t, dir, "a", 1, 9*time.Hour)
	file(t, dir, "b", 1, 8*time.Hour)
	newest := file(t, dir, "newest", 1, 0)
	r, err := NewJanitor(JanitorOptions{
		Dirs: []string{dir}, Keep: 1,
		Audit: func(context.Context, Removal) error { _ = os.Remove(newest); return nil },
	}).Run(ctx())
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, paths(r))
	require.Equal(t, []string{"b"}, names(t, dir), "b is the newest now")
}

func TestNothingGoesUnaudited(t *testing.T) {
	dir := privateDir(t)
	for i := range 5 {
		file(t, dir, fmt.Sprint("f", i), 1, time.Duration(9-i)*time.Hour)
	}
	told := 0
	r, err := NewJanitor(JanitorOptions{
		Dirs: []string{dir}, Keep: 1,
		Audit: func(context.Context, Removal) error {
			if told++; told == 3 {
				return errors.New("the audit log is full")
			}
			return nil
		},
	}).Run(ctx())
	require.ErrorContains(t, err, "the audit log is full")
	require.Equal(t, []string{"f0", "f1"}, paths(r))
	require.Equal(t, []string{"f2", "f3", "f4"}, names(t, dir))
	require.Equal(t, 2, r.Later)
}

func TestARunStopsWithItsContextAndOneAtATime(t *testing.T) {
	dir := privateDir(t)
	for i := range 5 {
		file(t, dir, fmt.Sprint("f", i), 1, time.Duration(9-i)*time.Hour)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	var j *Janitor
	j = NewJanitor(JanitorOptions{
		Dirs: []string{dir}, Keep: 1,
		Audit: func(context.Context, Removal) error {
			_, err := j.Plan(ctx)
			require.ErrorIs(t, err, ErrBusy)
			cancel(remediate.ErrStopping)
			return nil
		},
	})
	r, err := j.Run(ctx)
	require.ErrorIs(t, err, remediate.ErrStopping)
	require.Equal(t, []string{"f0"}, paths(r))
	_, err = j.Run(ctx)
	require.ErrorIs(t, err, remediate.ErrStopping)
	require.Len(t, names(t, dir), 4)
}

// Only directories on the file system that is full are cleaned for it.
func TestOnlyTheFileSystemOfTheFindingIsCleaned(t *testing.T) {
	full, dir := tmpfs(t, "size=1m"), privateDir(t)
	for _, d := range []string{full, dir} {
		file(t, d, "old", 1, 9*time.Hour)
		file(t, d, "newest", 1, 0)
	}
	request := func(key string) remediate.Request {
		return remediate.Request{Incident: key, Step: "clean", Finding: detect.Finding{Key: key}}
	}
	j := NewJanitor(JanitorOptions{Dirs: []string{full, dir}, Keep: 1})
	require.NoError(t, j.Clean(ctx(), request(full)))
	require.Equal(t, []string{"newest"}, names(t, full))
	require.Equal(t, []string{"newest", "old"}, names(t, dir))

	here := NewJanitor(JanitorOptions{Dirs: []string{dir}, Keep: 1})
	require.ErrorIs(t, here.Clean(ctx(), request(full)), remediate.ErrSkip)
	err := here.Clean(ctx(), request(filepath.Join(full, "no such\nplace")))
	require.ErrorIs(t, err, unix.ENOENT)
	require.NotErrorIs(t, err, remediate.ErrSkip)
	require.NoError(t, here.Clean(ctx(), request("a key that is no path")))
	require.Equal(t, []string{"newest"}, names(t, dir))
}
