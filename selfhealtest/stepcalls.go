package selfhealtest

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// stepRequestRules are about what a step is told.
func stepRequestRules() []rule[StepFixture] {
	return []rule[StepFixture]{
		{
			name: "read-only",
			must: "a request is the caller's: its labels, evidence and memo are shared with the incident and read by others",
			fix:  "copy what you want to change",
			check: func(r *report, f StepFixture) {
				s := r.step(f)
				s.f.Finding.Labels = map[string]string{"conformance": "as it was"}
				for k, v := range f.Finding.Labels {
					s.f.Finding.Labels[k] = v
				}
				s.f.Finding.Evidence = append([]slog.Attr{slog.String("conformance", "as it was")}, f.Finding.Evidence...)
				for _, p := range []struct {
					phase  remediate.Phase
					action remediate.Action
				}{{remediate.Run, f.Step.Run}, {remediate.Verify, f.Step.Verify}, {remediate.Undo, f.Step.Undo}} {
					if p.action == nil {
						continue
					}
					req := s.request(p.phase, 1)
					before := pointsTo(req.Finding) + fmt.Sprintf("%q", req.Memo)
					if _, ok := s.act(p.phase.String(), p.action, req); !ok {
						return
					}
					if after := pointsTo(req.Finding) + fmt.Sprintf("%q", req.Memo); after != before {
						r.breach("%v changed its request from %s to %s", p.phase, quote(before), quote(after))
					}
				}
			},
		},
		{
			name: "zero-finding",
			must: "a step copes with a finding that says nothing: no key, no labels, no value",
			fix:  "return remediate.ErrSkip or an error where something is needed that is missing",
			check: func(r *report, f StepFixture) {
				s := r.step(f)
				s.f.Finding = detect.Finding{}
				s.each(1)
			},
		},
		{
			name: "hostile-finding",
			must: "a step copes with whatever a finding says: keys and labels may come from outside",
			fix:  "treat them as data, bound them, and never build a command, a path or a query from them unchecked",
			check: func(r *report, f StepFixture) {
				s := r.step(f)
				for i, x := range hostileFindings() {
					s.f.Finding = x
					if !s.each(i + 1) {
						r.breach("the finding was %s", quote(x.Key))
						return
					}
				}
			},
		},
	}
}

// each calls every function of the step and reports only those that do not
// return.
func (s *attempt) each(n int) bool {
	for _, p := range []struct {
		phase  remediate.Phase
		action remediate.Action
	}{{remediate.Run, s.f.Step.Run}, {remediate.Verify, s.f.Step.Verify}, {remediate.Undo, s.f.Step.Undo}} {
		if p.action == nil {
			continue
		}
		if _, ok := s.act(p.phase.String(), p.action, s.request(p.phase, n)); !ok {
			return false
		}
	}
	return true
}

// stepCallRules are about how a step behaves as a call.
func stepCallRules() []rule[StepFixture] {
	return []rule[StepFixture]{
		{
			name: "cancelled",
			must: "a Run whose context is over returns soon, and returns nil only if it did its work",
			fix:  "pass ctx on to whatever blocks, and return context.Cause(ctx) when it ended",
			check: func(r *report, f StepFixture) {
				s := r.step(f)
				before := s.world()
				req := s.request(remediate.Run, 1)
				var err error
				ok := r.call("Run with a cancelled context", r.patience, func(ctx context.Context) {
					ctx, cancel := context.WithCancelCause(ctx)
					cancel(remediate.ErrStopping)
					err = f.Step.Run(ctx, req)
				})
				if ok && err == nil && s.world() == before {
					r.breach("its context was cancelled, it did nothing, and it returned nil")
				}
			},
		},
		{
			name: "cancel-midway",
			must: "a Run that is cancelled while it waits returns soon, with an error: at shutdown the process waits for it",
			fix:  "pass ctx on to whatever blocks, and return its error",
			check: func(r *report, f StepFixture) {
				if f.Hang == nil {
					r.skip("the fixture has no Hang")
					return
				}
				f.Hang()
				s := r.step(f)
				if err, ok := s.stopped("Run", f.Step.Run, s.request(remediate.Run, 1)); ok && err == nil {
					r.breach("what Run needs did not answer, Run was cancelled, and it returned nil")
				}
			},
		},
		{
			name: "deadline",
			must: "a Run whose time is over returns soon, with an error: until it does, its key and its Exclusive are taken",
			fix:  "pass ctx on to whatever blocks, and return its error",
			check: func(r *report, f StepFixture) {
				if f.Hang == nil {
					r.skip("the fixture has no Hang")
					return
				}
				f.Hang()
				req := r.step(f).request(remediate.Run, 1)
				const after = 20 * time.Millisecond
				var err error
				ok := r.call("Run with a deadline", after+r.patience, func(ctx context.Context) {
					ctx, cancel := context.WithTimeout(ctx, after)
					defer cancel()
					err = f.Step.Run(ctx, req)
				})
				if ok && err == nil {
					r.breach("what Run needs did not answer in time, and Run returned nil")
				}
			},
		},
		{
			name: "undo-cancelled",
			must: "an Undo that is cancelled while it waits returns soon, with an error: nil says that the measure is gone",
			fix:  "pass ctx on to whatever blocks, and return its error",
			check: func(r *report, f StepFixture) {
				switch {
				case f.Step.Undo == nil:
					r.skip("the step has no Undo")
					return
				case f.Hang == nil:
					r.skip("the fixture has no Hang")
					return
				}
				s := r.step(f)
				if !s.run(1) {
					return
				}
				f.Hang()
				in := f.State()
				if err, ok := s.stopped("Undo", f.Step.Undo, s.request(remediate.Undo, 1)); ok && err == nil && f.State() == in {
					r.breach("what Undo needs did not answer, Undo was cancelled, changed nothing, and returned nil")
				}
			},
		},
		{
			name: "no-leak",
			must: "a step leaves no goroutine behind that grows with each run",
			fix:  "wait for what Run starts, or end it in Undo or with the next Run",
			check: func(r *report, f StepFixture) {
				s := r.step(f)
				r.leaks("runs", func(i int) bool {
					_, ok := s.act("Run", f.Step.Run, s.request(remediate.Run, i+1))
					if ok && f.Step.Undo != nil {
						_, ok = s.act("Undo", f.Step.Undo, s.request(remediate.Undo, i+1))
					}
					return ok
				})
			},
		},
	}
}

// stopped calls an action, cancels it as a shutdown does, and reports one that
// does not return soon.
func (s *attempt) stopped(what string, a remediate.Action, req remediate.Request) (err error, ok bool) {
	running := make(chan context.CancelCauseFunc, 1)
	ended := s.r.start(func(ctx context.Context) {
		ctx, cancel := context.WithCancelCause(ctx)
		running <- cancel
		err = a(ctx, req)
	})
	cancel := <-running
	time.Sleep(20 * time.Millisecond)
	cancel(remediate.ErrStopping)
	ok = s.r.ended(what+", cancelled midway,", ended, s.r.patience)
	if !ok {
		return nil, false
	}
	return err, true
}
