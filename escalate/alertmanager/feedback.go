package alertmanager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
)

// Feedback tells of the silences that people make in Alertmanager on our alerts,
// so that they can count as acknowledgements.
type Feedback struct {
	// Notifier whose Alertmanager is asked. Required.
	Notifier *Notifier
	// On is told of each change, one at a time. An error tells it again after
	// Every. Its context ends after 10 s, or with that of Run; Run waits for it
	// in any case. Required.
	On func(ctx context.Context, c Change) error
	// Every is how often Alertmanager is asked. 0 means 15 s.
	Every time.Duration
}

// A Change is that a silence holds on an alert, with another end or another
// comment than before, or that it holds no more.
type Change struct {
	Silence
	Ended bool
}

// Run asks until ctx ends; then it returns nil. It returns an error at once when a
// field is wrong.
//
// What holds when it begins is told as new, so a restart loses nothing. A silence
// ends when Alertmanager says so: an alert that it does not know after a restart,
// and members that do not answer, end none. Failures are logged to [Config.Log].
func (f Feedback) Run(ctx context.Context) error {
	switch {
	case f.Notifier == nil || f.Notifier.sender == nil:
		return errors.New("alertmanager: Feedback.Notifier is missing: give the notifier whose alerts people silence")
	case f.On == nil:
		return errors.New("alertmanager: Feedback.On is missing: give a function that acknowledges")
	case f.Every < 0:
		return fmt.Errorf("alertmanager: Feedback.Every is %v: use 0 for the default, or a duration", f.Every)
	}
	known := map[[2]string]Silence{}
	for {
		f.round(ctx, known)
		if !deliver.Pause(ctx, cmp.Or(f.Every, 15*time.Second)) {
			return nil
		}
	}
}

func (f Feedback) round(ctx context.Context, known map[[2]string]Silence) {
	present, err := f.Notifier.Silenced(ctx)
	if err != nil {
		if ctx.Err() == nil {
			f.Notifier.warn("it is not known which alerts people have silenced", "error", err)
		}
		return
	}
	here := map[[2]string]bool{}
	for _, s := range present {
		key := [2]string{s.ID, s.DedupKey}
		here[key] = true
		if old, ok := known[key]; ok && old == s {
			continue
		}
		if f.tell(ctx, Change{Silence: s}) {
			known[key] = s
		}
	}
	missing := slices.SortedFunc(maps.Keys(known), func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	asked := map[string]bool{} // whether a silence still holds
	for _, key := range missing {
		if here[key] || ctx.Err() != nil {
			continue
		}
		holds, ok := asked[key[0]]
		if !ok {
			if holds, err = f.Notifier.holds(ctx, key[0]); err != nil {
				f.Notifier.warn("it is not known whether a silence still holds", "error", err)
				holds = true
			}
			asked[key[0]] = holds
		}
		if !holds && f.tell(ctx, Change{Silence: known[key], Ended: true}) {
			delete(known, key)
		}
	}
}

// tell says whether On has it.
func (f Feedback) tell(ctx context.Context, c Change) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			f.Notifier.warn("Feedback.On panicked", "panic", fmt.Sprint(p), "silence", c.ID)
			ok = false
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := f.On(ctx, c); err != nil {
		f.Notifier.warn("a silence could not be passed on; it is tried again", "error", err, "silence", c.ID)
		return false
	}
	return true
}
