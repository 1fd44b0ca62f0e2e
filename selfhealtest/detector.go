package selfhealtest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// A DetectorFixture is a detector and the means to change what it sees. The
// suite calls its functions between looks, never beside one.
type DetectorFixture struct {
	// Detector is healthy to begin with. Required.
	Detector detect.Detector
	// Sicken makes what it looks at sick, in the same way each time, and ends a
	// Break. Required.
	Sicken func()
	// Heal makes it well again, and ends a Break. Required.
	Heal func()
	// Break makes it impossible to tell, until the next Sicken or Heal: what it
	// reads returns an error. nil: the rules about blindness are skipped.
	Break func()
	// Hang makes what it reads not answer before the context ends. nil: the rules
	// about a look that is stopped midway are skipped.
	Hang func()
	// Within is how long a change may take to show; until then the detector is
	// asked again and again. 0: the next look shows it.
	Within time.Duration
	// Patience is how long a look may take to return once its context ended, a
	// wake to come, and a goroutine to end. 0: 1 s.
	Patience time.Duration
	// AllowAllocs says that a look that finds nothing may allocate, as one that
	// calls another process must.
	AllowAllocs bool
	// Skip names rules that do not apply, each with the reason.
	Skip map[string]string
}

// TestDetector checks a detector of any kind against the contract of
// [detect.Detector], and of [detect.Waker] and [detect.Validator] where it is
// one. Each rule is a subtest with a fixture of its own, so build makes a new
// detector over a new world each time; a failure names the rule, says what was
// seen and what to do.
//
// The rules are: fixture, valid, healthy, sick, again, level, heals,
// keys-unique, keys-stable, keys-printable, summary, numbers, severity, kept,
// blind, blind-opens-nothing, blind-heals-nothing, cancelled, cancel-midway,
// deadline, concurrent, no-leak, allocs, wake, wake-nil and wake-again.
//
// Call it outside of a bubble, and with -race: that is what makes the rule
// concurrent sharp. Time is real, so the budgets of the fixture should be short.
func TestDetector(t *testing.T, build func(*testing.T) DetectorFixture) {
	t.Helper()
	detectorSuite().run(t, build)
}

func detectorSuite() *suite[DetectorFixture] {
	return &suite[DetectorFixture]{
		name:  "TestDetector",
		rules: slices.Concat(detectorLevelRules(), detectorFindingRules(), detectorBlindRules(), detectorCallRules(), detectorWakeRules()),
		about: func(f DetectorFixture) about {
			a := about{skip: f.Skip, patience: f.Patience}
			if f.Detector == nil {
				a.lacks = append(a.lacks, "a Detector")
			}
			if f.Sicken == nil {
				a.lacks = append(a.lacks, "Sicken")
			}
			if f.Heal == nil {
				a.lacks = append(a.lacks, "Heal")
			}
			return a
		},
		instance: func(f DetectorFixture) any { return f.Detector },
	}
}

// seen is what a look saw.
type seen struct {
	findings []detect.Finding
	err      error
}

func (s seen) well() bool { return len(s.findings) == 0 && s.err == nil }
func (s seen) sick() bool { return len(s.findings) > 0 && s.err == nil }

// String says it in words for a message.
func (s seen) String() string {
	switch {
	case s.well():
		return "nothing wrong"
	case len(s.findings) == 0:
		return fmt.Sprintf("the error %s", quote(s.err.Error()))
	}
	said := fmt.Sprintf("%d findings, the first with key %s and summary %s", len(s.findings), quote(s.findings[0].Key), quote(s.findings[0].Summary))
	if s.err != nil {
		said += fmt.Sprintf(", and the error %s", quote(s.err.Error()))
	}
	return said
}

func (s seen) keys() []string {
	keys := make([]string, len(s.findings))
	for i, f := range s.findings {
		keys[i] = f.Key
	}
	slices.Sort(keys)
	return keys
}

// look asks the detector once, as a supervisor does. The slice is copied,
// because it is the caller's until the next look only.
func look(ctx context.Context, d detect.Detector) seen {
	fs, err := d.Detect(ctx)
	return seen{slices.Clone(fs), err}
}

// look asks the detector with a context that lives long enough.
func (r *report) look(d detect.Detector) (s seen, ok bool) {
	ok = r.call("Detect", answerWithin, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		s = look(ctx, d)
	})
	if !ok {
		return seen{}, false
	}
	return s, true
}

