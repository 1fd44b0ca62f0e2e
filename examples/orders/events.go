package main

import (
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/remediate"
)

// all are the events of the scene's own watches so far, and of the supervisor.
func (s *stage) all() []selfheal.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.events), func(e selfheal.Event) bool {
		name := e.Meta().Watch
		return name != "selfheal" && !strings.HasPrefix(name, s.scene.watch)
	})
}

func (s *stage) count(is func(selfheal.Event) bool) int {
	n := 0
	for _, e := range s.all() {
		if is(e) {
			n++
		}
	}
	return n
}

func (s *stage) saw(is func(selfheal.Event) bool) bool { return s.count(is) > 0 }

// sawing is saw, to be waited for.
func (s *stage) sawing(is func(selfheal.Event) bool) func() bool {
	return func() bool { return s.saw(is) }
}

// when is the moment of the first such event; zero if there is none.
func (s *stage) when(is func(selfheal.Event) bool) time.Time {
	for _, e := range s.all() {
		if is(e) {
			return e.Meta().Time
		}
	}
	return time.Time{}
}

func tilted(e selfheal.Event) bool { _, ok := e.(selfheal.EventTilt); return ok }
func found(e selfheal.Event) bool  { _, ok := e.(selfheal.EventFound); return ok }
func closed(e selfheal.Event) bool { _, ok := e.(selfheal.EventClose); return ok }
func stormy(e selfheal.Event) bool { _, ok := e.(selfheal.EventStorm); return ok }
func told(e selfheal.Event) bool   { _, ok := e.(selfheal.EventResolve); return ok }

func started(step string) func(selfheal.Event) bool {
	return func(e selfheal.Event) bool { x, ok := e.(selfheal.EventStart); return ok && x.Step == step }
}

func ended(step string, o remediate.Outcome) func(selfheal.Event) bool {
	return func(e selfheal.Event) bool {
		x, ok := e.(selfheal.EventStep)
		return ok && x.Attempt.Outcome == o && (step == "" || x.Attempt.Step == step)
	}
}

func undone(step string) func(selfheal.Event) bool {
	return func(e selfheal.Event) bool {
		x, ok := e.(selfheal.EventUndo)
		return ok && x.Step == step && x.Err == nil
	}
}

func opened(e selfheal.Event) bool {
	x, ok := e.(selfheal.EventOpen)
	return ok && !x.Again
}

func paged(e selfheal.Event) bool   { _, ok := e.(selfheal.EventPage); return ok }
func anyStep(e selfheal.Event) bool { _, ok := e.(selfheal.EventStep); return ok }

func heldBy(r remediate.Rail) func(selfheal.Event) bool {
	return func(e selfheal.Event) bool { x, ok := e.(selfheal.EventHold); return ok && x.Rail == r }
}

// inOrder says whether such events came one after the other, others in between.
func (s *stage) inOrder(want ...func(selfheal.Event) bool) bool {
	for _, e := range s.all() {
		if len(want) > 0 && want[0](e) {
			want = want[1:]
		}
	}
	return len(want) == 0
}
