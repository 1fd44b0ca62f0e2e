package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// line is a line of a timeline, in the grammar of the design.
type line struct {
	at         At
	watch, key string
	verb, rest string
	open       bool // names watch and key as it is
}

func (w *world) line(ev *Event) {
	l := line{at: ev.At, watch: ev.Watch, key: ev.Key}
	switch ev.Kind {
	case EvOpen:
		l.verb, l.rest, l.open = "open", name(ev.Watch, ev.Key)+": "+ev.Finding.Summary, true
	case EvHold:
		l.verb, l.rest = "hold", fmt.Sprintf("%s: %s", ev.Step, ev.Rail)
	case EvStep:
		l.verb, l.rest = "step", fmt.Sprintf("%s: %v", ev.Step, ev.Attempt.Outcome)
	case EvWould:
		l.verb, l.rest = "would step", ev.Step
	case EvUndo:
		l.verb, l.rest = "undo", ev.Step
		if ev.Err != nil {
			l.rest += ": failed"
		}
	case EvAsk:
		l.verb, l.rest = "ask", ev.Step
	case EvPage:
		l.verb, l.rest = "page", string(ev.Reason)
	case EvInform:
		l.verb = "inform"
	case EvResolve:
		l.verb = "resolve"
	case EvClose:
		l.verb = "close"
	case EvBlind:
		l.verb, l.rest = "blind:", ev.Err.Error()
	case EvBlip:
		l.verb = "blip"
	default:
		return
	}
	w.lines = append(w.lines, l)
}

// timeline prints the lines, with names where there is more than one incident.
func (w *world) timeline() string {
	names := map[string]bool{}
	for _, l := range w.lines {
		names[name(l.watch, l.key)] = true
	}
	slices.SortStableFunc(w.lines, func(a, b line) int {
		if c := cmp.Compare(a.at, b.at); c != 0 {
			return c
		}
		if c := strings.Compare(a.watch, b.watch); c != 0 {
			return c
		}
		return strings.Compare(a.key, b.key)
	})
	var b strings.Builder
	for _, l := range w.lines {
		parts := []string{l.at.Truncate(time.Second).String(), l.verb}
		if len(names) > 1 && !l.open {
			parts = append(parts, name(l.watch, l.key))
		}
		if l.rest != "" {
			parts = append(parts, l.rest)
		}
		b.WriteString(strings.Join(parts, " ") + "\n")
	}
	return b.String()
}

// want compares the timeline, indentation ignored, and that nothing was broken.
func (w *world) want(t *testing.T, timeline string) {
	t.Helper()
	require.Equal(t, strings.Join(linesOf(timeline), "\n"), strings.TrimSpace(w.timeline()))
	require.Empty(t, w.failed, w.monitor.detail)
}

func linesOf(timeline string) []string {
	var lines []string
	for l := range strings.Lines(timeline) {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return lines
}

// staged is a world of one watch whose timeline is kept.
func staged(o Options, cfgs ...Watch) (*world, []*watched) {
	w := newWorld(o)
	w.keep = true
	var out []*watched
	for _, c := range cfgs {
		out = append(out, w.add(stage(c)))
	}
	return w, out
}

func stage(c Watch) Watch {
	if c.Every == 0 {
		c.Every = time.Second
	}
	c.Pages = true
	return c
}

// tell prints a decision so that any difference between two shows.
func tell(at At, d *Decision) string {
	n := ""
	if d.Notice != nil {
		n = fmt.Sprintf("%+v", *d.Notice)
	}
	c := *d
	c.Notice, c.Snapshot = nil, nil
	return fmt.Sprintf("%v %+v %s\n", at, c, n)
}
