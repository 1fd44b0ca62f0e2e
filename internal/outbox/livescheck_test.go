package outbox

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

func (l *lives) sent(s Send) {
	l.t.Helper()
	if _, busy := l.calls[s.Target]; busy || l.stuck[s.Target] {
		l.fail("%s is called twice at once", s.Target)
	}
	if l.now < l.until[s.Target] {
		l.fail("%s is called before %v", s.Target, l.until[s.Target])
	}
	n := s.Notification
	if was := l.text[s.ID]; was != "" && was != text(n) {
		l.fail("%s changed from try to try:\n%s\n%s", s.ID, was, text(n))
	}
	l.text[s.ID] = text(n)
	if s.Target == "rated" {
		l.rated = append(l.rated, l.now)
		if n := len(l.rated); n > livesRate.N && l.rated[n-1-livesRate.N] > l.rated[n-1]-livesRate.Per {
			l.fail("more than %d calls within %v", livesRate.N, livesRate.Per)
		}
	}
	if n.Kind == escalate.Resolve && n.BeganAndEnded && l.life == 1 && l.open[s.Target+"/"+n.DedupKey] {
		l.fail("%s has %s, and is told that it never had", s.Target, n.DedupKey)
	}
	l.calls[s.Target] = s
}

// text is what a notification says, but for when it is over in another life.
func text(n escalate.Notification) string {
	n.Links = nil
	b, _ := json.Marshal(n)
	return string(b)
}

// restart ends a life in the middle of things. Half of the calls under way had
// reached their provider all the same.
func (l *lives) restart() {
	l.story = append(l.story, line{l.now, "dies"})
	for i, target := range slices.Sorted(maps.Keys(l.calls)) {
		if i%2 == 0 {
			l.has(l.calls[target])
		}
	}
	clear(l.calls)
	clear(l.stuck)
	clear(l.until)
	l.rated = nil // a life does not know what an earlier one called
	l.handed, l.ended = 0, 0
	l.now += time.Duration(l.next()) * time.Second
	l.machine()
	l.m.Clock(0, l.epoch.Add(l.now))
	out := l.m.Restore(0, l.kept(), nil)
	l.take(out, -1)
	l.handed, l.ended = l.m.Owed(), 0
	l.check()
}

// has is what a provider takes in.
func (l *lives) has(s Send) {
	n := s.Notification
	if n.Test {
		return
	}
	key := s.Target + "/" + n.DedupKey
	if n.Kind == escalate.Resolve {
		delete(l.open, key)
		delete(l.first, key)
		return
	}
	if n.Kind == escalate.Trigger && n.Repeat == 0 {
		if was := l.first[key]; was != "" && was != n.ID && l.open[key] {
			l.fail("%s has the first call for %s as %s and as %s", s.Target, n.DedupKey, was, n.ID)
		}
		l.first[key] = n.ID
	}
	l.open[key] = true
}

func (l *lives) check() {
	l.t.Helper()
	if l.handed != l.ended+l.m.Owed() {
		l.fail("%d handed, but %d ended and %d owed", l.handed, l.ended, l.m.Owed())
	}
	if l.steps++; l.steps%17 != 0 {
		return
	}
	state := map[string]Record{}
	for _, r := range l.log {
		if state[r.Key] = r; r.Entry == nil {
			delete(state, r.Key)
		}
	}
	now := l.m.Records()
	if len(now) != len(state) {
		l.fail("%d entries, but %d in the log", len(now), len(state))
	}
	for _, r := range now {
		want, _ := json.Marshal(r)
		got, _ := json.Marshal(state[r.Key])
		if string(want) != string(got) {
			l.fail("%s is not as recorded:\n%s\n%s", r.Key, want, got)
		}
	}
	if at, ok := l.m.Next(); ok && at <= l.now-l.born && len(l.calls) == 0 && l.life == 1 {
		l.fail("next tick at %v is not in the future", at)
	}
	for _, e := range l.m.entries {
		for _, lane := range e.lanes {
			t := lane.target
			if len(lane.queue) > 8 {
				l.fail("%d wait in the lane of %s to %s", len(lane.queue), e.key, t.name)
			}
			if lane.next == nil && len(lane.queue) > 0 && t.flight != lane && lane.timer.place == 0 {
				l.fail("the lane of %s to %s is forgotten", e.key, t.name)
			}
		}
	}
}
