package selfhealtest

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// detectorBlindRules are about a detector that cannot tell.
func detectorBlindRules() []rule[DetectorFixture] {
	return []rule[DetectorFixture]{
		{
			name: "blind",
			must: "a detector that cannot tell returns an error: that is blind, neither healthy nor sick",
			fix:  "return the error of the read; do not swallow it, and do not panic",
			check: func(r *report, f DetectorFixture) {
				if s, ok := r.blinded(f, true); ok && s.err == nil {
					r.breach("%s it returned %v, and no error", f.after("Break"), s)
				}
			},
		},
		{
			name: "blind-opens-nothing",
			must: "not being able to tell is no finding: nothing is opened, and nothing acted on, because a read failed",
			fix:  "return the error alone; findings beside it are believed",
			check: func(r *report, f DetectorFixture) {
				if s, ok := r.blindedQuietly(f, true); ok && len(s.findings) > 0 {
					r.breach("it was well before Break, and returned %v", s)
				}
			},
		},
		{
			name: "blind-heals-nothing",
			must: "not being able to tell heals nothing: nil, nil would close the incident",
			fix:  "return the error of the read, whatever was found before",
			check: func(r *report, f DetectorFixture) {
				if s, ok := r.blindedQuietly(f, false); ok && s.well() {
					r.breach("it was sick before Break, and returned %v", s)
				}
			},
		},
	}
}

// blinded is what the detector says after Break, of a fixture that was well or
// sick before.
func (r *report) blinded(f DetectorFixture, well bool) (s seen, ok bool) {
	if f.Break == nil {
		r.skip("the fixture has no Break")
		return seen{}, false
	}
	if !well {
		if _, ok := r.sick(f); !ok {
			return seen{}, false
		}
	}
	f.Break()
	return r.until(f, func(s seen) bool { return s.err != nil })
}

// blindedQuietly is blinded for rules that leave a look which does not return to
// the rule blind.
func (r *report) blindedQuietly(f DetectorFixture, well bool) (seen, bool) {
	before := len(r.breaches)
	s, ok := r.blinded(f, well)
	if len(r.breaches) > before {
		r.breaches = r.breaches[:before]
		r.skip("a look does not return: see rule blind")
	}
	return s, ok
}

