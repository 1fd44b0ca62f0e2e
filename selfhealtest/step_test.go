package selfhealtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// plant is the world of a valve: what outlives the process that turns it.
type plant struct {
	mu                    sync.Mutex
	valve, turns          int
	moot, broken, hanging bool
	well                  bool
}

// turner turns the valve to 3 for a while, and keeps the whole contract, but for
// its flaw.
type turner struct {
	*plant
	flaw   string
	quit   <-chan struct{}
	fresh  bool // of a new process
	before int  // which dies with the process
	undone bool
}

func (s *turner) step() remediate.Step {
	st := remediate.Step{Name: "turn-valve", Run: s.run, Undo: s.undo, Verify: s.verify}
	switch s.flaw {
	case "name":
		st.Name = "turn/valve"
	case "coherent":
		st.Lasting = true
	}
	return st
}

func (s *turner) run(ctx context.Context, req remediate.Request) error {
	switch s.flaw {
	case "no-leak":
		go func() { <-s.quit }()
	case "read-only":
		if req.Finding.Labels != nil {
			req.Finding.Labels["seen"] = "yes"
		}
	case "zero-finding":
		if reflect.ValueOf(req.Finding).IsZero() {
			panic("no finding")
		}
	case "hostile-finding":
		if len(req.Finding.Key) > 1000 {
			panic("slice bounds out of range")
		}
	}
	if ctx.Err() != nil {
		switch s.flaw {
		case "cancelled":
			return nil
		case "cancelled/slow":
			<-s.quit
		}
		return context.Cause(ctx)
	}
	s.mu.Lock()
	hanging := s.hanging
	s.mu.Unlock()
	if hanging {
		return s.wait(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.moot && s.flaw == "skip":
		return nil
	case s.moot && s.flaw == "skip/changes":
		s.valve = 3
		return remediate.ErrSkip
	case s.moot:
		return fmt.Errorf("the valve is gone: %w", remediate.ErrSkip)
	case s.flaw == "runs":
		return errors.New("cannot")
	case s.flaw == "runs/nothing" && !s.broken:
		return nil
	case s.valve == 3 && s.flaw == "same-key":
		s.turns++
		return nil
	case s.valve == 3 && s.flaw == "same-key/error":
		return errors.New("it is open already")
	case s.valve == 3:
		return nil
	}
	return s.turn(req)
}

// turn goes by 2, so that a failure leaves something half done.
func (s *turner) turn(req remediate.Request) error {
	s.before = s.valve
	memo := []byte(strconv.Itoa(s.valve))
	if s.flaw == "save-first" {
		s.valve = 2
	}
	if err := req.Save(memo); err != nil && s.flaw != "save-first/ignored" {
		return err
	}
	s.valve = 2
	if s.broken {
		switch s.flaw {
		case "failure":
			return nil
		case "failure/skip":
			return remediate.ErrSkip
		}
		return errBroken
	}
	s.valve = 3
	s.turns++
	return nil
}

func (s *turner) wait(ctx context.Context) error {
	<-ctx.Done()
	midway := errors.Is(ctx.Err(), context.Canceled)
	switch {
	case s.flaw == "cancel-midway/slow" && midway, s.flaw == "deadline/slow" && !midway:
		<-s.quit
	case s.flaw == "cancel-midway" && midway, s.flaw == "deadline" && !midway:
		return nil
	}
	return context.Cause(ctx)
}

func (s *turner) undo(ctx context.Context, req remediate.Request) error {
	s.mu.Lock()
	hanging := s.hanging
	s.mu.Unlock()
	if hanging {
		<-ctx.Done()
		switch s.flaw {
		case "undo-cancelled":
			return nil
		case "undo-cancelled/slow":
			<-s.quit
		}
		return context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, err := strconv.Atoi(string(req.Memo))
	switch {
	case err != nil && s.flaw == "undo-without-run":
		return errors.New("there is no memo")
	case err != nil && s.flaw == "undo-without-run/changes":
		s.valve = 7
		return nil
	case err != nil:
		return nil
	case s.flaw == "undo-memo":
		before = s.before
	case s.flaw == "undo-twice" && s.undone:
		s.valve--
		return nil
	case s.flaw == "undo" && !s.fresh && s.valve == 3 && !s.undone:
		before++
	case s.flaw == "undo" && s.undone:
		return nil
	case s.flaw == "undo-after-failure" && s.valve == 2:
		return nil
	}
	s.valve, s.undone = before, true
	if s.flaw == "undo/error" && !s.fresh && s.turns > 0 {
		return errors.New("did it, but")
	}
	return nil
}

func (s *turner) verify(context.Context, remediate.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.flaw == "verify-changes-nothing":
		s.turns++
	case s.flaw == "verify":
		return nil
	case s.flaw == "verify/blind" && !s.well:
		return remediate.ErrSkip
	}
	if !s.well {
		return errors.New("no pressure")
	}
	return nil
}

func TestStepSuiteIsSharp(t *testing.T) {
	sharp(t, stepSuite(), []string{
		"fixture", "name", "coherent", "runs", "runs/nothing", "same-key", "same-key/error", "save-first", "save-first/ignored",
		"skip", "skip/changes", "failure", "failure/skip", "read-only", "zero-finding", "hostile-finding", "undo", "undo/error",
		"undo-without-run", "undo-without-run/changes", "undo-twice", "undo-memo", "undo-after-failure", "verify", "verify/blind",
		"verify-changes-nothing", "cancelled", "cancelled/slow", "cancel-midway", "cancel-midway/slow", "deadline", "deadline/slow",
		"undo-cancelled", "undo-cancelled/slow", "no-leak",
	}, func(t *testing.T, flaw string) StepFixture {
		p := &plant{valve: 1}
		set := func(field *bool, to bool) func() {
			return func() { p.mu.Lock(); defer p.mu.Unlock(); *field = to }
		}
		f := StepFixture{
			Step:    (&turner{plant: p, flaw: flaw, quit: quitter(t)}).step(),
			State:   func() string { p.mu.Lock(); defer p.mu.Unlock(); return fmt.Sprint("valve at ", p.valve) },
			Effect:  func() int { p.mu.Lock(); defer p.mu.Unlock(); return p.turns },
			Finding: detect.Finding{Summary: "no pressure"},
			Restart: func() remediate.Step {
				return (&turner{plant: p, flaw: flaw, quit: quitter(t), fresh: true}).step()
			},
			Inapplicable: set(&p.moot, true),
			Break:        func() func() { set(&p.broken, true)(); return set(&p.broken, false) },
			Hang:         set(&p.hanging, true),
			SetHealed:    func(well bool) { set(&p.well, well)() },
			Patience:     short,
		}
		if flaw == "fixture" {
			f.State = nil
		}
		return f
	})
}

func TestStepFixtureSaysWhatItLacks(t *testing.T) {
	o := judge(t, stepSuite(), func(*testing.T) StepFixture { return StepFixture{} })
	assert.Equal(t, []string{"fixture"}, o.broken)
	assert.Equal(t, []string{"it lacks a Step with a Run", "it lacks State"}, o.breaches["fixture"])
}

func TestStepOnReadySteps(t *testing.T) {
	t.Run("a measure of World", func(t *testing.T) {
		TestStep(t, func(t *testing.T) StepFixture {
			var w World
			w.Sicken()
			return StepFixture{
				Step:   remediate.Step{Name: "shed-load", Run: w.Run, Undo: w.Undo},
				State:  func() string { return fmt.Sprint(w.InForce()) },
				Effect: func() int { return len(w.History()) },
				Restart: func() remediate.Step {
					return remediate.Step{Name: "shed-load", Run: w.Run, Undo: w.Undo}
				},
			}
		})
	})
	t.Run("a restart", func(t *testing.T) {
		TestStep(t, func(t *testing.T) StepFixture {
			restarts := 0
			return StepFixture{
				Step: remediate.Step{
					Name: "restart", Lasting: true,
					Run: remediate.Once(func(ctx context.Context, _ remediate.Request) error {
						if ctx.Err() == nil {
							restarts++
						}
						return ctx.Err()
					}),
				},
				State: func() string { return fmt.Sprintf("restarted %d times", restarts) },
			}
		})
	})
}
