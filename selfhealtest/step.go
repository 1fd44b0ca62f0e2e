package selfhealtest

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// A StepFixture is a step and a world that it changes. The suite calls its
// functions between calls of the step, never beside one, Hang excepted.
type StepFixture struct {
	// Step is what is checked. Required.
	Step remediate.Step
	// State says in words how that part of the world stands which the step
	// changes; equal worlds give equal words. Required.
	State func() string
	// Finding is what the step is run for. Zero: a plain one without a key.
	Finding detect.Finding
	// Effect is how often Run changed the world, where State does not show that
	// it did so twice: restarts, messages that were sent. nil: State tells all.
	Effect func() int
	// Restart returns the step as a new process has it: over the same world,
	// knowing nothing but the memo that it is given. nil: the rule undo-memo is
	// skipped, as is right for what dies with its process.
	Restart func() remediate.Step
	// Inapplicable makes a world in which the step does not apply. nil: the rule
	// skip is skipped.
	Inapplicable func()
	// Break makes what the step needs fail until mend is called. nil: the rules
	// about failures are skipped.
	Break func() (mend func())
	// Hang makes what the step needs not answer before the context ends, for Run
	// and Undo alike. nil: the rules about a stop midway are skipped.
	Hang func()
	// SetHealed makes a world in which Verify has to say healed, or not. nil: the
	// rule verify is skipped.
	SetHealed func(healed bool)
	// Patience is how long a call may take to return once its context ended, and
	// a goroutine to end. 0: 1 s.
	Patience time.Duration
	// Skip names rules that do not apply, each with the reason.
	Skip map[string]string
}

// TestStep checks a step against the contract of [remediate.Step] and
// [remediate.Action]. Each rule is a subtest with a fixture of its own, so build
// makes a new step over a new world each time, in which the step applies and has
// not run; a failure names the rule, says what was seen and what to do.
//
// The rules are: fixture, name, coherent, runs, same-key, save-first, skip,
// failure, read-only, zero-finding, hostile-finding, undo, undo-without-run,
// undo-twice, undo-memo, undo-after-failure, verify, verify-changes-nothing,
// cancelled, cancel-midway, deadline, undo-cancelled and no-leak.
//
// Call it outside of a bubble, and with -race. Time is real.
func TestStep(t *testing.T, build func(*testing.T) StepFixture) {
	t.Helper()
	stepSuite().run(t, build)
}

func stepSuite() *suite[StepFixture] {
	return &suite[StepFixture]{
		name:  "TestStep",
		rules: slices.Concat(stepRunRules(), stepRequestRules(), stepUndoRules(), stepVerifyRules(), stepCallRules()),
		about: func(f StepFixture) about {
			a := about{skip: f.Skip, patience: f.Patience}
			if f.Step.Run == nil {
				a.lacks = append(a.lacks, "a Step with a Run")
			}
			if f.State == nil {
				a.lacks = append(a.lacks, "State")
			}
			return a
		},
		instance: func(StepFixture) any { return nil }, // functions cannot be told apart
	}
}

// attempt is a step under test with what a supervisor keeps for it.
type attempt struct {
	r     *report
	f     StepFixture
	memo  []byte
	saved int
	deny  error // what Save returns
}

func (r *report) step(f StepFixture) *attempt {
	if f.Finding.Summary == "" {
		f.Finding.Summary = "a finding of the conformance suite"
	}
	return &attempt{r: r, f: f}
}

// request is what a supervisor would ask with. Its maps and slices are its own.
func (s *attempt) request(phase remediate.Phase, n int) remediate.Request {
	req := remediate.Request{
		Incident: "conformance-1", Step: s.f.Step.Name, Phase: phase, Attempt: n, Try: 1,
		Finding: s.f.Finding, Log: discard(),
	}
	req.Finding.Labels = maps.Clone(s.f.Finding.Labels)
	req.Finding.Evidence = slices.Clone(s.f.Finding.Evidence)
	if phase == remediate.Run {
		req.Save = func(memo []byte) error {
			s.saved++
			if s.deny == nil {
				s.memo = slices.Clone(memo)
			}
			return s.deny
		}
	} else {
		req.Memo = slices.Clone(s.memo)
	}
	return req
}

// act calls an action as a supervisor does.
func (s *attempt) act(what string, a remediate.Action, req remediate.Request) (err error, ok bool) {
	ok = s.r.call(what, answerWithin, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		err = a(ctx, req)
	})
	if !ok {
		return nil, false
	}
	return err, true
}

// run runs attempt n and is true if that returned nil. Where it fails the rule
// is skipped, because another reports it.
func (s *attempt) run(n int) bool {
	err, ok := s.act("Run", s.f.Step.Run, s.request(remediate.Run, n))
	if ok && err != nil {
		s.r.skip("Run failed: see rule runs")
	}
	return ok && err == nil
}

// world is how it stands, in one value that can be compared.
func (s *attempt) world() world {
	w := world{state: s.f.State()}
	if s.f.Effect != nil {
		w.effects = s.f.Effect()
	}
	return w
}

