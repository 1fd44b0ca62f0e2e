package selfhealtest

import (
	"context"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// detectorWakeRules are for detectors that know when to look again.
func detectorWakeRules() []rule[DetectorFixture] {
	return []rule[DetectorFixture]{
		{
			name: "wake",
			must: "a Waker calls wake when there is something new to see: that is what makes it faster than its interval",
			fix:  "call the function of OnWake after the change is in place, outside of any lock",
			check: func(r *report, f DetectorFixture) {
				w, ok := wakerOf(r, f)
				if !ok {
					return
				}
				woken, ok := r.onWake(w)
				if !ok {
					return
				}
				r.look(f.Detector)
				if r.sicken(f) && !heard(woken, r.patience) {
					r.breach("it has not called wake within %v of Sicken", r.patience)
				}
			},
		},
		{
			name: "wake-nil",
			must: "OnWake(nil) says that the run is over: wake is not called any more",
			fix:  "keep the function where OnWake replaces it, and call it only if it is not nil",
			check: func(r *report, f DetectorFixture) {
				w, ok := wakerOf(r, f)
				if !ok {
					return
				}
				woken, ok := r.onWake(w)
				if !ok {
					return
				}
				r.look(f.Detector)
				if !r.call("OnWake(nil)", answerWithin, func(context.Context) { w.OnWake(nil) }) {
					return
				}
				heard(woken, 0)
				if r.sicken(f) && heard(woken, 30*time.Millisecond) {
					r.breach("it called wake after OnWake(nil)")
				}
			},
		},
		{
			name: "wake-again",
			must: "OnWake may be called again: a detector can outlive its supervisor and serve the next",
			fix:  "let each OnWake replace the function of the one before",
			check: func(r *report, f DetectorFixture) {
				w, ok := wakerOf(r, f)
				if !ok {
					return
				}
				first, ok := r.onWake(w)
				if !ok {
					return
				}
				r.look(f.Detector)
				if !r.sicken(f) || !heard(first, r.patience) {
					r.skip("it does not call wake: see rule wake")
					return
				}
				f.Heal()
				r.until(f, seen.well)
				if !r.call("OnWake(nil)", answerWithin, func(context.Context) { w.OnWake(nil) }) {
					return
				}
				second, ok := r.onWake(w)
				if !ok {
					return
				}
				r.look(f.Detector)
				heard(second, 0)
				if r.sicken(f) && !heard(second, r.patience) {
					r.breach("with a second function it has not called it within %v of Sicken", r.patience)
				}
			},
		},
	}
}

func wakerOf(r *report, f DetectorFixture) (detect.Waker, bool) {
	w, ok := f.Detector.(detect.Waker)
	if !ok {
		r.skip("it is no detect.Waker")
	}
	return w, ok
}

// onWake gives the detector a function and returns what it is heard by.
func (r *report) onWake(w detect.Waker) (<-chan struct{}, bool) {
	woken := make(chan struct{}, 1)
	ok := r.call("OnWake", answerWithin, func(context.Context) {
		w.OnWake(func() {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
	})
	return woken, ok
}

// sicken is for fixtures whose Sicken calls the detector, which may panic.
func (r *report) sicken(f DetectorFixture) bool {
	return r.call("Sicken", answerWithin, func(context.Context) { f.Sicken() })
}

// heard says whether wake was called within the time, and forgets it.
func heard(woken <-chan struct{}, within time.Duration) bool {
	if within == 0 {
		select {
		case <-woken:
			return true
		default:
			return false
		}
	}
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-woken:
		return true
	case <-t.C:
		return false
	}
}
