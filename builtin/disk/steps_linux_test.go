package disk

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

func request(step string, attempt int) remediate.Request {
	return remediate.Request{Incident: "i", Step: step, Attempt: attempt, Try: 1}
}

func TestCleanIsAStep(t *testing.T) {
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
		dir := privateDir(t)
		for i := range 5 {
			file(t, dir, fmt.Sprint("f", i), 1, time.Duration(9-i)*time.Hour)
		}
		j := NewJanitor(JanitorOptions{Dirs: []string{dir}, Keep: 1, MaxFiles: 2})
		return selfhealtest.StepFixture{
			Step:    remediate.Step{Name: "clean", Run: j.Clean, Lasting: true},
			Finding: detect.Finding{Key: dir},
			State:   func() string { return fmt.Sprint(names(t, dir)) },
			Inapplicable: func() {
				for _, n := range names(t, dir)[1:] {
					require.NoError(t, os.Remove(filepath.Join(dir, n)))
				}
			},
			Break: func() func() {
				require.NoError(t, os.Chmod(dir, 0o777))
				return func() { require.NoError(t, os.Chmod(dir, 0o700)) }
			},
		}
	})
}

func TestBallastIsAStep(t *testing.T) {
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
		dir := privateDir(t)
		path := filepath.Join(dir, "ballast")
		step := func() remediate.Step {
			b := NewBallast(BallastOptions{Path: path, Bytes: 1 << 20})
			return remediate.Step{Name: "release-ballast", Run: b.Release, Undo: b.Restore}
		}
		require.NoError(t, NewBallast(BallastOptions{Path: path, Bytes: 1 << 20}).Create(ctx()))
		return selfhealtest.StepFixture{
			Step: step(), Restart: step,
			State: func() string {
				n, err := os.Stat(path)
				if err != nil {
					return "none"
				}
				return fmt.Sprint(n.Size())
			},
			Inapplicable: func() { require.NoError(t, os.Remove(path)) },
			Break: func() func() {
				require.NoError(t, os.Chmod(dir, 0o777))
				return func() { require.NoError(t, os.Chmod(dir, 0o700)) }
			},
		}
	})
}

func TestABallastTakesRealRoomAndOnlyItsOwn(t *testing.T) {
	dir := tmpfs(t, "size=4m,nr_inodes=100")
	left := func() uint64 {
		u, err := readUsage(dir)
		require.NoError(t, err)
		return u.avail
	}
	path := filepath.Join(dir, "ballast")
	b := NewBallast(BallastOptions{Path: path, Bytes: 1 << 20})
	require.ErrorIs(t, b.Release(ctx(), request("b", 1)), remediate.ErrSkip)
	require.NoError(t, b.Restore(ctx(), request("b", 1)), "nothing to put back")
	require.NoFileExists(t, path)
	before := left()
	require.NoError(t, b.Create(ctx()))
	require.NoError(t, b.Create(ctx()), "twice is once")
	require.Equal(t, before-1<<20, left())
	fill(t, dir, 64<<10)
	require.NoError(t, b.Release(ctx(), request("b", 1)))
	require.GreaterOrEqual(t, left(), uint64(1<<20-4096))
	require.NoError(t, b.Release(ctx(), request("b", 2)), "given up already: the undo is owed as before")

	fill(t, dir, 64<<10)
	require.ErrorIs(t, b.Create(ctx()), unix.ENOSPC)
	n, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, int64(len(ballastTag)), n.Size(), "half a ballast is none")

	precious := filepath.Join(dir, "f0000")
	require.NoError(t, os.Symlink(precious, filepath.Join(dir, "link")))
	require.NoError(t, os.Link(path, filepath.Join(dir, "second name")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	for _, name := range []string{"f0000", "link", "second name", "folder"} {
		other := NewBallast(BallastOptions{Path: filepath.Join(dir, name), Bytes: 1 << 16})
		require.ErrorContains(t, other.Release(ctx(), request("b", 1)), "none of ours", name)
		require.ErrorContains(t, other.Create(ctx()), "none of ours", name)
	}
	n, err = os.Stat(precious)
	require.NoError(t, err)
	require.Equal(t, int64(64<<10), n.Size())
}

// The ballast is the last rung; it is taken again when there is room, and where
// there is not a person learns that it is gone.
func TestTheLadderEndsWithTheBallast(t *testing.T) {
	for name, c := range map[string]struct {
		room bool // for the ballast to come back
		want string
	}{
		"and takes it again": {true, `
			20s open space[%[1]s]: 5.96 %% of 4.0 MiB left, below 10 %%
			40s step release-ballast: healed
			5m40s undo release-ballast
			5m40s close`},
		"and tells that it is gone": {false, `
			20s open space[%[1]s]: 5.96 %% of 4.0 MiB left, below 10 %%
			40s step release-ballast: healed
			5m40s undo release-ballast: failed
			5m40s page undo failed`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := tmpfs(t, "size=4m,nr_inodes=1000")
				o := Options{Paths: []string{dir}, Ballast: BallastOptions{Path: filepath.Join(dir, "ballast"), Bytes: 1 << 20}}
				require.NoError(t, NewBallast(o.Ballast).Create(ctx()))
				require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), make([]byte, 2828<<10), 0o600))
				trial := selfhealtest.Start(t, Space(o))
				time.Sleep(time.Minute)
				if c.room {
					require.NoError(t, os.Remove(filepath.Join(dir, "data")))
				}
				time.Sleep(5 * time.Minute)
				want := squeeze(fmt.Sprintf(c.want, dir))
				got := squeeze(trial.Timeline())
				require.Equal(t, want, got[:min(len(want), len(got))])
				u, err := readUsage(dir)
				require.NoError(t, err)
				require.Equal(t, c.room, u.avail > 2<<20 && u.avail < 3200<<10, "%d", u.avail)
			})
		})
	}
}