type world struct {
	state   string
	effects int
}

// undo runs the undo of a step and reports what it leaves different from what it
// has to leave.
func (s *attempt) undo(step remediate.Step, when, want string) {
	err, ok := s.act("Undo", step.Undo, s.request(remediate.Undo, 1))
	if !ok {
		return
	}
	if err != nil && !isSkip(err) {
		s.r.breach("Undo %s returned %s", when, quote(err.Error()))
	}
	if got := s.f.State(); got != want {
		s.r.breach("after Undo %s the state is %s, not %s", when, quote(got), quote(want))
	}
}

func stepRunRules() []rule[StepFixture] {
	return []rule[StepFixture]{
		{
			name: "name",
			must: "the name of a step can stand in a key and in a line: printable, without slashes or spaces at its ends",
			fix:  "use letters, digits and dashes",
			check: func(r *report, f StepFixture) {
				only := remediate.Step{Name: f.Step.Name, Run: f.Step.Run, Risk: remediate.Safe}
				for _, err := range only.Validate() {
					r.breach("%v", err)
				}
			},
		},
		{
			name: "coherent",
			must: "what a step declares goes together: above Safe it has an Undo or is Lasting, a shared measure has an Undo, no duration is negative",
			fix:  "change the fields that the error names",
			check: func(r *report, f StepFixture) {
				s := f.Step
				s.Name = "step"
				for _, err := range s.Validate() {
					r.breach("%v", err)
				}
			},
		},
		{
			name: "runs",
			must: "Run does what it does and returns nil",
			fix:  "return nil where the work is done; let State or Effect show it",
			check: func(r *report, f StepFixture) {
				s := r.step(f)
				before := s.world()
				err, ok := s.act("Run", f.Step.Run, s.request(remediate.Run, 1))
				if !ok {
					return
				}
				if err != nil {
					r.breach("Run returned %s", quote(err.Error()))
				} else if s.world() == before {
					r.breach("Run returned nil, and neither State (%s) nor Effect shows that it did anything", quote(before.state))
				}
			},
		},
		{
			name: "same-key",
			must: "Run with the same Request.Key continues or repeats the same work: after a crash, or a try that timed out, it may have been done already",
			fix:  "make the change conditional on the present state, pass the key on to a receiver that knows it, or wrap Run in remediate.Once",
			check: func(r *report, f StepFixture) {
				s := r.step(f)
				if !s.run(1) {
					return
				}
				once := s.world()
				req := s.request(remediate.Run, 1)
				req.Try = 2
				err, ok := s.act("Run under the same key", f.Step.Run, req)
				if !ok {
					return
				}
				if err != nil {
					r.breach("the second Run under one key returned %s", quote(err.Error()))
				}
				if twice := s.world(); twice != once {
					r.breach("after one Run the state is %s with %d effects, after a second one under the same key %s with %d",
						quote(once.state), once.effects, quote(twice.state), twice.effects)
				}
			},
		},
		{
			name: "save-first",
			must: "the memo for Undo is saved before anything is changed, and where it cannot be saved nothing is: a crash in between would lose the way back",
			fix:  "call Save first, and return its error",
			check: func(r *report, f StepFixture) {
				s := r.step(f)
				s.deny = errDenied
				before := s.world()
				err, ok := s.act("Run", f.Step.Run, s.request(remediate.Run, 1))
				switch {
				case !ok:
				case s.saved == 0:
					r.skip("Run saves nothing")
				case err == nil:
					r.breach("Save failed, and Run returned nil")
				case s.world() != before:
					r.breach("Save failed, and Run had changed the state from %s to %s", quote(before.state), quote(s.world().state))
				}
			},
		},
		{
			name: "skip",
			must: "where the step does not apply Run returns remediate.ErrSkip and changes nothing: no undo is owed then",
			fix:  "look before you change, and return remediate.ErrSkip, wrapped or not",
			check: func(r *report, f StepFixture) {
				if f.Inapplicable == nil {
					r.skip("the fixture has no Inapplicable")
					return
				}
				f.Inapplicable()
				s := r.step(f)
				before := s.world()
				err, ok := s.act("Run", f.Step.Run, s.request(remediate.Run, 1))
				if !ok {
					return
				}
				if !isSkip(err) {
					r.breach("Run returned %v, not remediate.ErrSkip", err)
				}
				if after := s.world(); after != before {
					r.breach("Run changed the state from %s to %s", quote(before.state), quote(after.state))
				}
			},
		},
		{
			name: "failure",
			must: "a Run that could not do its work returns an error other than remediate.ErrSkip: nil says that it did, a skip that there was nothing to do",
			fix:  "return the error, wrapped with what was tried",
			check: func(r *report, f StepFixture) {
				if f.Break == nil {
					r.skip("the fixture has no Break")
					return
				}
				defer f.Break()()
				s := r.step(f)
				if err, ok := s.act("Run", f.Step.Run, s.request(remediate.Run, 1)); ok && (err == nil || isSkip(err)) {
					r.breach("what Run needs fails, and Run returned %v", err)
				}
			},
		},
	}
}
