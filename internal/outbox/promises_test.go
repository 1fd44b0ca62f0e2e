package outbox

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

func (w *world) step(in Input) {
	w.t.Helper()
	w.inputs++
	from := len(w.log)
	w.log = w.m.Step(w.now, in, w.log)
	w.story = append(w.story, line{w.now, in})
	for _, e := range w.log[from:] {
		w.story = append(w.story, line{w.now, e})
	}
	// What a muted or acknowledged key may say depends on the state before the
	// input, because timers that are due come first.
	switch in := in.(type) {
	case Ack:
		defer func() {
			if f := w.fault(in.DedupKey); len(f.people) > 0 && in.For >= 0 {
				f.acked, f.until = true, 0
				if in.For > 0 {
					f.until = w.now + in.For
				}
			}
		}()
	case Mute:
		defer func() {
			if w.m.entries[in.DedupKey] != nil && !w.m.entries[in.DedupKey].closed {
				w.fault(in.DedupKey).muted = true
			}
		}()
	case Unmute:
		w.fault(in.DedupKey).muted = false
	case Escalate:
		f := w.fault(in.Notification.DedupKey)
		if in.Muted && len(f.people) == 0 && len(f.informed) == 0 && !f.muted {
			if e := w.m.entries[in.Notification.DedupKey]; e != nil {
				f.muted = e.muted
			}
		}
	}
	for _, e := range w.log[from:] {
		w.check(in, e)
	}
	for key, f := range w.keys {
		e := w.m.entries[key]
		if e == nil || e.closed {
			f.acked, f.muted = false, false
		}
		if e == nil {
			clear(f.open) // forgotten, after a resolve that may have been undeliverable
		}
		if f.acked && f.until > 0 && w.now >= f.until {
			w.fail("%s: the acknowledgement until %v did not run out", key, f.until)
		}
		if got, people := w.m.Told(key), len(f.people) > 0; got && !people {
			w.fail("%s: Told, but nobody was", key)
		}
	}
	if w.handed != w.ended+w.m.Owed() {
		w.fail("%d handed, but %d ended and %d owed", w.handed, w.ended, w.m.Owed())
	}
	if at, ok := w.m.Next(); ok && at <= w.now {
		w.fail("next tick at %v is not in the future", at)
	}
	if n := len(w.m.entries); n > 3 {
		w.fail("%d entries", n)
	}
	for _, e := range w.m.entries {
		for _, l := range e.lanes {
			if len(l.queue) > 7 {
				w.fail("%d wait in the lane of %s to %s", len(l.queue), e.key, l.target.name)
			}
			if l.next != nil && (len(l.queue) == 0 || l.target.flight == l) {
				w.fail("the lane of %s to %s waits for nothing", e.key, l.target.name)
			}
			if l.next == nil && len(l.queue) > 0 && l.target.flight != l && l.timer.place == 0 {
				w.fail("the lane of %s to %s is forgotten", e.key, l.target.name)
			}
		}
	}
}

func (w *world) check(in Input, e Effect) {
	w.t.Helper()
	switch e := e.(type) {
	case Told:
		w.handed += len(e.Targets)
		w.told(in, e)
	case Send:
		if _, busy := w.calls[e.Target]; busy || w.stuck[e.Target] {
			w.fail("%s is called twice at once", e.Target)
		}
		w.calls[e.Target] = e
		lane := e.Notification.DedupKey + ">" + e.Target
		seq, _ := strconv.Atoi(e.ID)
		if seq < w.lastSeq[lane] {
			w.fail("%s: %s after %d", lane, e.ID, w.lastSeq[lane])
		}
		w.lastSeq[lane] = seq
		was, again := w.first[e.ID]
		switch {
		case e.ID != e.Notification.ID:
			w.fail("id %s of a notification %s", e.ID, e.Notification.ID)
		case !again && e.Try != 1, again && e.Try != was.Try+1:
			w.fail("try %d of %s after %d", e.Try, e.ID, was.Try)
		case again && (!reflect.DeepEqual(was.Notification, e.Notification) || was.Target != e.Target):
			w.fail("%s changed from try to try", e.ID)
		}
		w.first[e.ID] = e
		if n := e.Notification; n.Kind == escalate.Resolve && e.Try == 1 && n.BeganAndEnded == w.fault(n.DedupKey).open[e.Target] {
			w.fail("%s: began and ended is %v, but it was reached: %v", lane, n.BeganAndEnded, !n.BeganAndEnded)
		}
	case Delivered:
		w.ended++
	case Superseded:
		w.ended++
	case Undeliverable:
		if e.Target == "" {
			return
		}
		w.ended++
		if w.stopped != errors.Is(e.Why, ErrStopped) || !w.stopped && e.Age < scriptAge {
			w.fail("given up after %v: %v", e.Age, e.Why)
		}
	case Reopened:
		f := w.fault(e.DedupKey)
		if !f.acked || f.until == 0 || w.now < f.until {
			w.fail("%s reopened, acknowledged %v until %v", e.DedupKey, f.acked, f.until)
		}
		f.acked = false
	}
}

func (w *world) told(in Input, e Told) {
	w.t.Helper()
	f := w.fault(e.DedupKey)
	_, escalates := in.(Escalate)
	_, unmutes := in.(Unmute)
	switch {
	case e.Kind == escalate.Resolve && e.People():
		w.same(e, f.people)
		f.informed = minus(f.informed, f.people)
		f.people = map[string]bool{}
	case e.Kind == escalate.Resolve:
		if _, alone := in.(Inform); alone {
			for _, name := range e.Targets {
				if f.people[name] {
					w.fail("%s: %s was called and gets the resolve of informed targets", e.DedupKey, name)
				}
				delete(f.informed, name)
			}
			return
		}
		w.same(e, minus(f.informed, f.people))
		f.informed = map[string]bool{}
	case e.People():
		if f.muted {
			w.fail("%s: told while muted: %+v", e.DedupKey, e)
		}
		for _, name := range e.Targets {
			if f.acked && !f.people[name] && e.Kind != escalate.Ask {
				w.fail("%s: %s is called first while acknowledged", e.DedupKey, name)
			}
		}
		if f.acked && !escalates && !unmutes {
			w.fail("%s: told while acknowledged: %+v", e.DedupKey, e)
		}
		for _, name := range e.Targets {
			f.people[name] = true
		}
	default:
		for _, name := range e.Targets {
			f.informed[name] = true
		}
	}
}

func (w *world) same(e Told, want map[string]bool) {
	w.t.Helper()
	got := slices.Sorted(slices.Values(e.Targets))
	var names []string
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Equal(got, names) {
		w.fail("%s: resolve to %v, but %v were told", e.DedupKey, got, names)
	}
}

// A line is an input or an effect, for the report of a failure.
type line struct {
	at   time.Duration
	what any
}

var incidentText = regexp.MustCompile(`Incident:\{[^{}]*\{[^{}]*\}[^{}]*\} ?`)

func (l line) String() string {
	s := fmt.Sprintf("%v %T %+v", l.at, l.what, l.what)
	if _, effect := l.what.(Effect); effect {
		s = "    " + s
	}
	return incidentText.ReplaceAllString(s, "")
}

func minus(a, b map[string]bool) map[string]bool {
	c := map[string]bool{}
	for name := range a {
		if !b[name] {
			c[name] = true
		}
	}
	return c
}