// logFile is a log that a process writes, and can be told to open anew.
type logFile struct {
	path string
	f    *os.File
	fail error
}

func openLog(t *testing.T, path string) *logFile {
	t.Helper()
	l := &logFile{path: path}
	require.NoError(t, l.reopen(ctx()))
	t.Cleanup(func() { l.f.Close() })
	return l
}

func (l *logFile) reopen(context.Context) error {
	if l.fail != nil {
		return l.fail
	}
	if l.f != nil {
		l.f.Close()
	}
	var err error
	l.f, err = os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	return err
}

func (l *logFile) write(t *testing.T, text string, times int) {
	t.Helper()
	_, err := l.f.WriteString(strings.Repeat(text, times))
	require.NoError(t, err)
}

func unzip(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	return string(text)
}

func TestLogsAreRotatedAndCompressed(t *testing.T) {
	dir := privateDir(t)
	l := openLog(t, filepath.Join(dir, "app.log"))
	logs := NewLogs(LogOptions{Files: []string{l.path}, Reopen: l.reopen, MinBytes: -1})
	require.ErrorIs(t, logs.Compress(ctx(), request("c", 1)), remediate.ErrSkip, "an empty log")
	for _, name := range []string{"app.log.1", "app.log.20260101", "app.log.20261301T000000.000000000Z", "other.log.20260101T000000.000000000Z"} {
		file(t, dir, name, 100_000, 0) // of others
	}
	before := names(t, dir)
	l.write(t, "hello\n", 100_000)
	require.NoError(t, logs.Compress(ctx(), request("c", 2)))
	l.write(t, "after\n", 1)
	var mine []string
	for _, n := range names(t, dir) {
		if !slices.Contains(before, n) {
			mine = append(mine, n)
		}
	}
	require.Len(t, mine, 1, "the original is gone")
	require.True(t, logs.Rotated(mine[0]))
	require.True(t, strings.HasSuffix(mine[0], ".gz"))
	require.Equal(t, strings.Repeat("hello\n", 100_000), unzip(t, filepath.Join(dir, mine[0])))
	n, err := os.Stat(filepath.Join(dir, mine[0]))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), n.Mode().Perm())
	text, err := os.ReadFile(l.path)
	require.NoError(t, err)
	require.Equal(t, "after\n", string(text))
	require.ErrorIs(t, NewLogs(LogOptions{Files: []string{l.path}}).Compress(ctx(), request("c", 1)), remediate.ErrSkip, "no Reopen, no rotation")
}

func TestALogThatCannotBeReopenedKeepsItsName(t *testing.T) {
	dir := privateDir(t)
	l := openLog(t, filepath.Join(dir, "app.log"))
	l.write(t, "x", 1000)
	l.fail = errors.New("no descriptors")
	logs := NewLogs(LogOptions{Files: []string{l.path}, Reopen: l.reopen, MinBytes: -1})
	require.ErrorContains(t, logs.Compress(ctx(), request("c", 1)), "no descriptors")
	require.Equal(t, []string{"app.log"}, names(t, dir))
	l.write(t, "y", 1)
	text, err := os.ReadFile(l.path)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("x", 1000)+"y", string(text))
}

// A panic of the service's own function is a failure like any other.
func TestALogWhoseReopenPanicsKeepsItsName(t *testing.T) {
	dir := privateDir(t)
	l := openLog(t, filepath.Join(dir, "app.log"))
	l.write(t, "x", 1000)
	logs := NewLogs(LogOptions{Files: []string{l.path}, MinBytes: -1, Reopen: func(context.Context) error { panic("ouch") }})
	var p *remediate.PanicError
	require.ErrorAs(t, logs.Compress(ctx(), request("c", 1)), &p)
	require.Equal(t, "ouch", p.Value)
	require.Equal(t, []string{"app.log"}, names(t, dir))
}