// until looks until it is as wanted or the fixture's Within is over, and
// returns the last answer.
func (r *report) until(f DetectorFixture, wanted func(seen) bool) (s seen, ok bool) {
	pause := max(f.Within/100, time.Millisecond)
	for began := time.Now(); ; time.Sleep(pause) {
		if s, ok = r.look(f.Detector); !ok || wanted(s) || time.Since(began) >= f.Within {
			return s, ok
		}
	}
}

// after names the time of the last look of until.
func (f DetectorFixture) after(what string) string {
	if f.Within == 0 {
		return "after " + what
	}
	return fmt.Sprintf("%v after %s", f.Within, what)
}

// sick makes the fixture sick for a rule that needs it so, and is false where
// that fails, which another rule reports.
func (r *report) sick(f DetectorFixture) (seen, bool) {
	f.Sicken()
	s, ok := r.until(f, func(s seen) bool { return len(s.findings) > 0 })
	if ok && len(s.findings) == 0 {
		r.skip("the detector did not find the fault: see rule sick")
		return s, false
	}
	return s, ok
}

func detectorLevelRules() []rule[DetectorFixture] {
	return []rule[DetectorFixture]{
		{
			name: "valid",
			must: "the Validate of a detector that is put together well returns nil",
			fix:  "correct the fixture as the error says, or correct Validate",
			check: func(r *report, f DetectorFixture) {
				v, ok := f.Detector.(detect.Validator)
				if !ok {
					r.skip("it is no detect.Validator")
					return
				}
				var err error
				if r.call("Validate", answerWithin, func(context.Context) { err = v.Validate() }) && err != nil {
					r.breach("Validate returned %s", quote(err.Error()))
				}
			},
		},
		{
			name: "healthy",
			must: "nil, nil is healthy: where nothing is wrong Detect returns no finding and no error",
			fix:  "return nil, nil; keep what is normal but worth seeing for metrics and logs",
			check: func(r *report, f DetectorFixture) {
				for n := range 3 {
					if s, ok := r.look(f.Detector); ok && !s.well() {
						r.breach("nothing is wrong, and look %d returned %v", n+1, s)
						return
					}
				}
			},
		},
		{
			name: "sick",
			must: "Detect reports everything that is wrong now, one finding a key, without an error",
			fix:  "return a finding; an error would mean that you could not tell",
			check: func(r *report, f DetectorFixture) {
				f.Sicken()
				if s, ok := r.until(f, seen.sick); ok && !s.sick() {
					r.breach("%s it returned %v", f.after("Sicken"), s)
				}
			},
		},
		{
			name: "again",
			must: "a fault that comes back is found again",
			fix:  "drop what the detector remembers of a fault once it is over",
			check: func(r *report, f DetectorFixture) {
				if _, ok := r.sick(f); !ok {
					return
				}
				f.Heal()
				if s, ok := r.until(f, seen.well); !ok || !s.well() {
					r.skip("the detector did not heal: see rule heals")
					return
				}
				f.Sicken()
				found := func(s seen) bool { return len(s.findings) > 0 }
				if s, ok := r.until(f, found); ok && !found(s) {
					r.breach("sick for the second time, it returned %v", s)
				}
			},
		},
		{
			name: "level",
			must: "a finding is a level, not an edge: as long as something is wrong every look says so",
			fix:  "judge what is, not what changed; keep no note of what was reported before",
			check: func(r *report, f DetectorFixture) {
				if _, ok := r.sick(f); !ok {
					return
				}
				for n := range 5 {
					if s, ok := r.look(f.Detector); ok && len(s.findings) == 0 {
						r.breach("nothing changed, and look %d after the one that found it returned %v", n+1, s)
						return
					}
				}
			},
		},
		{
			name: "heals",
			must: "once the fault is gone Detect says so by nil, nil",
			fix:  "judge the present reading; where an alarm must hold on, say for how long by the fixture's Within",
			check: func(r *report, f DetectorFixture) {
				if _, ok := r.sick(f); !ok {
					return
				}
				f.Heal()
				if s, ok := r.until(f, seen.well); ok && !s.well() {
					r.breach("%s it still returned %v", f.after("Heal"), s)
				}
			},
		},
	}
}
