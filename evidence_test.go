package selfheal_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/evidence"
	"github.com/selfheal-go/selfheal/remediate"
)

// notices keeps what people got.
type notices struct {
	mu  sync.Mutex
	all []escalate.Notification
}

func (n *notices) Notify(_ context.Context, x escalate.Notification) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, x)
	return nil
}

func (n *notices) kind(k escalate.Kind) []escalate.Notification {
	n.mu.Lock()
	defer n.mu.Unlock()
	var found []escalate.Notification
	for _, x := range n.all {
		if x.Kind == k {
			found = append(found, x)
		}
	}
	return found
}

// begun runs a supervisor until the bubble ends.
func begun(t *testing.T, s *selfheal.Supervisor) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	synctest.Wait()
}

// useless tries a step that changes nothing.
func useless(name string, risk remediate.Risk) selfheal.Watch {
	return selfheal.Watch{
		Name: name, Detector: detect.Above(func(context.Context) (int, error) { return 9, nil }, 5),
		Playbook: remediate.Playbook{Steps: []remediate.Step{{
			Name: "try", Risk: risk, Lasting: true, Settle: time.Second,
			Run: func(context.Context, remediate.Request) error { return nil },
		}}},
	}
}

func TestWhoIsCalledFindsTheDiagnosisDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told notices
		s := selfheal.New(selfheal.Options{
			Logger: quiet, Escalate: escalate.To(&told),
			Console: selfheal.ConsoleOptions{Authorize: func(*http.Request, selfheal.Control) (string, error) { return "ada", nil }},
		})
		s.Watch(useless("queue", remediate.Safe))
		begun(t, s)
		time.Sleep(time.Minute)
		synctest.Wait()

		pages := told.kind(escalate.Trigger)
		require.Len(t, pages, 1)
		in := pages[0].Incident
		require.Len(t, in.Evidence, 1)
		require.True(t, in.Evidence[0].At.Before(in.Attempts[0].Started) || in.Evidence[0].At.Equal(in.Attempts[0].Started), "before the step")

		get := httptest.NewRequest("GET", "http://127.0.0.1/evidence?"+url.Values{"incident": {in.ID}, "ref": {in.Evidence[0].Ref}}.Encode(), nil)
		got := httptest.NewRecorder()
		s.Handler().ServeHTTP(got, get)
		require.Equal(t, http.StatusOK, got.Code, got.Body.String())
		bundle, err := zip.NewReader(bytes.NewReader(got.Body.Bytes()), int64(got.Body.Len()))
		require.NoError(t, err)
		var files []string
		for _, f := range bundle.File {
			files = append(files, f.Name)
		}
		require.Subset(t, files, []string{"manifest.json", "incident.json", "metrics.txt", "goroutine.pb.gz", "goroutines.txt", "heap.pb.gz"})
	})
}

// Hundreds of keys that fall ill together have one picture of the process; what
// comes later has its own, and so has whatever interrupts.
func TestIncidentsOfAMomentShareTheirEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := evidence.OpenStore(evidence.StoreOptions{})
		require.NoError(t, err)
		s := selfheal.New(selfheal.Options{Logger: quiet, Escalate: nobody, Evidence: evidence.Options{Store: store}})
		box := detect.NewMailbox()
		s.Watch(selfheal.Watch{
			Name: "shards", Detector: box, KeepFor: -1,
			Playbook: remediate.Playbook{Limits: endless, Steps: []remediate.Step{{
				Name: "fix", Risk: remediate.Safe, Run: func(_ context.Context, r remediate.Request) error { box.Clear(r.Finding.Key); return nil },
			}}},
		})
		begun(t, s)
		report := func(n int) {
			for i := range n {
				box.Report(detect.Finding{Key: fmt.Sprint(i), Summary: "ill"})
			}
			time.Sleep(5 * time.Second)
		}
		report(20)
		require.Len(t, kept(t, store), 1)
		time.Sleep(30 * time.Second)
		report(5)
		require.Len(t, kept(t, store), 2)

		s.Watch(useless("a", remediate.Disruptive), useless("b", remediate.Disruptive))
		time.Sleep(time.Minute)
		require.GreaterOrEqual(t, len(kept(t, store)), 4, "one for each step that interrupts")
	})
}

func kept(t *testing.T, s *evidence.Store) []evidence.Info {
	t.Helper()
	all, err := s.List()
	require.NoError(t, err)
	return all
}

var endless = remediate.Limits{Cooldown: -1, Breaker: remediate.Breaker{Failures: -1}, Heals: remediate.Heals{N: -1}}

