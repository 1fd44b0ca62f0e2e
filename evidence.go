package selfheal

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/evidence"
	"github.com/selfheal-go/selfheal/internal/incident"
)

const (
	// ownBudget is what the supervisor's own capture takes at most of gatherBudget
	// where a watch has gatherers of its own.
	ownBudget = 1200 * time.Millisecond
	// freshFor is how long a capture also serves other incidents whose next step is
	// Safe: hundreds of keys that fall ill together have one picture of the process.
	freshFor = 10 * time.Second
	// memoryEvidence bounds the store where there is no directory for it.
	memoryEvidence = 16 << 20
)

// keeper captures what the process looked like before a step. One capture is under
// way at a time.
type keeper struct {
	store   *evidence.Store
	capture escalate.Gatherer

	mu    sync.Mutex // never held while anything of others runs
	going chan struct{}
	found []escalate.Evidence
	at    time.Time
}

// newKeeper is nil where nothing is to be captured.
func (s *Supervisor) newKeeper(trial bool) *keeper {
	o := s.o.Evidence
	s.mu.Lock()
	earlier := s.keeper
	s.mu.Unlock()
	switch {
	case earlier != nil:
		return earlier
	case o.Off, trial && o.Store == nil: // a bundle of a test program helps nobody
		return nil
	case o.Store == nil:
		o.Store = s.openEvidenceStore()
	}
	k := &keeper{store: o.Store, capture: evidence.Default(o)}
	if wrongWith(k.capture) != nil {
		return nil // Validate and the log say why
	}
	return k
}

// openEvidenceStore keeps bundles where they outlive the process, if there is such
// a place: a step may replace it.
func (s *Supervisor) openEvidenceStore() *evidence.Store {
	o := evidence.StoreOptions{Redactor: evidence.NewRedactor(s.o.Secrets...)}
	if j := s.o.Journal; j != nil && j.dir != "" {
		o.Dir = j.dir + "-evidence"
		store, err := evidence.OpenStore(o)
		if err == nil {
			return store
		}
		s.logger().Warn("selfheal: evidence is kept in memory, and ends with the process", "error", err)
		o.Dir = ""
	}
	o.MaxBytes = memoryEvidence
	store, _ := evidence.OpenStore(o) // these options are sound, and memory does not fail
	return store
}

// evidenceProblems are mistakes in Options.Evidence.
func (o *Options) evidenceProblems() []Problem {
	e := o.Evidence
	if e.Off {
		return nil
	}
	if e.Store == nil {
		e.Store, _ = evidence.OpenStore(evidence.StoreOptions{})
	}
	if err := wrongWith(evidence.Default(e)); err != nil {
		return []Problem{{What: "Options.Evidence: " + err.Error()}}
	}
	return nil
}

// wrongWith asks a gatherer that can tell.
func wrongWith(g escalate.Gatherer) error {
	if v, ok := g.(detect.Validator); ok {
		return validate(v)
	}
	return nil
}

// gather captures, or waits for the capture that is under way and, unless it must
// be fresh, takes what that found.
func (k *keeper) gather(ctx context.Context, in escalate.Incident, fresh bool) (found []escalate.Evidence, err error) {
	for {
		k.mu.Lock()
		if !fresh && len(k.found) > 0 && time.Since(k.at) < freshFor {
			found = k.found
			k.mu.Unlock()
			return found, nil
		}
		going := k.going
		if going == nil {
			k.going = make(chan struct{})
			k.mu.Unlock()
			break
		}
		k.mu.Unlock()
		select {
		case <-going:
		case <-ctx.Done():
			return nil, evidence.ErrBusy
		}
	}
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		close(k.going)
		k.going = nil
		if len(found) > 0 {
			k.found, k.at = found, time.Now()
		}
	}()
	return k.capture.Gather(ctx, in)
}

// captures says whether anything is captured for a watch.
func (s *Supervisor) captures(e *entry) bool { return s.keeper != nil || len(e.watch.Evidence) > 0 }

// gather captures evidence of an incident within its budget, and then goes on
// whatever became of it. attempt is that of the step that waits for it, or 0.
func (s *Supervisor) gather(e *entry, in escalate.Incident, attempt int, fresh bool, then func()) {
	theirs := e.watch.Evidence
	where := "the evidence of watch " + e.watch.Name
	s.calls.start(&call{
		where: where, timeout: gatherBudget,
		f: func(ctx context.Context) error {
			var errs []error
			var all []escalate.Evidence
			ctx, end := s.span(ctx, spanOfEvidence, in.ID, attempt)
			defer func() { end(errors.Join(errs...), evidenceNames(all)) }()
			take := func(found []escalate.Evidence, err error) {
				errs, all = append(errs, err), append(all, found...)
				if len(found) > 0 {
					s.post(incident.Input{Kind: incident.InGathered, Watch: in.Watch, Key: in.Finding.Key, Incident: in.ID, Evidence: found})
				}
			}
			if k := s.keeper; k != nil {
				own, cancel := ctx, context.CancelFunc(func() {})
				if len(theirs) > 0 {
					own, cancel = context.WithTimeout(ctx, ownBudget)
				}
				take(k.gather(own, in, fresh))
				cancel()
			}
			for _, g := range theirs {
				if ctx.Err() != nil {
					break
				}
				take(g.Gather(ctx, in))
			}
			return errors.Join(errs...)
		},
		done: func(err error, _ bool) {
			then()
			if err != nil { // by the pump: a log that hangs or panics is the application's
				s.pump.push(func(a About) Event {
					a.Watch, a.Key, a.Incident = in.Watch, in.Finding.Key, in.ID
					return EventEvidence{About: a, Err: err}
				})
			}
		},
		stuck: func() { s.abandoned(where) },
	})
}

// gatherForPeople captures when people are called or asked for an incident of which
// nothing was captured, because no step ran. The page does not wait: what is captured
// stands in the console, and in what is sent later. A supervisor that is starved
// leaves it.
func (s *Supervisor) gatherForPeople(n *incident.Notice) {
	in := n.Incident
	called := n.Kind == escalate.Trigger || n.Kind == escalate.Ask
	if !called || n.Inform || in.ID == "" || in.Reason == escalate.Storm || len(in.Evidence) > 0 || len(in.Attempts) > 0 {
		return
	}
	s.mu.Lock()
	e := s.entries[in.Watch]
	whole := s.engine.Whole()
	s.mu.Unlock()
	if e == nil || whole.TiltSince >= 0 || whole.Stopping || !s.captures(e) {
		return
	}
	s.gather(e, in, 0, false, func() {})
}

// evidenceOpener is where the console finds evidence; nil: nowhere.
func (s *Supervisor) evidenceOpener() func(ref string) (io.ReadSeekCloser, error) {
	switch {
	case s.o.Console.Evidence != nil:
		return s.o.Console.Evidence
	case s.o.Evidence.Off:
		return nil
	}
	return func(ref string) (io.ReadSeekCloser, error) {
		s.mu.Lock()
		k := s.keeper
		s.mu.Unlock()
		if k == nil {
			return nil, evidence.ErrNotFound
		}
		return k.store.Open(ref)
	}
}