func TestAnOriginalThatIsNeededStays(t *testing.T) {
	at := time.Now()
	for name, spoil := range map[string]func(t *testing.T, dir, path string){
		"open elsewhere":   func(t *testing.T, _, path string) { as(t, "open", path) },
		"has another name": func(t *testing.T, dir, path string) { require.NoError(t, os.Link(path, filepath.Join(dir, "keep"))) },
		"is a link": func(t *testing.T, dir, path string) {
			require.NoError(t, os.Rename(path, filepath.Join(dir, "keep")))
			require.NoError(t, os.Symlink("keep", path))
		},
		"cannot be smaller": func(t *testing.T, _, path string) { require.NoError(t, os.WriteFile(path, []byte("short"), 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := privateDir(t)
			path := file(t, dir, rotateTo("app.log", at), 100_000, 0)
			spoil(t, dir, path)
			before := names(t, dir)
			err := NewLogs(LogOptions{Files: []string{filepath.Join(dir, "app.log")}}).Compress(ctx(), request("c", 1))
			require.ErrorIs(t, err, remediate.ErrSkip)
			require.Equal(t, before, names(t, dir))
		})
	}
}

// A full disk has no room for the copy: the original stays, and no part of a copy.
func TestCompressingOnAFullDisk(t *testing.T) {
	dir := tmpfs(t, "size=1m,nr_inodes=100")
	noise := make([]byte, 700<<10)
	state := uint32(1)
	for i := range noise {
		state = state*1664525 + 1013904223
		noise[i] = byte(state >> 24)
	}
	path := filepath.Join(dir, rotateTo("app.log", time.Now()))
	require.NoError(t, os.WriteFile(path, noise, 0o600))
	before := names(t, dir)
	err := NewLogs(LogOptions{Files: []string{filepath.Join(dir, "app.log")}}).Compress(ctx(), request("c", 1))
	require.ErrorIs(t, err, unix.ENOSPC)
	require.Equal(t, before, names(t, dir))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, noise, got)
}

// A run that was killed leaves a part, or both files; the next one ends it.
func TestCompressingAfterAKill(t *testing.T) {
	dir := privateDir(t)
	path := file(t, dir, rotateTo("app.log", time.Now()), 100_000, 0)
	file(t, dir, filepath.Base(path)+".gz.part", 10, 0)
	file(t, dir, filepath.Base(path)+".gz", 10, 0)
	require.NoError(t, NewLogs(LogOptions{Files: []string{filepath.Join(dir, "app.log")}}).Compress(ctx(), request("c", 1)))
	require.Equal(t, []string{filepath.Base(path) + ".gz"}, names(t, dir))
	require.Len(t, unzip(t, path+".gz"), 100_000)
}

func TestCompressIsAStep(t *testing.T) {
	selfhealtest.TestStep(t, func(t *testing.T) selfhealtest.StepFixture {
		dir := privateDir(t)
		l := openLog(t, filepath.Join(dir, "app.log"))
		l.write(t, "hello\n", 100_000)
		logs := NewLogs(LogOptions{Files: []string{l.path}, Reopen: l.reopen, MinBytes: -1})
		return selfhealtest.StepFixture{
			Step:         remediate.Step{Name: "compress-logs", Run: logs.Compress, Risk: remediate.Safe},
			State:        func() string { return fmt.Sprint(names(t, dir)) },
			Inapplicable: func() { require.NoError(t, os.Truncate(l.path, 0)) },
			Break: func() func() {
				l.fail = errors.New("no descriptors")
				return func() { l.fail = nil }
			},
		}
	})
}

func TestASurveySaysWhatGrew(t *testing.T) {
	dir := privateDir(t)
	file(t, dir, "a", 4096, 0)
	g := Survey(dir, filepath.Join(dir, "gone"))
	first, err := g.Gather(ctx(), escalate.Incident{})
	require.NoError(t, err)
	require.Len(t, first, 1)
	require.Equal(t, int64(4096), first[0].Bytes)
	require.Equal(t, "4.0 KiB in 1 files in "+dir, first[0].Name)
	file(t, dir, "b", 8192, 0)
	second, err := g.Gather(ctx(), escalate.Incident{})
	require.NoError(t, err)
	require.Equal(t, int64(12288), second[0].Bytes)
	require.Equal(t, "12.0 KiB in 2 files in "+dir+"; 8.0 KiB more and +1 files in ", second[0].Name[:strings.LastIndex(second[0].Name, " ")+1])
	require.NoError(t, os.Remove(filepath.Join(dir, "a")))
	third, err := g.Gather(ctx(), escalate.Incident{})
	require.NoError(t, err)
	require.Contains(t, third[0].Name, "; 4.0 KiB less and -1 files in ")
	over, cancel := context.WithCancel(ctx())
	cancel()
	none, err := g.Gather(over, escalate.Incident{})
	require.NoError(t, err)
	require.Empty(t, none)
}
