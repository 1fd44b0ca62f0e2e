package selfheal

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/outbox"
)

// ErrNoJournal is why nothing that only a journal can bound is done.
var ErrNoJournal = errors.New("selfheal: a process that replaces itself must remember that it did, and there is no journal: open one with OpenJournal and set Options.Journal")

// ErrNotDurable is what a method returns whose effect is not on the disk: a
// crash now would forget it. What the method says of its effect in memory holds
// all the same.
var ErrNotDurable = errors.New("selfheal: not durable: the journal has not confirmed it")

// The types of what is written, which never change their meaning.
const (
	typeIncident uint16 = 1 // a record of the engine
	typeNotice   uint16 = 2 // a record of the outbox
	typeAudit    uint16 = 3 // a line for people
	typeLink     uint16 = 5 // a link of a notice that was used
)

// Journal keeps what must survive a crash: limits, halts, silences, attempts,
// undos and notices that are owed. [OpenJournal] makes it; one supervisor uses
// it. It is safe for concurrent use.
type Journal struct {
	dir   string
	log   *journal.Journal
	clock journal.Clock
	used  atomic.Bool

	// What was there when it was opened.
	saved   *incident.Saved
	notices []outbox.Record
	damage  []string

	mu      sync.Mutex // never held while anything of others runs
	owner   *Supervisor
	things  map[string]thing     // the newest word on each, which a snapshot must hold
	lives   []thing              // begun, lasted, ended; the latest last
	audit   []thing              // the latest lines
	links   map[string]time.Time // of notices that were used, and when they expire
	waiting map[*write]struct{}
	sick    string // why nothing is durable now
}

// thing is an entry that a snapshot must hold.
type thing struct {
	kind    uint16
	payload []byte
}

const (
	keptLives = 64   // records, of which a life has at most three
	keptLines = 5000 // lines for people that a snapshot keeps
)

// stamped is how a record of the engine is written: with the moment that its
// distances count from, since a snapshot is written later than what it holds.
type stamped struct {
	Boot   string          `json:"boot,omitempty"`
	Up     time.Duration   `json:"up_ns"`
	Record incident.Record `json:"record"`
}

// Line is what happened, for people: an entry of the journal as audit.
type Line struct {
	Time     time.Time `json:"time"`
	Watch    string    `json:"watch,omitempty"`
	Key      string    `json:"key,omitempty"`
	Incident string    `json:"incident,omitempty"`
	Text     string    `json:"text"`
}

// OpenJournal opens the journal in a directory, which it makes where there is
// none: with mode 0700, files with 0600. "" is $STATE_DIRECTORY/selfheal, which
// systemd sets for a unit with StateDirectory=. The directory must lie on a local
// file system that outlives the process.
//
// One process has it open at a time: the error names who does. Damage is no
// error: the supervisor that gets such a journal starts halted, says what is
// lost, and waits for a person to resume.
//
// Close it after Run has returned.
func OpenJournal(dir string) (*Journal, error) {
	path, err := journal.Dir(dir, os.Getenv)
	if err != nil {
		return nil, fmt.Errorf("selfheal: open journal: %w", err)
	}
	j := &Journal{
		dir: path, clock: journal.NewClock(), saved: incident.NewSaved(),
		things: map[string]thing{}, waiting: map[*write]struct{}{},
	}
	j.log, err = journal.Open(path, journal.Options{Notify: j.notify, Now: j.clock.Now})
	if err != nil {
		return nil, fmt.Errorf("selfheal: open journal: %w", err)
	}
	if err := j.replay(); err != nil {
		_ = j.log.Close()
		return nil, fmt.Errorf("selfheal: open journal %s: %w", path, err)
	}
	return j, nil
}

// Close writes what is queued and lets go of the directory. It may be called more
// than once.
func (j *Journal) Close() error {
	if j == nil || j.log == nil {
		return nil
	}
	if err := j.log.Close(); err != nil {
		return fmt.Errorf("selfheal: close journal %s: %w", j.dir, err)
	}
	return nil
}

