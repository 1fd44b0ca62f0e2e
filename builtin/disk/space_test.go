package disk

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// world is the file systems of a test, in place of statfs.
type world struct {
	mu   sync.Mutex
	at   map[string]usage
	err  error
	hang chan struct{} // closed when calls may return; nil: they do
	in   int           // calls that are under way
	most int           // of them at once
}

func newWorld(paths ...string) *world {
	w := &world{at: map[string]usage{}}
	for i, p := range paths {
		w.at[p] = usage{size: 1000, free: 900, avail: 900, inodes: 1000, ifree: 900, id: uint64(i + 1)}
	}
	return w
}

func (w *world) read(path string) func(*usage) error {
	return func(u *usage) error {
		w.mu.Lock()
		hang := w.hang
		w.in++
		w.most = max(w.most, w.in)
		w.mu.Unlock()
		if hang != nil && path == "/a" {
			<-hang
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.in--
		at, ok := w.at[path]
		if !ok {
			return fs.ErrNotExist
		}
		*u = at
		return w.err
	}
}

// left sets what is left of a path, in thousandths.
func (w *world) left(path string, space, inodes uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.at[path]
	u.free, u.avail, u.ifree = space, space, inodes
	w.at[path] = u
}

func (w *world) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

func (w *world) stall() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hang = make(chan struct{})
}

func (w *world) answer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hang != nil {
		close(w.hang)
		w.hang = nil
	}
}

func (w *world) options(paths ...string) Options { return Options{Paths: paths, read: w.read} }

func TestSpaceIsADetector(t *testing.T) {
	for name, watch := range map[string]func(Options) detect.Detector{
		"space":      func(o Options) detect.Detector { return Space(o).Detector },
		"space-low":  func(o Options) detect.Detector { return SpaceLow(o).Detector },
		"inodes":     func(o Options) detect.Detector { return Inodes(o).Detector },
		"inodes-low": func(o Options) detect.Detector { return InodesLow(o).Detector },
	} {
		t.Run(name, func(t *testing.T) {
			selfhealtest.TestDetector(t, func(t *testing.T) selfhealtest.DetectorFixture {
				w := newWorld("/a", "/b")
				t.Cleanup(w.answer)
				o := w.options("/a", "/b")
				return selfhealtest.DetectorFixture{
					Detector: watch(o),
					Sicken:   func() { w.fail(nil); w.left("/a", 50, 50) },
					Heal:     func() { w.fail(nil); w.left("/a", 900, 900) },
					Break:    func() { w.fail(errors.New("I/O error")) },
					Hang:     w.stall,
				}
			})
		})
	}
}

func TestLevelsHaveAMargin(t *testing.T) {
	w := newWorld("/a", "/b")
	d := Space(w.options("/a", "/b")).Detector
	for _, c := range []struct {
		left     uint64
		want     string
		critical bool
	}{
		{900, "", false},
		{100, "", false},
		{99, "9.9 % of 1000 B left, below 10 %", true},
		{100, "10 % of 1000 B left, not yet above 15 %", false},
		{150, "15 % of 1000 B left, not yet above 15 %", false},
		{151, "", false},
		{120, "", false},
		{0, "0 % of 1000 B left, below 10 %", true},
	} {
		w.left("/a", c.left, 900)
		found, err := d.Detect(context.Background())
		require.NoError(t, err)
		if c.want == "" {
			require.Empty(t, found, "%d", c.left)
			continue
		}
		require.Len(t, found, 1)
		require.Equal(t, c.want, found[0].Summary)
		require.Equal(t, "/a", found[0].Key)
		require.Equal(t, c.critical, found[0].Severity == detect.Critical)
	}
}

