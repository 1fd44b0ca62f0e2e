package selfhealtest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/selfheal-go/selfheal"
)

// Events returns everything that happened so far, in order. It waits until the
// bubble is idle first.
func (t *Trial) Events() []selfheal.Event {
	t.t.Helper()
	t.idle()
	t.mu.Lock()
	events := slices.Clone(t.events)
	t.mu.Unlock()
	for i, e := range events {
		// The supervisor drops what a slow observer cannot take.
		if e.Meta().Seq != uint64(i+1) {
			t.t.Errorf("selfhealtest: the supervisor dropped events after number %d, which its observer was too slow for: let less happen in one instant", i)
			break
		}
	}
	return events
}

// idle lets everything that is due at this instant happen.
func (t *Trial) idle() {
	// What one instant sets off takes a few virtual nanoseconds.
	time.Sleep(time.Microsecond)
	synctest.Wait()
}

// Timeline returns what a person would have seen so far, a line for each event:
// the time since the start, cut to whole seconds, and what happened. It waits
// until the bubble is idle first, which takes a microsecond of virtual time.
//
// The lines are open, hold, step, would step, undo, ask, page, inform, resolve,
// close, blind and blip. Where more than one incident is told of, each names its
// watch and key. What cannot be printed is escaped.
func (t *Trial) Timeline() string {
	t.t.Helper()
	lines := t.lines()
	return render(lines, named(lines))
}

// Want fails the test unless the timeline is exactly this one, indentation and
// blank lines at its ends apart. "" wants that nothing happened. Incidents of one
// key after each other may be named or not.
func (t *Trial) Want(timeline string) {
	t.t.Helper()
	lines := t.lines()
	want := trim(timeline)
	ways := []string{render(lines, named(lines))}
	if oneName(lines) {
		// Incidents of one key after each other need no names to be told apart.
		ways = append(ways, render(lines, false), render(lines, true))
	}
	if slices.Contains(ways, want) {
		return
	}
	differs := func(got string) string { return diff(split(want), split(got)) }
	nearest := slices.MinFunc(ways, func(a, b string) int { return cmp.Compare(marks(differs(a)), marks(differs(b))) })
	t.t.Errorf("selfhealtest: the timeline differs (- wanted, + seen):\n%s", differs(nearest))
}

type line struct {
	event selfheal.Event
	about selfheal.About
	at    time.Duration // the instant
}

// lines returns what belongs into the timeline. What happens within a microsecond
// is one instant; its lines are ordered by watch, key and sequence.
func (t *Trial) lines() []line {
	t.t.Helper()
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
		text := strings.TrimSpace(oneLine(l.event.Line(named)))
		out[i] = fmt.Sprintf("%v %s", l.at.Truncate(time.Second), text)
	}
	return strings.Join(out, "\n")
}

// oneLine keeps a hostile summary from faking a line, or a terminal.
func oneLine(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRuneToASCII(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

func trim(timeline string) string {
	lines := strings.Split(strings.TrimSpace(timeline), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

// split makes no line out of nothing.
func split(timeline string) []string {
	if timeline == "" {
		return nil
	}
	return strings.Split(timeline, "\n")
}
