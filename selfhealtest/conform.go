package selfhealtest

import (
	"context"
	"fmt"
	"reflect"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"
)

// answerWithin is how long an ordinary call may take: the default timeout of a
// watch.
const answerWithin = 10 * time.Second

// defaultPatience is what the fixtures document as theirs.
const defaultPatience = time.Second

// suite is a contract: rules, and what to know of a fixture to check them.
type suite[F any] struct {
	name  string // of the exported function
	rules []rule[F]
	about func(F) about
	// instance is what build has to make anew each time; only pointers are
	// compared. nil: F is no fixture, and there is no such rule.
	instance func(F) any
}

// about is what every fixture says beside the thing under test.
type about struct {
	lacks    []string // fields that are missing and needed
	skip     map[string]string
	patience time.Duration
}

// rule is one sentence of a contract.
type rule[F any] struct {
	name  string // of the subtest; it does not change
	must  string // what the contract asks
	fix   string // what to do about a breach
	check func(r *report, f F)
}

// run checks every rule in a subtest of its own.
func (s *suite[F]) run(t *testing.T, build func(*testing.T) F) {
	t.Helper()
	if outsideBubble() == "" {
		t.Fatalf("selfhealtest: %s was called inside synctest.Test, where no subtest may run: call it outside of the bubble", s.name)
	}
	if build == nil {
		t.Fatalf("selfhealtest: %s needs a function that builds a new fixture each time it is called", s.name)
	}
	for _, ru := range s.all() {
		t.Run(ru.name, func(t *testing.T) {
			r := s.examine(t, ru, build)
			for _, b := range r.breaches {
				t.Errorf("selfhealtest: rule %q is broken: %s\n\tthe rule: %s\n\twhat to do: %s", ru.name, b, ru.must, ru.fix)
			}
			if r.skipped != "" && len(r.breaches) == 0 {
				t.Skipf("selfhealtest: rule %q was not checked: %s", ru.name, r.skipped)
			}
		})
	}
}

// examine checks one rule on a fixture of its own.
func (s *suite[F]) examine(t *testing.T, ru rule[F], build func(*testing.T) F) *report {
	f := build(t)
	a := s.about(f)
	r := &report{patience: a.patience, again: func() any { return build(t) }}
	r.id = fmt.Sprintf("%s/%s/%p", s.name, ru.name, r)
	if r.patience <= 0 {
		r.patience = defaultPatience
	}
	why, skip := a.skip[ru.name]
	switch {
	case ru.name == ruleFixture:
		ru.check(r, f)
	case len(a.lacks) > 0:
		r.skip("the fixture is not complete: see rule " + ruleFixture)
	case skip:
		r.skip("the fixture says: " + why)
	default:
		ru.check(r, f)
	}
	return r
}

const ruleFixture = "fixture"

// all is the rules after the one about the fixture.
func (s *suite[F]) all() []rule[F] {
	if s.instance == nil {
		return s.rules
	}
	return append([]rule[F]{{
		name: ruleFixture,
		must: "build returns a complete and new fixture each time: every rule begins with a fresh one",
		fix:  "set what is missing, and make everything inside build, nothing outside of it",
		check: func(r *report, f F) {
			a := s.about(f)
			for _, l := range a.lacks {
				r.breach("it lacks %s", l)
			}
			for name, why := range a.skip {
				if !slices.ContainsFunc(s.rules, func(ru rule[F]) bool { return ru.name == name }) {
					r.breach("Skip names the rule %q, which %s does not have", name, s.name)
				}
				if strings.TrimSpace(why) == "" {
					r.breach("Skip says no reason for the rule %q", name)
				}
			}
			if len(a.lacks) > 0 {
				return
			}
			if one, other := s.instance(f), s.instance(r.again().(F)); sameInstance(one, other) {
				r.breach("build returned the same %T twice", one)
			}
		},
	}}, s.rules...)
}

// sameInstance says whether a and b are one thing with a state. Pointers to
// nothing may be equal without being one.
func sameInstance(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	return x.Kind() == reflect.Pointer && y.Kind() == reflect.Pointer && x.Type() == y.Type() &&
		!x.IsNil() && x.Type().Elem().Size() > 0 && x.Pointer() == y.Pointer()
}

// report is what one rule found. It belongs to one goroutine.
type report struct {
	id       string // marks the goroutines that its calls start
	patience time.Duration
	again    func() any // one more fixture
	breaches []string
	skipped  string
}

func (r *report) breach(format string, args ...any) {
	r.breaches = append(r.breaches, fmt.Sprintf(format, args...))
}

func (r *report) skip(why string) { r.skipped = why }

// end says how a call ended.
type end struct {
	returned bool
	panicked any
	stack    []byte
	late     bool
	within   time.Duration
}

// String says it in words; "" for a call that returned.
func (e end) String() string {
	switch {
	case e.late:
		return fmt.Sprintf("has not returned within %v", e.within)
	case e.returned:
		return ""
	case e.panicked != nil:
		return fmt.Sprintf("panicked: %v\n%s", e.panicked, e.stack)
	}
	return "ended its goroutine with runtime.Goexit (t.FailNow, say)"
}

// try calls f as a supervisor does: on a goroutine of its own, because f may
// panic, end its goroutine or never return.
func (r *report) try(within time.Duration, f func(ctx context.Context)) end {
	ended := r.start(f)
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case e := <-ended:
		return e
	case <-t.C:
		return end{late: true, within: within}
	}
}

// start is try for a call that is not waited for. The context bears the mark as
// well, so that code with labels of its own keeps it.
func (r *report) start(f func(ctx context.Context)) <-chan end {
	ended := make(chan end, 1)
	ctx := pprof.WithLabels(context.Background(), pprof.Labels(markKey, r.id))
	go func() {
		var e end
		defer func() {
			if !e.returned {
				e.panicked, e.stack = recover(), debug.Stack()
			}
			ended <- e
		}()
		pprof.SetGoroutineLabels(ctx)
		f(ctx)
		e.returned = true
	}()
	return ended
}

// call is try that reports what did not return; what names the call.
func (r *report) call(what string, within time.Duration, f func(ctx context.Context)) bool {
	e := r.try(within, f)
	if s := e.String(); s != "" {
		r.breach("%s %s", what, s)
		return false
	}
	return true
}

// ended reports a call of start that does not return within the time from now.
func (r *report) ended(what string, c <-chan end, within time.Duration) bool {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case e := <-c:
		if s := e.String(); s != "" {
			r.breach("%s %s", what, s)
			return false
		}
		return true
	case <-t.C:
		r.breach("%s has not returned %v later", what, within)
		return false
	}
}

// quote shortens a text from outside for a message.
func quote(s string) string {
	const most = 200
	if len(s) > most {
		return fmt.Sprintf("%q … (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}