func TestWhatHasNoLevelIsNotJudged(t *testing.T) {
	judge := func(change func(*usage)) ([]detect.Finding, error) {
		w := newWorld("/a")
		u := w.at["/a"]
		change(&u)
		w.at["/a"] = u
		one, err := Space(w.options("/a")).Detector.Detect(context.Background())
		two, err2 := Inodes(w.options("/a")).Detector.Detect(context.Background())
		return append(one, two...), errors.Join(err, err2)
	}
	for name, change := range map[string]func(*usage){
		"no size and no inodes":  func(u *usage) { *u = usage{id: 1} },
		"no inodes, as btrfs":    func(u *usage) { u.inodes, u.ifree = 0, 0 },
		"read-only and full":     func(u *usage) { u.readOnly, u.free, u.avail, u.ifree = true, 0, 0, 0 },
		"more free than it has":  func(u *usage) { u.free, u.ifree = 5000, 5000 },
		"reserved space is free": func(u *usage) { u.free, u.avail = 300, 250 },
	} {
		found, err := judge(change)
		require.NoError(t, err, name)
		require.Empty(t, found, name)
	}
	found, err := judge(func(u *usage) { u.free, u.avail = 50, 0 })
	require.NoError(t, err)
	require.Len(t, found, 1, "what is left to root is not left to us")
}

// df(1) rounds up what is used of what non-root may use.
func TestTheShareIsThatOfDf(t *testing.T) {
	u := usage{size: 1000, free: 300, avail: 250, inodes: 200, ifree: 50}
	percent, ok := u.space()
	require.True(t, ok)
	require.InDelta(t, 100*250.0/950, percent, 1e-9)
	percent, ok = u.inodeSpace()
	require.True(t, ok)
	require.InDelta(t, 25.0, percent, 1e-9)
	percent, ok = (&usage{size: 1000, free: 1000}).space()
	require.True(t, ok)
	require.Zero(t, percent, "all of it is reserved")
}

func TestAFileSystemThatTurnsReadOnlyIsBlind(t *testing.T) {
	w := newWorld("/a")
	d := Space(w.options("/a")).Detector
	_, err := d.Detect(context.Background())
	require.NoError(t, err)
	u := w.at["/a"]
	u.readOnly = true
	w.at["/a"] = u
	_, err = d.Detect(context.Background())
	require.ErrorContains(t, err, "read-only now")
}

func TestOneFileSystemIsOneFinding(t *testing.T) {
	w := newWorld("/a", "/b", "/c")
	u := w.at["/a"]
	u.avail, u.free = 10, 10
	w.at["/a"], w.at["/b"] = u, u // the same id
	d := Space(w.options("/a", "/b", "/c")).Detector
	found, err := d.Detect(context.Background())
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, "/a", found[0].Key)
}

func TestPathsThatAreMissing(t *testing.T) {
	w := newWorld("/a")
	_, err := Space(w.options("/a", "/gone")).Detector.Detect(context.Background())
	require.ErrorContains(t, err, "/gone does not exist")
	o := w.options()
	o.Paths = nil
	_, err = Space(o).Detector.Detect(context.Background())
	require.NoError(t, err, "the usual paths need not exist")
}

// The forecast asks for level and slope, in six hours and in one.
func TestAForecast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("/a")
		o := w.options("/a")
		low, act := SpaceLow(o).Detector, Space(o).Detector
		look := func(d detect.Detector) string {
			found, err := d.Detect(context.Background())
			require.NoError(t, err)
			if len(found) == 0 {
				return ""
			}
			require.Equal(t, detect.Warning, found[0].Severity)
			return found[0].Summary
		}
		var warned, acted string
		var warnedAt, actedAt uint64
		for left := uint64(900); left > 110; left -= 2 { // 1.2 % an hour
			w.left("/a", left, 900)
			if s := look(low); s != "" && warned == "" {
				warned, warnedAt = s, left
			}
			if s := look(act); s != "" && acted == "" {
				acted, actedAt = s, left
			}
			time.Sleep(10 * time.Minute)
		}
		require.Equal(t, "28.8 % of 1000 B left, used up in 24 h as it goes", warned)
		require.Equal(t, uint64(288), warnedAt)
		require.Empty(t, acted, "1.2 %% an hour is not within 4 h before 4.8 %% are left; seen at %d", actedAt)
		w.left("/a", 900, 900)
		require.Empty(t, look(low), "a deletion is no trend")
		require.Empty(t, look(act))
	})
}