// A page that no step came before does not wait, but its incident has evidence.
func TestAPageWithoutAStepHasEvidenceToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told notices
		s := selfheal.New(selfheal.Options{Logger: quiet, Escalate: escalate.To(&told)})
		w := useless("queue", remediate.Safe)
		w.Playbook = remediate.Playbook{}
		s.Watch(w)
		begun(t, s)
		time.Sleep(time.Minute)
		require.Len(t, told.kind(escalate.Trigger), 1)
		in := s.Status().Watches[0].Incidents[0]
		require.Len(t, in.Incident.Evidence, 1)
	})
}

// Who is to say yes or no sees what they decide on.
func TestAnApproverSeesEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := selfheal.New(selfheal.Options{Logger: quiet, Escalate: nobody})
		w := useless("queue", remediate.Disruptive)
		w.Mode = selfheal.Propose
		s.Watch(w)
		begun(t, s)
		time.Sleep(time.Minute)
		st := s.Status()
		require.Len(t, st.Proposals, 1)
		require.Len(t, st.Watches[0].Incidents[0].Incident.Evidence, 1)
	})
}

func TestEvidenceIsOffWhereItIsSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told notices
		var theirs atomic.Int32
		s := selfheal.New(selfheal.Options{Logger: quiet, Escalate: escalate.To(&told), Evidence: evidence.Options{Off: true}})
		w := useless("queue", remediate.Safe)
		w.Evidence = []escalate.Gatherer{escalate.GathererFunc(func(context.Context, escalate.Incident) ([]escalate.Evidence, error) {
			theirs.Add(1)
			return nil, nil
		})}
		s.Watch(w, useless("other", remediate.Safe))
		begun(t, s)
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, theirs.Load(), "what the watch asks for")
		for _, n := range told.kind(escalate.Trigger) {
			require.Empty(t, n.Incident.Evidence)
		}
	})
}

// What the supervisor captures leaves time for what the watch asks for, and a
// gatherer that hangs delays the step by its budget alone.
func TestEvidenceDelaysAStepByItsBudgetAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := evidence.OpenStore(evidence.StoreOptions{})
		require.NoError(t, err)
		var left, ran time.Duration
		began := time.Now()
		s := selfheal.New(selfheal.Options{Logger: quiet, Escalate: nobody, Evidence: evidence.Options{Store: store}})
		w := useless("queue", remediate.Safe)
		w.Evidence = []escalate.Gatherer{escalate.GathererFunc(func(ctx context.Context, _ escalate.Incident) ([]escalate.Evidence, error) {
			end, _ := ctx.Deadline()
			left = time.Until(end)
			<-ctx.Done()
			return nil, ctx.Err()
		})}
		w.Playbook.Steps[0].Run = func(context.Context, remediate.Request) error { ran = time.Since(began); return nil }
		s.Watch(w)
		begun(t, s)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.GreaterOrEqual(t, left, 800*time.Millisecond)
		require.LessOrEqual(t, ran, 5*time.Second)
	})
}

// Beside a journal it outlives the process, readable by its owner alone.
func TestEvidenceLiesBesideTheJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	_, end := live(t, dir, selfheal.Options{}, useless("queue", remediate.Safe))
	var found []os.DirEntry
	require.Eventually(t, func() bool {
		found, _ = os.ReadDir(dir + "-evidence")
		return len(found) > 0
	}, 20*time.Second, 10*time.Millisecond)
	end()
	info, err := os.Stat(dir + "-evidence")
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	store, err := evidence.OpenStore(evidence.StoreOptions{Dir: dir + "-evidence"})
	require.NoError(t, err)
	require.NotEmpty(t, kept(t, store))
}

func TestAMistakeInTheEvidenceIsNamed(t *testing.T) {
	s := selfheal.New(selfheal.Options{Escalate: nobody, Evidence: evidence.Options{Disable: []string{"heap"}}})
	require.ErrorContains(t, s.Validate(), `Options.Evidence: evidence: Options.Disable names "heap"`)
}

type badGatherer struct{ escalate.Gatherer }

func (badGatherer) Validate() error { panic("boom") }

func TestAGathererWhoseValidatePanicsIsAMistakeLikeAnother(t *testing.T) {
	w := useless("queue", remediate.Safe)
	w.Evidence = []escalate.Gatherer{badGatherer{}}
	s := selfheal.New(selfheal.Options{Escalate: nobody})
	s.Watch(w)
	require.ErrorContains(t, s.Validate(), "Evidence[0]: its Validate panicked: boom")
}
