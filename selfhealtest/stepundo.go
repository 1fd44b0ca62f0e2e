package selfhealtest

import (
	"errors"

	"github.com/selfheal-go/selfheal/remediate"
)

var errDenied = errors.New("the conformance suite refuses to save")

func isSkip(err error) bool { return errors.Is(err, remediate.ErrSkip) }

// stepUndoRules are about putting a temporary measure back. It is owed from the
// start of Run, so that Undo may come after any part of it.
func stepUndoRules() []rule[StepFixture] {
	undoes := func(r *report, f StepFixture) bool {
		if f.Step.Undo == nil {
			r.skip("the step has no Undo")
		}
		return f.Step.Undo != nil
	}
	return []rule[StepFixture]{
		{
			name: "undo",
			must: "Undo after Run puts back what Run changed",
			fix:  "save what was before by Request.Save, and restore it from Request.Memo",
			check: func(r *report, f StepFixture) {
				s := r.step(f)
				before := f.State()
				if undoes(r, f) && s.run(1) {
					s.undo(f.Step, "after Run", before)
				}
			},
		},
		{
			name: "undo-without-run",
			must: "Undo where Run has changed nothing yet does no harm: it is owed from the moment before Run",
			fix:  "look whether the measure is in force, and return nil or remediate.ErrSkip where it is not",
			check: func(r *report, f StepFixture) {
				if undoes(r, f) {
					r.step(f).undo(f.Step, "without Run", f.State())
				}
			},
		},
		{
			name: "undo-twice",
			must: "a second Undo does no harm: after a crash it may run again",
			fix:  "look whether the measure is still in force before you put it back",
			check: func(r *report, f StepFixture) {
				s := r.step(f)
				if !undoes(r, f) || !s.run(1) {
					return
				}
				if err, ok := s.act("Undo", f.Step.Undo, s.request(remediate.Undo, 1)); !ok || err != nil && !isSkip(err) {
					r.skip("Undo failed: see rule undo")
					return
				}
				s.undo(f.Step, "for the second time", f.State())
			},
		},
		{
			name: "undo-memo",
			must: "Undo in a new process needs nothing but the memo that Run saved",
			fix:  "save by Request.Save what Undo needs; what lives in variables died with the process",
			check: func(r *report, f StepFixture) {
				if !undoes(r, f) {
					return
				}
				if f.Restart == nil {
					r.skip("the fixture has no Restart")
					return
				}
				s := r.step(f)
				before := f.State()
				if !s.run(1) {
					return
				}
				after := f.Restart()
				if after.Undo == nil {
					r.breach("the step that Restart returned has no Undo")
					return
				}
				s.undo(after, "in a new process", before)
			},
		},
		{
			name: "undo-after-failure",
			must: "Undo after a Run that failed puts back what it had changed by then",
			fix:  "save the memo before the first change, and restore all that may have changed",
			check: func(r *report, f StepFixture) {
				if !undoes(r, f) {
					return
				}
				if f.Break == nil {
					r.skip("the fixture has no Break")
					return
				}
				s := r.step(f)
				before := f.State()
				mend := f.Break()
				_, ok := s.act("Run", f.Step.Run, s.request(remediate.Run, 1))
				mend()
				if ok {
					s.undo(f.Step, "after a Run that failed", before)
				}
			},
		},
	}
}

// stepVerifyRules are about a step's own judgement.
func stepVerifyRules() []rule[StepFixture] {
	return []rule[StepFixture]{
		{
			name: "verify",
			must: "Verify agrees with the world: nil is healed, remediate.ErrSkip cannot tell, any other error is no effect",
			fix:  "ask the world, not what Run remembers",
			check: func(r *report, f StepFixture) {
				switch {
				case f.Step.Verify == nil:
					r.skip("the step has no Verify")
					return
				case f.SetHealed == nil:
					r.skip("the fixture has no SetHealed")
					return
				}
				s := r.step(f)
				if !s.run(1) {
					return
				}
				for _, healed := range []bool{false, true} {
					f.SetHealed(healed)
					err, ok := s.act("Verify", f.Step.Verify, s.request(remediate.Verify, 1))
					if !ok {
						return
					}
					if (err == nil) != healed || isSkip(err) {
						r.breach("after SetHealed(%v) Verify returned %v", healed, err)
					}
				}
			},
		},
		{
			name: "verify-changes-nothing",
			must: "Verify only looks: it may be asked again and again",
			fix:  "move what it changes into Run",
			check: func(r *report, f StepFixture) {
				if f.Step.Verify == nil {
					r.skip("the step has no Verify")
					return
				}
				s := r.step(f)
				if !s.run(1) {
					return
				}
				before := s.world()
				for range 2 {
					if _, ok := s.act("Verify", f.Step.Verify, s.request(remediate.Verify, 1)); !ok {
						return
					}
				}
				if after := s.world(); after != before {
					r.breach("Verify changed the state from %s to %s", quote(before.state), quote(after.state))
				}
			},
		},
	}
}
