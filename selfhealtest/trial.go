package selfhealtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/trial"
)

// A Trial is a real supervisor that runs in the virtual time of a bubble of
// testing/synctest, where time.Sleep is the clock.
type Trial struct {
	t     testing.TB
	s     *selfheal.Supervisor
	pager *Pager
	began time.Time

	mu     sync.Mutex
	events []selfheal.Event
	stop   func()
}

// Start runs a supervisor with the given watches until the test ends. Call it
// inside synctest.Test. A watch without a policy tells [Trial.Pager]. Every watch
// looks at half its interval, so that a change at a whole second never races a
// look.
func Start(t testing.TB, ws ...selfheal.Watch) *Trial {
	t.Helper()
	return StartWith(t, selfheal.Options{}, ws...)
}

// StartWith is [Start] with options. Its own observer gets every event too.
// Unless o has a logger the supervisor logs nothing.
func StartWith(t testing.TB, o selfheal.Options, ws ...selfheal.Watch) *Trial {
	t.Helper()
	tr := &Trial{t: t, pager: &Pager{}}
	if o.Escalate.Empty() {
		o.Escalate = escalate.To(tr.pager)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	theirs := o.Observer
	o.Observer = selfheal.ObserverFunc(func(ctx context.Context, e selfheal.Event) {
		tr.mu.Lock()
		tr.events = append(tr.events, e)
		tr.mu.Unlock()
		if theirs != nil {
			theirs.Observe(ctx, e)
		}
	})
	tr.s = selfheal.New(o)
	tr.s.Watch(ws...)
	if err := tr.s.Validate(); err != nil {
		t.Fatalf("selfhealtest: the watches of this trial are not sound:\n%v", err)
	}
	ctx, cancel := context.WithCancel(trial.With(context.Background()))
	ended := make(chan error, 1)
	tr.began = time.Now()
	go func() { ended <- tr.s.Run(ctx) }()
	tr.stop = sync.OnceFunc(func() {
		cancel()
		err := <-ended
		var recycle *selfheal.RecycleError
		if err != nil && !errors.As(err, &recycle) {
			t.Errorf("selfhealtest: Run returned %v", err)
		}
	})
	t.Cleanup(tr.stop)
	return tr
}

// Supervisor is the one that runs.
func (t *Trial) Supervisor() *selfheal.Supervisor { return t.s }

// Pager is told by the watches that have no policy.
func (t *Trial) Pager() *Pager { return t.pager }

// Stop ends the supervisor before the end of the test, and waits for it.
func (t *Trial) Stop() { t.stop() }

// Events returns everything that happened so far, in order.
func (t *Trial) Events() []selfheal.Event {
	t.idle()
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.events)
}

// idle lets everything that is due at this instant happen.
func (t *Trial) idle() {
	// What one instant sets off takes a few virtual nanoseconds.
	time.Sleep(time.Microsecond)
	synctest.Wait()
}

// Timeline returns what a person would have seen so far, a line for each event:
// the time since the start, cut to whole seconds, and what happened. It waits
// until the bubble is idle first.
//
// The lines are open, hold, step, would step, undo, ask, page, inform, resolve,
// close, blind and blip. Where more than one incident is told of, each names its
// watch and key.
func (t *Trial) Timeline() string {
	lines := t.lines()
	return render(lines, named(lines))
}

// Want fails the test unless the timeline is exactly this one, indentation and
// blank lines at its ends apart.
func (t *Trial) Want(timeline string) {
	t.t.Helper()
	lines := t.lines()
	want := trim(timeline)
	got := render(lines, named(lines))
	if got == want {
		return
	}
	// Incidents of one key after each other need no names to be told apart.
	if oneName(lines) && (render(lines, false) == want || render(lines, true) == want) {
		return
	}
	t.t.Errorf("selfhealtest: the timeline differs (- wanted, + seen):\n%s", diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
}

type line struct {
	event selfheal.Event
	about selfheal.About
	at    time.Duration // the instant
}

// lines returns what belongs into the timeline. What happens within a microsecond
// is one instant; its lines are ordered by watch, key and sequence.
func (t *Trial) lines() []line {
	var lines []line
	for _, e := range t.Events() {
		switch e.(type) {
		case selfheal.EventOpen, selfheal.EventHold, selfheal.EventStep, selfheal.EventWould,
			selfheal.EventUndo, selfheal.EventAsk, selfheal.EventPage, selfheal.EventInform,
			selfheal.EventResolve, selfheal.EventClose, selfheal.EventBlind, selfheal.EventBlip:
			a := e.Meta()
			lines = append(lines, line{e, a, a.Time.Sub(t.began).Truncate(time.Microsecond)})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		return cmp.Or(
			cmp.Compare(a.at, b.at),
			strings.Compare(a.about.Watch, b.about.Watch),
			strings.Compare(a.about.Key, b.about.Key),
			cmp.Compare(a.about.Seq, b.about.Seq),
		)
	})
	return lines
}

// named says whether more than one incident is told of.
func named(lines []line) bool {
	ids := map[string]bool{}
	for _, l := range lines {
		if l.about.Incident != "" {
			ids[l.about.Incident] = true
		}
	}
	return len(ids) > 1 || !oneName(lines)
}

func oneName(lines []line) bool {
	for _, l := range lines {
		if l.about.Name() != lines[0].about.Name() {
			return false
		}
	}
	return true
}

func render(lines []line, named bool) string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = fmt.Sprintf("%v %s", l.at.Truncate(time.Second), oneLine(l.event.Line(named)))
	}
	return strings.Join(out, "\n")
}

// oneLine keeps a hostile summary from faking a line.
func oneLine(s string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(s)
}

func trim(timeline string) string {
	lines := strings.Split(strings.TrimSpace(timeline), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}
