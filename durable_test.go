package selfheal_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// image copies a journal's directory as it is at this moment: what a crash now
// would leave.
func image(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// live runs a supervisor on the journal in dir until the end of the test, or
// until end is called.
func live(t *testing.T, dir string, o selfheal.Options, ws ...selfheal.Watch) (s *selfheal.Supervisor, end func()) {
	t.Helper()
	j, err := selfheal.OpenJournal(dir)
	require.NoError(t, err)
	o.Journal, o.Logger, o.Every = j, quiet, 20*time.Millisecond
	if o.Escalate.Empty() {
		o.Escalate = nobody
	}
	s = selfheal.New(o)
	s.Watch(ws...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	ended := false
	end = func() {
		if !ended {
			ended = true
			cancel()
			require.NoError(t, <-done)
			require.NoError(t, j.Close())
		}
	}
	t.Cleanup(end)
	return s, end
}

func sick(is *atomic.Bool) detect.Detector {
	return detect.Func(func(context.Context) ([]detect.Finding, error) {
		if is.Load() {
			return []detect.Finding{{Summary: "sick"}}, nil
		}
		return nil, nil
	})
}

// What a step changed on the host, and whom it told, is put right by the next
// life after a crash, under the same keys.
func TestACrashLosesNeitherUndoNorNotice(t *testing.T) {
	var is atomic.Bool
	is.Store(true)
	var ran, undone atomic.Value
	taken := make(chan struct{})
	watch := func() selfheal.Watch {
		return selfheal.Watch{Name: "orders", Detector: sick(&is), KeepFor: 50 * time.Millisecond, Playbook: remediate.Ladder(remediate.Step{
			Name: "shed", Scope: remediate.Host, Risk: remediate.Safe, Settle: time.Hour,
			Run: func(_ context.Context, req remediate.Request) error {
				require.NoError(t, req.Save([]byte("was 100 %")))
				ran.Store(req.Key())
				close(taken)
				return nil
			},
			Undo: func(_ context.Context, req remediate.Request) error {
				undone.Store(req.Key() + " " + string(req.Memo))
				return nil
			},
		})}
	}
	dir := filepath.Join(t.TempDir(), "journal")
	_, _ = live(t, dir, selfheal.Options{}, watch())
	<-taken
	crashed := image(t, dir)

	is.Store(false)
	s, end := live(t, crashed, selfheal.Options{}, watch())
	require.Eventually(t, func() bool { return undone.Load() != nil && len(s.Status().Watches[0].Incidents) == 0 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, strings.Replace(ran.Load().(string), "/run", "/undo", 1)+" was 100 %", undone.Load())
	end()

	// A third life has nothing left to do.
	undone = atomic.Value{}
	s, _ = live(t, crashed, selfheal.Options{}, watch())
	time.Sleep(200 * time.Millisecond)
	require.Nil(t, undone.Load())
	require.Empty(t, s.Status().Watches[0].Incidents)
}

func TestANoticeThatWasOwedIsDeliveredByTheNextLife(t *testing.T) {
	var is atomic.Bool
	is.Store(true)
	var reached atomic.Bool
	ids := make(chan string, 100)
	page := escalate.Named("oncall", escalate.NotifierFunc(func(_ context.Context, n escalate.Notification) error {
		select {
		case ids <- n.Kind.String() + " " + n.ID:
		default:
		}
		if !reached.Load() {
			return context.DeadlineExceeded
		}
		return nil
	}))
	watch := selfheal.Watch{Name: "orders", Detector: sick(&is), KeepFor: 10 * time.Millisecond}
	dir := filepath.Join(t.TempDir(), "journal")
	o := selfheal.Options{Escalate: escalate.To(page)}
	_, _ = live(t, dir, o, watch)
	first := <-ids
	crashed := image(t, dir)
	reached.Store(true)
	_, _ = live(t, crashed, o, watch)
	for len(ids) > 0 {
		<-ids
	}
	require.Equal(t, first, <-ids, "the same notification under the same id")
	is.Store(false)
	for {
		if got := <-ids; strings.HasPrefix(got, "resolve") {
			break
		}
	}
}

func TestAHaltIsDurable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	s, end := live(t, dir, selfheal.Options{})
	require.NoError(t, s.Halt("eve", "deploy"))
	crashed := image(t, dir)
	require.NoError(t, s.Resume("eve"))
	end()
	s, _ = live(t, crashed, selfheal.Options{})
	require.Eventually(t, func() bool { return s.Status().Halted != nil }, 5*time.Second, time.Millisecond)
	require.Equal(t, "eve", s.Status().Halted.By)
	s, _ = live(t, dir, selfheal.Options{})
	time.Sleep(50 * time.Millisecond)
	require.Nil(t, s.Status().Halted)
}

func TestASecondProcessIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j, err := selfheal.OpenJournal(dir)
	require.NoError(t, err)
	defer j.Close()
	_, err = selfheal.OpenJournal(dir)
	require.ErrorContains(t, err, "selfheal: open journal")
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	t.Setenv("STATE_DIRECTORY", "")
	_, err = selfheal.OpenJournal("")
	require.ErrorContains(t, err, "STATE_DIRECTORY")
}

func TestOneJournalIsForOneSupervisor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j, err := selfheal.OpenJournal(dir)
	require.NoError(t, err)
	defer j.Close()
	o := selfheal.Options{Journal: j, Escalate: nobody, Logger: quiet}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, selfheal.New(o).Run(ctx))
	require.ErrorContains(t, selfheal.New(o).Run(ctx), "open it again")
	require.ErrorContains(t, selfheal.New(selfheal.Options{Journal: new(selfheal.Journal), Escalate: nobody, Logger: quiet}).Run(ctx), "OpenJournal")
}

