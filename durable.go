package selfheal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

// task is a decision for the loop to carry out, and what must be durable before.
type task struct {
	incident.Decision
	after *write
}

// step lets the engine take in what happened. s.mu is held.
func (s *Supervisor) step(ins ...incident.Input) {
	s.decide(s.engine.Step(s.now(), ins...))
}

// decide keeps decisions for the loop, in order, and puts on record what must not
// be forgotten before they are carried out. s.mu is held.
func (s *Supervisor) decide(ds []incident.Decision) {
	if rs := s.engine.Records(); len(rs) > 0 {
		s.written = s.o.Journal.records(s.cleanRecords(rs))
	}
	for n := range ds {
		s.todo = append(s.todo, task{Decision: ds[n], after: s.written})
	}
}

// acts says whether a decision changes the world: only such a one waits for the
// disk. Notices wait in the outbox, which writes down by itself what it owes.
func acts(k incident.DecisionKind) bool { return k == incident.DoRun || k == incident.DoUndo }

// carryOut executes a task, or comes back to it once its records are durable.
func (s *Supervisor) carryOut(t *task) {
	if t.after == nil || !acts(t.Kind) {
		s.execute(&t.Decision)
		return
	}
	d := t.Decision
	t.after.then(func(err error) {
		s.mu.Lock()
		trouble := ""
		if err != nil {
			// Where the disk takes nothing, the rail of the journal says what may
			// run all the same; where only this could not be written, it is tried
			// again after a fresh look.
			if trouble = s.o.Journal.trouble(); trouble != "" {
				s.step(incident.Input{Kind: incident.InDegraded, On: true, Note: trouble})
			}
		}
		if d.Kind == incident.DoRun && (err != nil && trouble == "" || !s.engine.MayRun(d.Incident, d.Attempt)) {
			s.step(withdrawn(&d))
		} else {
			s.todo = append(s.todo, task{Decision: d})
		}
		s.mu.Unlock()
		s.poke()
	})
}

func withdrawn(d *incident.Decision) incident.Input {
	return incident.Input{
		Kind: incident.InRan, Watch: d.Watch, Key: d.Key, Incident: d.Incident, Attempt: d.Attempt, Try: d.Try,
		Result: incident.Withdrawn,
	}
}

// recall takes up what earlier lives left. s.mu is held, and nothing is watched
// yet.
func (s *Supervisor) recall() error {
	j := s.o.Journal
	if j == nil && s.trial {
		return nil // nothing outlives a test
	}
	if j == nil {
		s.logger().Info("selfheal: there is no journal: limits, halts and what is owed are kept in memory and forgotten by a crash")
		return nil
	}
	if err := j.claim(s); err != nil {
		return err
	}
	s.decide(s.engine.Restore(j.saved, j.moment()))
	if lost := j.damaged(); lost != "" {
		s.logger().Error("selfheal: the journal is damaged", "dir", j.dir, "damage", lost)
		s.step(incident.Input{Kind: incident.InHalt, By: "selfheal", Note: "the journal " + j.dir + " is damaged, so that limits and halts may be missing; resume once it was looked at: " + lost})
	}
	if why := j.trouble(); why != "" {
		s.step(incident.Input{Kind: incident.InDegraded, On: true, Note: why})
	}
	return nil
}

// reunite gives the watches what earlier lives left of them, and the outbox what
// it owes. It comes after the watches were started, so that each has its targets.
func (s *Supervisor) reunite() {
	j := s.o.Journal
	if j == nil {
		return
	}
	s.mu.Lock()
	for _, name := range j.saved.Watches() {
		if e := s.entries[name]; e != nil && e.started && !e.known {
			s.takeUp(e)
		}
	}
	j.saved = nil
	notices := j.notices
	j.notices = nil
	s.mu.Unlock()
	s.outbox.Restore(notices)
	s.reconcile(notices)
	s.poke()
}