// replay reads what earlier lives wrote.
func (j *Journal) replay() error {
	for r, err := range j.log.Replay() {
		var d *journal.Damage
		switch {
		case errors.As(err, &d):
			continue // the report has it
		case err != nil:
			return err
		}
		if err := j.take(r.Type, r.Payload); err != nil {
			j.damage = append(j.damage, fmt.Sprintf("record %d: %v", r.Seq, err))
		}
	}
	if r := j.log.Report(); !r.Sound() {
		for _, d := range r.Damage {
			if !d.Superseded && d.Kind != journal.Torn {
				j.damage = append(j.damage, d.Error())
			}
		}
	}
	return nil
}

// take takes in a record that an earlier life wrote.
func (j *Journal) take(kind uint16, payload []byte) error {
	payload = slices.Clone(payload)
	switch kind {
	case typeIncident:
		var s stamped
		if err := json.Unmarshal(payload, &s); err != nil {
			return err
		}
		j.saved.Apply(s.Record, incident.Moment{Boot: s.Boot, Up: s.Up})
		j.keep(&s.Record, thing{kind, payload})
	case typeNotice:
		var r outbox.Record
		if err := json.Unmarshal(payload, &r); err != nil {
			return err
		}
		j.notices = append(j.notices, r)
		j.keepNotice(&r, thing{kind, payload})
	case typeAudit:
		j.keepLine(thing{kind, payload})
	case typeLink:
		var u usedLink
		if err := json.Unmarshal(payload, &u); err != nil {
			return err
		}
		j.keepLink(u, thing{kind, payload})
	case typeAlert:
		var r alertRecord
		if err := json.Unmarshal(payload, &r); err != nil {
			return err
		}
		j.keepAlert(&r, thing{kind, payload})
	default:
		// Of a later version: it is for that version to read again.
		j.things[fmt.Sprintf("?/%d/%x", kind, payload)] = thing{kind, payload}
	}
	return nil
}

// keep holds the newest word on what r is about.
func (j *Journal) keep(r *incident.Record, t thing) {
	if r.Life != nil {
		j.lives = append(j.lives, t)
		j.lives = slices.Delete(j.lives, 0, max(len(j.lives)-keptLives, 0))
		return
	}
	name, over := r.Name()
	if over {
		delete(j.things, name)
		return
	}
	j.things[name] = t
}

func (j *Journal) keepNotice(r *outbox.Record, t thing) {
	name := "notice/" + r.Key
	if r.Entry == nil {
		delete(j.things, name)
		return
	}
	j.things[name] = t
}

func (j *Journal) keepLine(t thing) {
	if len(j.audit) >= 2*keptLines {
		j.audit = slices.Clone(j.audit[keptLines:])
	}
	j.audit = append(j.audit, t)
}

// moment is now, on the clock of the machine.
func (j *Journal) moment() incident.Moment {
	s := j.clock.Now()
	m := incident.Moment{Up: s.Boot}
	if s.BootID != (journal.BootID{}) {
		m.Boot = s.BootID.String()
	}
	return m
}

// claim gives the journal to one supervisor.
func (j *Journal) claim(s *Supervisor) error {
	if j.log == nil {
		return errors.New("selfheal: Options.Journal is not open: make it with OpenJournal")
	}
	if j.used.Swap(true) {
		return fmt.Errorf("selfheal: the journal %s has been used by a supervisor before: open it again for another", j.dir)
	}
	j.mu.Lock()
	j.owner = s
	j.mu.Unlock()
	return nil
}

// damaged says what is missing, "" when nothing is.
func (j *Journal) damaged() string {
	if len(j.damage) > 8 {
		return strings.Join(j.damage[:8], "; ") + fmt.Sprintf("; and %d more", len(j.damage)-8)
	}
	return strings.Join(j.damage, "; ")
}

// records writes what the engine must not forget.
func (j *Journal) records(rs []incident.Record) *write {
	m := j.moment()
	j.mu.Lock()
	defer j.mu.Unlock()
	entries := make([]journal.Entry, 0, len(rs))
	for n := range rs {
		payload, err := json.Marshal(stamped{Boot: m.Boot, Up: m.Up, Record: rs[n]})
		if err != nil {
			return written(fmt.Errorf("%w: %w", ErrNotDurable, err))
		}
		entries = append(entries, journal.Entry{Type: typeIncident, Payload: payload})
		j.keep(&rs[n], thing{typeIncident, payload})
	}
	return j.append(entries)
}