// Limits and halts that may be missing are no reason to act.
func TestADamagedJournalHalts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	s, end := live(t, dir, selfheal.Options{})
	require.NoError(t, s.Halt("eve", "deploy"))
	require.NoError(t, s.Resume("eve"))
	for range 50 {
		_, err := s.Silence(selfheal.Silence{Watch: "x", By: "eve", Reason: "r", Until: time.Now().Add(time.Hour)})
		require.NoError(t, err)
	}
	crashed := image(t, dir)
	end()
	files, err := filepath.Glob(filepath.Join(crashed, "*"))
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		if i := strings.Index(string(b), `"reason":"deploy"`); i > 0 {
			b[i] ^= 0x20
			require.NoError(t, os.WriteFile(f, b, 0o600))
		}
	}
	s, _ = live(t, crashed, selfheal.Options{})
	require.Eventually(t, func() bool { return s.Status().Halted != nil }, 5*time.Second, time.Millisecond)
	require.Equal(t, "selfheal", s.Status().Halted.By)
	require.Contains(t, s.Status().Halted.Reason, "damaged")
}

// The process is replaced once; the next life looks first, and counts.
func TestRecycleIsBoundedByTheJournal(t *testing.T) {
	var is atomic.Bool
	is.Store(true)
	dir := filepath.Join(t.TempDir(), "journal")
	recycles := 0
	for range 5 {
		j, err := selfheal.OpenJournal(dir)
		require.NoError(t, err)
		s := selfheal.New(selfheal.Options{Journal: j, Logger: quiet, Escalate: nobody, Every: 20 * time.Millisecond})
		s.Watch(selfheal.Watch{Name: "leak", Detector: sick(&is), Playbook: remediate.Ladder(remediate.Step{
			Name: "recycle", Run: remediate.Recycle(75), Lasting: true, Settle: 20 * time.Millisecond,
		})})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		err = s.Run(ctx)
		cancel()
		var r *selfheal.RecycleError
		if err != nil {
			require.ErrorAs(t, err, &r)
			require.Equal(t, 75, r.Code)
			recycles++
		}
		require.NoError(t, j.Close())
	}
	require.Equal(t, 1, recycles, "it did not help, so it is not done again")
}

// A person halts while another resumes: whatever comes first, the next life knows of
// the halt that this one has.
func TestAHaltDuringAResumeIsNotForgotten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	s, _ := live(t, dir, selfheal.Options{})
	for n := range 10 {
		require.NoError(t, s.Halt("eve", "deploy"))
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Resume("eve"); err != nil {
				assert.ErrorContains(t, err, "bob halted again meanwhile; it stays halted")
			}
		})
		time.Sleep(time.Duration(n) * 100 * time.Microsecond)
		wg.Go(func() { assert.NoError(t, s.Halt("bob", "wait")) })
		wg.Wait()
		next, end := live(t, image(t, dir), selfheal.Options{})
		time.Sleep(20 * time.Millisecond)
		is, was := next.Status().Halted, s.Status().Halted
		require.Equal(t, was != nil, is != nil)
		if was != nil {
			require.Equal(t, was.By, is.By)
		}
		end()
	}
}
