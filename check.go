package selfheal

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/schedule"
	"github.com/selfheal-go/selfheal/remediate"

	"github.com/selfheal-go/selfheal/detect"
)

// PanicError is a panic of user code that was recovered; used as *PanicError.
type PanicError = remediate.PanicError

// ErrHung is how a watch is blind whose detector has not answered in time.
var ErrHung = errors.New("the check has not answered in time and still runs")

// ErrGoexit is how a call failed that ended its goroutine with runtime.Goexit.
var ErrGoexit = errors.New("the call ended its goroutine with runtime.Goexit")

func newPanic(where string, value any) *PanicError {
	return &PanicError{Where: where, Value: value, Stack: debug.Stack()}
}

// check asks a detector. What finds nothing, on a watch of which the engine
// wants to know nothing, touches nothing that is shared.
func check(ctx context.Context, t *schedule.Task, started time.Time) {
	e := t.Owner.(*entry)
	s := e.s
	at := s.since(started)
	e.lastLook.Store(int64(at) + 1)
	findings, err := e.detect(ctx)
	if e.hung() != 0 {
		// What it saw was so when it began, which is too long ago.
		e.blame().hung.Store(0)
		s.sched.Wake(t)
		return
	}
	if err == nil {
		e.lastSeen.Store(int64(at) + 1)
		if len(findings) == 0 && !e.engaged.Load() && !e.sick.Load() {
			return
		}
	}
	e.sick.Store(len(findings) > 0 || err != nil)
	s.post(incident.Input{Kind: incident.InLook, Watch: e.watch.Name, Started: at, Findings: slices.Clone(findings), Err: err})
}

// warm touches what a check is about to need, one pointer further each time.
var warm = []func(*schedule.Task){
	func(t *schedule.Task) { t.Owner.(*entry).lastLook.Load() },
	func(t *schedule.Task) {
		if w, ok := t.Owner.(*entry).detector.(detect.Warmer); ok {
			w.Warm()
		}
	},
}

// detect calls the user's detector; its panic is blindness.
func (e *entry) detect(ctx context.Context) (findings []detect.Finding, err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if x := recover(); x != nil {
			p := newPanic("the detector of watch "+e.watch.Name, x)
			e.s.panicked(e, p)
			findings, err = nil, p
			return
		}
		// runtime.Goexit: nothing that is returned here arrives.
		e.sick.Store(true)
		e.s.post(incident.Input{Kind: incident.InLook, Watch: e.watch.Name, Started: incident.At(e.lastLook.Load() - 1), Err: ErrGoexit})
	}()
	findings, err = e.detector.Detect(ctx)
	returned = true
	return findings, err
}

// hung is called once for a look that outlives its time-out.
func hung(t *schedule.Task, started time.Time) {
	e := t.Owner.(*entry)
	s := e.s
	at := s.since(started)
	c := e.blame()
	c.hung.Store(int64(at) + 1)
	c.hangs.Add(1)
	e.sick.Store(true)
	s.post(incident.Input{
		Kind: incident.InLook, Watch: e.watch.Name, Started: at,
		Err: fmt.Errorf("%w: %v", ErrHung, e.watch.timeout()),
	})
}

func (s *Supervisor) panicked(e *entry, p *PanicError) {
	c := e.blame()
	c.panics.Add(1)
	c.panicked.Store(p)
	s.counts.panics.Add(1)
}
