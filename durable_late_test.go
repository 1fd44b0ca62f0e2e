package selfheal_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// A watch that is added while Run is under way, and is well, has nothing to say; what
// an earlier life owes for it is carried out all the same.
func TestAWatchThatIsAddedLateTakesUpItsUndo(t *testing.T) {
	var is atomic.Bool
	is.Store(true)
	var undone atomic.Int32
	taken := make(chan struct{}, 1)
	w := selfheal.Watch{Name: "orders", Detector: sick(&is), KeepFor: 50 * time.Millisecond, Playbook: remediate.Ladder(remediate.Step{
		Name: "shed", Scope: remediate.Host, Risk: remediate.Safe, Settle: time.Hour,
		Run:  do(func() { taken <- struct{}{} }),
		Undo: do(func() { undone.Add(1) }),
	})}
	dir := filepath.Join(t.TempDir(), "journal")
	_, _ = live(t, dir, selfheal.Options{}, w)
	<-taken
	crashed := image(t, dir)
	is.Store(false)
	s, _ := live(t, crashed, selfheal.Options{})
	time.Sleep(100 * time.Millisecond)
	s.Watch(w)
	require.Eventually(t, func() bool { return undone.Load() == 1 && len(s.Status().Watches[0].Incidents) == 0 }, 20*time.Second, 10*time.Millisecond)
}

// A record has a largest size. What an application says must not decide whether there
// is one: a step runs, and people are told, however long the texts are.
func TestALongTextDoesNotKeepAStepFromRunning(t *testing.T) {
	var told notices
	var second atomic.Int32
	long := strings.Repeat("all work and no play\n", 15_000)
	labels := map[string]string{}
	for n := range 100 {
		labels[strconv.Itoa(n)] = long
	}
	w := selfheal.Watch{
		Name: "orders",
		Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
			return []detect.Finding{{Summary: long, Labels: labels, Evidence: []slog.Attr{slog.String("all", long), slog.Any("err", errors.New(long))}}}, nil
		}),
		Playbook: remediate.Ladder(
			remediate.Step{Name: "one", Risk: remediate.Safe, Run: func(context.Context, remediate.Request) error { return errors.New(long) }},
			remediate.Step{Name: "two", Risk: remediate.Safe, Run: do(func() { second.Add(1) }), Settle: time.Millisecond},
		),
	}
	_, _ = live(t, filepath.Join(t.TempDir(), "journal"), selfheal.Options{Escalate: escalate.To(escalate.Named("pager", &told))}, w)
	require.Eventually(t, func() bool { return second.Load() == 1 && len(told.kind(escalate.Trigger)) == 1 }, 20*time.Second, 10*time.Millisecond)
	in := told.kind(escalate.Trigger)[0].Incident
	require.Less(t, len(in.Finding.Summary), 5000)
	require.Regexp(t, `all.* … \(cut\)$`, in.Finding.Summary)
	require.LessOrEqual(t, len(in.Finding.Labels), 64)
	require.Less(t, len(in.Attempts[0].Err.Error()), 5000)
}

// An acknowledgement that the disk does not take is in force all the same.
func TestAnAckStopsCallsAlsoWhereTheJournalIsIll(t *testing.T) {
	var told notices
	w := useless("orders", remediate.Safe)
	w.Playbook = remediate.Playbook{}
	policy := escalate.To(escalate.Named("pager", &told))
	policy.Repeat = 300 * time.Millisecond
	j, err := selfheal.OpenJournal(filepath.Join(t.TempDir(), "journal"))
	require.NoError(t, err)
	s := selfheal.New(selfheal.Options{Journal: j, Logger: quiet, Every: 20 * time.Millisecond, Escalate: policy})
	s.Watch(w)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); <-done }()
	require.Eventually(t, func() bool { return len(told.kind(escalate.Trigger)) > 0 }, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, j.Close())
	require.ErrorIs(t, s.Ack(told.kind(escalate.Trigger)[0].Incident.ID, "ada", time.Time{}), selfheal.ErrNotDurable)
	time.Sleep(500 * time.Millisecond) // what was under way
	before := len(told.all)
	time.Sleep(1500 * time.Millisecond)
	require.Equal(t, before, len(told.all))
}

// patient is a log that panics or hangs where it is told that evidence is missing.
type patient struct {
	slog.Handler
	do func()
}

func (p patient) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "evidence missing") {
		p.do()
	}
	return p.Handler.Handle(ctx, r)
}

func TestALogThatIsIllDelaysNoStep(t *testing.T) {
	for name, ill := range map[string]func(){"panics": func() { panic("disk") }, "hangs": func() { time.Sleep(15 * time.Second) }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				log := slog.New(patient{slog.NewTextHandler(&out, nil), ill})
				s := selfheal.New(selfheal.Options{Logger: log, Escalate: nobody, Evidence: evidence.Options{Off: true}})
				w := useless("queue", remediate.Safe)
				w.Evidence = []escalate.Gatherer{escalate.GathererFunc(func(context.Context, escalate.Incident) ([]escalate.Evidence, error) {
					return nil, errors.New("no luck")
				})}
				var ran atomic.Int32
				w.Playbook.Steps[0].Run = do(func() { ran.Add(1) })
				s.Watch(w)
				begun(t, s)
				time.Sleep(3 * time.Second)
				require.EqualValues(t, 1, ran.Load())
				time.Sleep(time.Minute)
			})
		})
	}
}

func TestEvidenceGoesOnWhereItsDirectoryWasDeleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "evidence")
	store, err := evidence.OpenStore(evidence.StoreOptions{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(dir))
	found, err := evidence.Default(evidence.Options{Store: store, Time: time.Minute}).Gather(t.Context(), escalate.Incident{ID: "inc-1"})
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Len(t, kept(t, store), 1)
}