// appendNotices writes what the outbox must not forget.
func (j *Journal) appendNotices(rs []outbox.Record, done func(error)) {
	j.mu.Lock()
	entries := make([]journal.Entry, 0, len(rs))
	var failed error
	for n := range rs {
		payload, err := json.Marshal(rs[n])
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		entries = append(entries, journal.Entry{Type: typeNotice, Payload: payload})
		j.keepNotice(&rs[n], thing{typeNotice, payload})
	}
	w := j.append(entries)
	j.mu.Unlock()
	w.then(func(err error) { done(errors.Join(err, failed)) })
}

// line writes down what happened, for people. Nobody waits for it.
func (j *Journal) line(l Line) {
	payload, err := json.Marshal(l)
	if err != nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.keepLine(thing{typeAudit, payload})
	_ = j.log.Append([]journal.Entry{{Type: typeAudit, Payload: payload}}, nil)
}

// append queues entries. j.mu is held, so that a snapshot has what is queued
// before it and nothing else.
func (j *Journal) append(entries []journal.Entry) *write {
	w := &write{}
	j.waiting[w] = struct{}{}
	err := j.log.Append(entries, func(err error) {
		j.mu.Lock()
		delete(j.waiting, w)
		j.mu.Unlock()
		w.settle(err)
	})
	if err != nil {
		delete(j.waiting, w)
		return written(err)
	}
	if j.sick != "" {
		delete(j.waiting, w)
		return written(fmt.Errorf("%w: %s", ErrNotDurable, j.sick))
	}
	return w
}

// snapshot replaces what has been written by what is still so.
func (j *Journal) snapshot() {
	j.mu.Lock()
	defer j.mu.Unlock()
	names := make([]string, 0, len(j.things))
	for name := range j.things {
		names = append(names, name)
	}
	slices.Sort(names)
	var entries []journal.Entry
	add := func(t thing) { entries = append(entries, journal.Entry{Type: t.kind, Payload: t.payload}) }
	for _, t := range j.lives {
		add(t)
	}
	for _, name := range names {
		add(j.things[name])
	}
	for _, t := range j.audit[max(len(j.audit)-keptLines, 0):] {
		add(t)
	}
	_ = j.log.Snapshot(entries, nil) // it is asked for again where it fails
}

// notify takes in what the journal says of itself.
func (j *Journal) notify(ev journal.Event) {
	switch ev.Kind {
	case journal.SnapshotWanted:
		j.snapshot()
	case journal.Degraded:
		j.say(true, fmt.Sprint(ev.Err))
	case journal.Stalled:
		j.say(true, fmt.Sprintf("the disk has not answered for %v", ev.After.Round(time.Millisecond)))
	case journal.Recovered, journal.Resumed:
		j.say(false, "")
	case journal.FileFailed, journal.Panicked:
		if s := j.supervisor(); s != nil {
			s.logger().Warn("selfheal: the journal goes on in another file", "dir", j.dir, "error", ev.Err)
		}
	}
}

func (j *Journal) supervisor() *Supervisor {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.owner
}

// say tells the supervisor that nothing is durable, or that all is again. Nobody
// waits for a disk that does not answer.
func (j *Journal) say(sick bool, why string) {
	j.mu.Lock()
	j.sick = why
	var stranded []*write
	if sick {
		for w := range j.waiting {
			stranded = append(stranded, w)
		}
		clear(j.waiting)
	}
	s := j.owner
	j.mu.Unlock()
	if s != nil {
		s.post(incident.Input{Kind: incident.InDegraded, On: sick, Note: why})
	}
	for _, w := range stranded {
		w.settle(fmt.Errorf("%w: %s", ErrNotDurable, why))
	}
}

// trouble is why nothing is durable now, "" when it is.
func (j *Journal) trouble() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sick
}