// A hang is seen once, never waited for again, never doubled, and does not hide
// the other file systems.
func TestAMountThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld("/a", "/b")
		p := newPack(w.options("/a", "/b"))
		one := p.act("space", bytesKind(), p.o.Space).Detector
		two := p.act("inodes", inodesKind(), p.o.Inodes).Detector
		w.left("/b", 50, 50)
		w.stall()
		began := time.Now()
		var first error
		for i := range 100 {
			for _, d := range []detect.Detector{one, two} {
				found, err := d.Detect(context.Background())
				require.Len(t, found, 1)
				require.Equal(t, "/b", found[0].Key)
				require.ErrorContains(t, err, "/a does not answer")
				if first == nil {
					first = err
				}
				require.Equal(t, first.Error(), err.Error(), "the text is stable: look %d", i)
			}
		}
		require.Equal(t, defaultPatience, time.Since(began), "it was waited for once")
		w.mu.Lock()
		require.Equal(t, 1, w.in, "one call hangs")
		w.mu.Unlock()
		w.answer()
		synctest.Wait()
		found, err := one.Detect(context.Background())
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.LessOrEqual(t, w.most, 2, "never two calls of one path at once")
	})
}

func TestMistakesAreReportedAndNeverPanic(t *testing.T) {
	for want, o := range map[string]Options{
		"is relative":                {Paths: []string{"var"}},
		"shortest form":              {Paths: []string{"/var/"}},
		"cannot be printed":          {Paths: []string{"/a\nb"}},
		"longer than 400":            {Paths: []string{"/" + strings.Repeat("x", 400)}},
		"twice":                      {Paths: []string{"/a", "/a"}},
		"empty and not nil":          {Paths: []string{}},
		"Every is -1s":               {Every: -time.Second},
		"Patience is -1s":            {Patience: -time.Second},
		"Forecast is 1s":             {Forecast: time.Second},
		"DeletedAbove is -2":         {DeletedAbove: -2},
		"Space: Warn is 101":         {Space: Levels{Warn: 101}},
		"Inodes: Act is NaN":         {Inodes: Levels{Act: math.NaN()}},
		"Margin is -1":               {Space: Levels{Margin: -1}},
		"Act is 20 and Warn 15":      {Space: Levels{Act: 20}},
		"never clears":               {Space: Levels{Warn: 97}},
		"the root of everything":     {Clean: JanitorOptions{Dirs: []string{"/"}}},
		"one inside the other":       {Clean: JanitorOptions{Dirs: []string{"/a/b", "/a"}}},
		"put it elsewhere":           {Clean: JanitorOptions{Dirs: []string{"/a"}}, Ballast: BallastOptions{Path: "/a/b/c"}},
		"Keep is -1":                 {Clean: JanitorOptions{Keep: -1}},
		"Depth is 33":                {Clean: JanitorOptions{Depth: 33}},
		"MinAge is -2ns":             {Clean: JanitorOptions{MinAge: -2}},
		"MaxBytes is -2":             {Clean: JanitorOptions{MaxBytes: -2}},
		"MaxFiles is 1000001":        {Clean: JanitorOptions{MaxFiles: 1_000_001}},
		"MinBytes is -2":             {Logs: LogOptions{MinBytes: -2}},
		`Files has "x"`:              {Logs: LogOptions{Files: []string{"x"}}},
		"ballast: Bytes is 1":        {Ballast: BallastOptions{Bytes: 1}},
		"ballast: Path is \"b\"":     {Ballast: BallastOptions{Path: "b"}},
		"disk: logs: Files has \"\"": {Logs: LogOptions{Files: []string{""}}},
	} {
		m := Module(o)
		for _, w := range m.Watches {
			err := w.Detector.(detect.Validator).Validate()
			require.ErrorContains(t, err, want, w.Name)
			_, again := w.Detector.Detect(context.Background())
			require.Equal(t, err, again)
		}
		require.NotEmpty(t, m.Watches)
	}
	require.ErrorContains(t, NewJanitor(JanitorOptions{}).Validate(), "no Dirs")
	require.ErrorContains(t, NewLogs(LogOptions{}).Validate(), "no Files")
	require.ErrorContains(t, NewBallast(BallastOptions{}).Validate(), "no Path")
	_, err := NewJanitor(JanitorOptions{}).Run(context.Background())
	require.ErrorContains(t, err, "no Dirs")
}

func TestSizesAreReadable(t *testing.T) {
	for b, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1<<20 - 1: "1.0 MiB", 5 << 30: "5.0 GiB", math.MaxUint64: "16.0 EiB",
	} {
		require.Equal(t, want, size(b))
	}
}
