package receive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

const (
	// DefaultLag is a group_interval of Alertmanager and one evaluation.
	DefaultLag = 6 * time.Minute
	// DefaultMaxAlerts is as many as a watch may have keys.
	DefaultMaxAlerts = 1000
	// loadTime bounds Store.Load.
	loadTime = 10 * time.Second
)

// TableOptions are the parts of a Config that are about alerts.
type TableOptions struct {
	Repeat    time.Duration // how often the sender restates; 0 is never
	Expiry    time.Duration // 0: twice Repeat, or Never
	Never     time.Duration // the expiry where the sender never restates
	Lag       time.Duration // 0: DefaultLag; -1: none
	MaxAlerts int           // 0: DefaultMaxAlerts
	Store     detect.Store
}

// A Table knows the level of each alert. It is safe for concurrent use.
type Table struct {
	door *Endpoint
	o    TableOptions
	turn chan struct{} // held by who writes; never while a view looks

	mu      sync.Mutex
	records map[string]*record // by identity
	live    int                // of them, those that are not resolved
	heard   time.Time          // of any alert, in this life or restored; zero is never
	kept    time.Time          // what heard was when it was stored
	swept   time.Time
	flooded time.Time // until then alerts are missing
	views   []*View
}

// NewTable checks the door and the options and restores what the store has.
func NewTable(door *Endpoint, o TableOptions) (*Table, error) {
	if err := door.Check(); err != nil {
		return nil, err
	}
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("detect/"+door.Kind+": "+format, args...)
	}
	var errs []error
	if o.Repeat < 0 {
		errs = append(errs, wrong("Repeat is %v: use the interval at which the sender repeats what fires", o.Repeat))
	}
	switch {
	case o.Expiry < 0:
		errs = append(errs, wrong("Expiry is %v: use a positive time, or 0 for the default", o.Expiry))
	case o.Expiry == 0 && o.Repeat > 0:
		o.Expiry = 2*o.Repeat + DefaultLag // a repeat is due at the group's next turn, not on the second
	case o.Expiry == 0:
		o.Expiry = o.Never
	case o.Expiry < 2*o.Repeat:
		errs = append(errs, wrong("Expiry is %v, less than twice Repeat, which is %v: one repeat that is lost would make the receiver blind; use at least %v, or set Repeat to what the sender does", o.Expiry, o.Repeat, 2*o.Repeat))
	}
	if o.Lag < -1 {
		errs = append(errs, wrong("Lag is %v: use a positive time, 0 for %v, or -1 for none", o.Lag, DefaultLag))
	}
	if o.Lag == 0 {
		o.Lag = DefaultLag
	}
	if o.MaxAlerts < 0 {
		errs = append(errs, wrong("MaxAlerts is %d: use a positive number, or 0 for %d", o.MaxAlerts, DefaultMaxAlerts))
	}
	if o.MaxAlerts == 0 {
		o.MaxAlerts = DefaultMaxAlerts
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	t := &Table{door: door, o: o, turn: make(chan struct{}, 1), records: map[string]*record{}, swept: time.Now()}
	if o.Store != nil {
		if err := t.restore(); err != nil {
			return nil, wrong("the Store could not be read: %w", err)
		}
	}
	return t, nil
}

const noData = "the sender has no data"

// dark are the names of whose alerts the sender knows nothing. t.mu is held.
func (t *Table) dark() map[string]bool {
	var names map[string]bool
	for _, r := range t.records {
		if r.wide && r.state == NoData {
			if names == nil {
				names = map[string]bool{}
			}
			names[r.name] = true
		}
	}
	return names
}

// stale says why nobody vouches for r, or until when somebody does.
func (t *Table) stale(r *record, now time.Time) (why string, until time.Time) {
	until = r.heard.Add(t.o.Expiry)
	switch {
	case r.opaque:
		return "stored in a form that cannot be read", until
	case r.state == NoData:
		return noData, until
	case r.restored:
		return "restored after a restart and not restated since", until
	case !now.Before(until):
		return "neither restated nor resolved for " + t.o.Expiry.String(), until
	}
	return "", until
}

// Take takes statements in: stored first, then seen by the views. It counts at the
// door what it did.
func (t *Table) Take(ctx context.Context, alerts []Alert) Verdict {
	p, wakes, no := t.take(ctx, alerts)
	if no != nil {
		return *no
	}
	for _, wake := range wakes {
		wake()
	}
	t.door.Took(p.took)
	for range p.older {
		t.door.Count(http.StatusOK, Older, nil)
	}
	for range p.crowded {
		t.door.Count(http.StatusOK, NoRoom, nil)
	}
	return Verdict{Status: http.StatusOK, Say: fmt.Sprintf("%d taken, %d older than what is known, %d without room", p.took, p.older, p.crowded)}
}

func (t *Table) take(ctx context.Context, alerts []Alert) (*plan, []func(), *Verdict) {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		no := Fail(Busy, errors.New("earlier posts still wait for the Store"))
		return nil, nil, &no
	}
	defer func() { <-t.turn }()
	now := time.Now()
	p := t.plan(alerts, now)
	if err := t.persist(ctx, p, now); err != nil {
		no := Fail(NotStored, err)
		return nil, nil, &no
	}
	return p, t.commit(p, now), nil
}

// Forget drops what is known of an alert.
func (t *Table) Forget(ctx context.Context, key string) error {
	wakes, err := t.forget(ctx, key)
	if err != nil {
		return fmt.Errorf("detect/%s: forget %q: %w", t.door.Kind, key, err)
	}
	for _, wake := range wakes {
		wake()
	}
	return nil
}

func (t *Table) forget(ctx context.Context, key string) ([]func(), error) {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-t.turn }()
	t.mu.Lock()
	r, p := t.records[key], &plan{drop: map[string]bool{key: true}, live: t.live}
	t.mu.Unlock()
	if r == nil {
		return nil, errors.New("no such alert is known; findings and errors of All name them")
	}
	if r.state != Resolved {
		p.live--
	}
	if t.o.Store != nil {
		if err := t.guard(func() error { return t.o.Store.Delete(ctx, t.storeKey(key)) }); err != nil {
			return nil, err
		}
	}
	return t.commit(p, time.Now()), nil
}

// guard calls code of the user's.
func (t *Table) guard(call func() error) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("the Store panicked: %v\n%s", x, debug.Stack())
		}
	}()
	return call()
}

// Stats is what the door has counted, and what fires and what is stale now.
func (t *Table) Stats() detect.ReceiverStats {
	s := t.door.Stats()
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, r := range t.records {
		switch why, _ := t.stale(r, now); {
		case r.state == Resolved:
		case why == "":
			s.Firing++
		default:
			s.Stale++
		}
	}
	return s
}