// takeUp gives a watch what earlier lives left of it. s.mu is held.
func (s *Supervisor) takeUp(e *entry) {
	e.known = true
	cfg := e.watch.config(&s.o)
	s.step(incident.Input{Kind: incident.InAdd, Watch: e.watch.Name, Add: &cfg})
}

// reconcile makes the engine and the outbox agree, which write down what they
// know apart from each other: an earlier life may have ended in between.
func (s *Supervisor) reconcile(notices []outbox.Record) {
	entries := map[string]*outbox.Entry{}
	for _, r := range notices {
		entries[r.Key] = r.Entry
	}
	var over []outbox.Resolve
	s.mu.Lock()
	for key, e := range entries {
		if e == nil || e.Closed || e.Group != nil || e.Digest != nil || s.engine.Knows(key) {
			continue
		}
		in := e.Last.Incident
		in.State, in.Closed = escalate.Closed, time.Now()
		over = append(over, outbox.Resolve{DedupKey: key, Incident: in, At: in.Closed})
	}
	said := func(id string) (escalate.Reason, bool) {
		if e := entries[id]; e != nil {
			return e.Last.Incident.Reason, true
		}
		return "", false
	}
	for _, id := range s.engine.Untold(said) {
		s.step(incident.Input{Kind: incident.InUntold, Incident: id})
	}
	s.mu.Unlock()
	slices.SortFunc(over, func(a, b outbox.Resolve) int { return strings.Compare(a.DedupKey, b.DedupKey) })
	for _, r := range over {
		s.outbox.Input(r)
	}
}

// store is the journal as the outbox sees it; nil without one.
func (s *Supervisor) store() outbox.Store {
	if s.o.Journal == nil {
		return nil
	}
	return noticeStore{s.o.Journal}
}

type noticeStore struct{ j *Journal }

func (n noticeStore) Append(rs []outbox.Record, done func(error)) { n.j.appendNotices(rs, done) }

// resume ends a halt: it must be durable before it takes effect, or a crash would
// bring the halt back after somebody was told that it is over. It ends the halt that
// the person saw, and none that came meanwhile.
func (s *Supervisor) resume(by string) error {
	in := incident.Input{Kind: incident.InResume, By: by}
	j := s.o.Journal
	s.mu.Lock()
	seen := s.engine.Whole().Halted
	s.mu.Unlock()
	if j == nil || seen == nil {
		return s.ask(in)
	}
	err := j.records([]incident.Record{{Halt: &incident.HaltRecord{}}}).wait()
	s.mu.Lock()
	now := s.engine.Whole().Halted
	if now != nil && err == nil && *now != *seen {
		err = fmt.Errorf("%s halted again meanwhile", now.By)
	}
	if err != nil {
		if now != nil {
			j.records([]incident.Record{{Halt: &incident.HaltRecord{On: true, By: now.By, Reason: now.Reason}}})
		}
		s.mu.Unlock()
		return fmt.Errorf("%w; it stays halted", err)
	}
	w, err := s.answered(in)
	s.mu.Unlock()
	s.poke()
	if err != nil {
		return err
	}
	return w.wait()
}

// endLife writes down that this life ended in order, at its very end.
func (s *Supervisor) endLife() {
	j := s.o.Journal
	if j == nil {
		return
	}
	s.mu.Lock()
	if rs := s.engine.Records(); len(rs) > 0 {
		j.records(s.cleanRecords(rs))
	}
	w := j.records([]incident.Record{s.engine.Ended()})
	s.mu.Unlock()
	if err := w.wait(); err != nil {
		s.logger().Warn("selfheal: the end of this life is not on record, so it counts as a crash", "error", err)
	}
	j.mu.Lock()
	j.owner = nil
	j.mu.Unlock()
}

// mayRecycle says why the process may not be replaced now; nil if it may.
func (s *Supervisor) mayRecycle() error {
	switch j := s.o.Journal; {
	case j == nil:
		return ErrNoJournal
	case j.trouble() != "":
		return errors.Join(ErrNotDurable, errors.New(j.trouble()))
	}
	return nil
}