// detectorCallRules are about how a look behaves as a call.
func detectorCallRules() []rule[DetectorFixture] {
	return []rule[DetectorFixture]{
		{
			name: "cancelled",
			must: "a look whose context is over returns soon, finds nothing because of that, and leaves nothing behind for the next",
			fix:  "pass ctx on to whatever blocks; return ctx.Err() when it ended",
			check: func(r *report, f DetectorFixture) {
				var s seen
				ok := r.call("Detect with a cancelled context", r.patience, func(ctx context.Context) {
					ctx, cancel := context.WithCancel(ctx)
					cancel()
					s = look(ctx, f.Detector)
				})
				if !ok {
					return
				}
				if len(s.findings) > 0 {
					r.breach("nothing is wrong, and with a cancelled context it returned %v", s)
				}
				if s, ok := r.look(f.Detector); ok && !s.well() {
					r.breach("nothing is wrong, and the look after a cancelled one returned %v", s)
				}
			},
		},
		{
			name: "cancel-midway",
			must: "a look that is cancelled while it waits returns soon, with an error: it cannot tell",
			fix:  "pass ctx on to whatever blocks, and return its error",
			check: func(r *report, f DetectorFixture) {
				if f.Hang == nil {
					r.skip("the fixture has no Hang")
					return
				}
				f.Hang()
				var s seen
				cancelled := make(chan context.CancelFunc, 1)
				ended := r.start(func(ctx context.Context) {
					ctx, cancel := context.WithCancel(ctx)
					cancelled <- cancel
					s = look(ctx, f.Detector)
				})
				cancel := <-cancelled
				time.Sleep(20 * time.Millisecond)
				cancel()
				if !r.ended("Detect, cancelled midway,", ended, r.patience) {
					return
				}
				if s.err == nil {
					r.breach("what it reads did not answer, the look was cancelled, and it returned %v", s)
				}
			},
		},
		{
			name: "deadline",
			must: "a look whose time is over returns soon, and does not say that all is well",
			fix:  "pass ctx on to whatever blocks; return its error, or a finding where the silence is the fault",
			check: func(r *report, f DetectorFixture) {
				if f.Hang == nil {
					r.skip("the fixture has no Hang")
					return
				}
				f.Hang()
				const after = 20 * time.Millisecond
				var s seen
				ok := r.call("Detect with a deadline", after+r.patience, func(ctx context.Context) {
					ctx, cancel := context.WithTimeout(ctx, after)
					defer cancel()
					s = look(ctx, f.Detector)
				})
				if ok && s.well() {
					r.breach("what it reads did not answer in time, and it returned %v", s)
				}
			},
		},
		{
			name: "concurrent",
			must: "looks may overlap: a supervisor looks from any goroutine, and a composite or a status page may look beside it",
			fix:  "guard what looks share, and hold no lock while you call other code; -race shows where",
			check: func(r *report, f DetectorFixture) {
				if s, ok := r.look(f.Detector); !ok || !s.well() {
					return // rule healthy says so
				}
				if _, ok := r.together(f, seen.well, "nothing is wrong"); !ok {
					return
				}
				s, ok := r.sick(f)
				if !ok {
					return
				}
				if next, ok := r.look(f.Detector); !ok || next.err != nil || !slices.Equal(next.keys(), s.keys()) {
					return // the rules about levels and keys say so
				}
				same := func(o seen) bool { return o.err == nil && slices.Equal(o.keys(), s.keys()) }
				r.together(f, same, "one look alone returned "+s.String())
			},
		},
		{
			name: "no-leak",
			must: "a look leaves no goroutine behind, one that was stopped neither",
			fix:  "wait for what the look starts, and let ctx end it",
			check: func(r *report, f DetectorFixture) {
				r.leaks("looks", func(int) bool { _, ok := r.look(f.Detector); return ok })
				if f.Hang == nil || len(r.breaches) > 0 {
					return
				}
				f.Hang()
				r.leaks("looks that were stopped", func(int) bool {
					return r.try(r.patience, func(ctx context.Context) { // rule deadline says it if that is late
						ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
						defer cancel()
						look(ctx, f.Detector)
					}).String() == ""
				})
			},
		},
		{
			name: "allocs",
			must: "a look that finds nothing allocates nothing: it runs every second for the life of the service",
			fix:  "reuse buffers and build texts only for findings; where that cannot be, set AllowAllocs",
			check: func(r *report, f DetectorFixture) {
				if f.AllowAllocs {
					r.skip("the fixture says AllowAllocs")
					return
				}
				var n uint64
				ok := r.call("Detect, again and again,", answerWithin, func(ctx context.Context) { n = allocs(ctx, f.Detector) })
				if ok && n > 0 {
					r.breach("a look that finds nothing allocates %d times", n)
				}
			},
		},
	}
}

// together looks from many goroutines at once and reports an answer that is not
// as it should be.
func (r *report) together(f DetectorFixture, right func(seen) bool, why string) (seen, bool) {
	const goroutines, looks = 8, 25
	var mu sync.Mutex
	var wrong *seen
	begin := make(chan struct{})
	var calls []<-chan end
	for range goroutines {
		calls = append(calls, r.start(func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, answerWithin)
			defer cancel()
			<-begin
			for range looks {
				if s := look(ctx, f.Detector); !right(s) {
					mu.Lock()
					wrong = &s
					mu.Unlock()
					return
				}
			}
		}))
	}
	close(begin)
	for _, c := range calls {
		if !r.ended("Detect beside other looks", c, answerWithin) {
			return seen{}, false
		}
	}
	if wrong != nil {
		r.breach("%s, and one of %d looks at once returned %v", why, goroutines, *wrong)
		return *wrong, false
	}
	return seen{}, true
}

// allocs is how often a look allocates. Other goroutines of the process count
// too, so that the lowest of many measurements is the true one.
func allocs(ctx context.Context, d detect.Detector) uint64 {
	const batches, looks = 20, 100
	least := ^uint64(0)
	for range batches {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range looks {
			_, _ = d.Detect(ctx)
		}
		runtime.ReadMemStats(&after)
		// A part of one is a pool that was emptied, by the collector or by -race.
		if least = min(least, (after.Mallocs-before.Mallocs)/looks); least == 0 || ctx.Err() != nil {
			return least
		}
	}
	return least
}
