package world

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/outbox"
	"github.com/selfheal-go/selfheal/internal/sim/monitor"
)

// The types of records, as the root package writes them.
const (
	typeIncident uint16 = 1
	typeNotice   uint16 = 2
	keptLives           = 64
)

const (
	stallAfter  = 5 * time.Second
	retryEvery  = 10 * time.Second
	durableWait = 5 * time.Second
)

// ledger is the journal of a process: a real log on a simulated disk, driven by
// events where the root package has goroutines.
type ledger struct {
	p   *process
	log *journal.Log

	saved   *incident.Saved
	found   []incident.Record
	notices []outbox.Record
	damage  []string

	things map[string]thing
	lives  []thing

	queue    []op
	busy     bool
	asks     int // of the disk, so far
	slow     bool
	degraded error
	sick     string
	snapping bool
	asked    bool
	used     bool
	armed    bool
	waiting  []*write
	issued   uint64
	durable  uint64
}

type thing struct {
	kind    uint16
	payload []byte
}

type stamped struct {
	Boot   string          `json:"boot,omitempty"`
	Up     time.Duration   `json:"up_ns"`
	Record incident.Record `json:"record"`
}

// op is one write, or a snapshot of everything up to a number.
type op struct {
	recs     []journal.Record
	snapshot bool
	n        uint64
	w        *write
}

// logOptions are small, so that segments are filled and snapshots taken often.
var logOptions = journal.LogOptions{SegmentBytes: 64 << 10, Segments: 2, MaxSegments: 8, History: -1}

func openLedger(p *process) (*ledger, error) {
	j := &ledger{p: p, saved: incident.NewSaved(), things: map[string]thing{}}
	var err error
	j.log, err = journal.OpenLog(p.m.disk, logOptions)
	if p.cut("while the journal is opened") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for r, err := range j.log.Replay() {
		var d *journal.Damage
		switch {
		case errors.As(err, &d):
			continue
		case err != nil:
			return nil, err
		}
		if err := j.take(r.Type, slices.Clone(r.Payload)); err != nil {
			j.damage = append(j.damage, fmt.Sprintf("record %d: %v", r.Seq, err))
		}
	}
	if r := j.log.Report(); !r.Sound() {
		for _, d := range r.Damage {
			if d.Superseded || d.Kind == journal.Torn {
				continue
			}
			j.damage = append(j.damage, d.Error())
			if !p.m.flipped {
				p.m.w.monitor.Broken(monitor.RecordedFirst, "%s: what was on record is damaged, and nobody has touched it: %v", p.m.name(), d)
			}
		}
	}
	return j, nil
}

func (j *ledger) damaged() string { return strings.Join(j.damage, "; ") }

func (j *ledger) take(kind uint16, payload []byte) error {
	switch kind {
	case typeIncident:
		var s stamped
		if err := json.Unmarshal(payload, &s); err != nil {
			return err
		}
		j.saved.Apply(s.Record, incident.Moment{Boot: s.Boot, Up: s.Up})
		j.found = append(j.found, s.Record)
		j.keep(&s.Record, thing{kind, payload})
	case typeNotice:
		var r outbox.Record
		if err := json.Unmarshal(payload, &r); err != nil {
			return err
		}
		j.notices = append(j.notices, r)
		j.keepNotice(&r, thing{kind, payload})
	}
	return nil
}

func (j *ledger) keep(r *incident.Record, t thing) {
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

func (j *ledger) keepNotice(r *outbox.Record, t thing) {
	if r.Entry == nil {
		delete(j.things, "notice/"+r.Key)
		return
	}
	j.things["notice/"+r.Key] = t
}

// records writes what the engine must not forget.
func (j *ledger) records(rs []incident.Record) *write {
	at := j.p.m.moment()
	var recs []journal.Record
	for n := range rs {
		payload := encode(stamped{Boot: at.Boot, Up: at.Up, Record: rs[n]})
		recs = append(recs, j.record(typeIncident, payload))
		j.keep(&rs[n], thing{typeIncident, payload})
	}
	return j.append(recs)
}

func (j *ledger) appendNotices(rs []outbox.Record, done func(error)) {
	var recs []journal.Record
	for n := range rs {
		payload := encode(rs[n])
		recs = append(recs, j.record(typeNotice, payload))
		j.keepNotice(&rs[n], thing{typeNotice, payload})
	}
	j.append(recs).then(done)
}

func (j *ledger) record(kind uint16, payload []byte) journal.Record {
	return journal.Record{Stamp: j.p.m.stamp(), Entry: journal.Entry{Type: kind, Payload: payload}}
}

func (j *ledger) append(recs []journal.Record) *write {
	j.issued++
	j.used = true
	w := &write{}
	if j.degraded != nil && !j.snapping {
		w.settle(fmt.Errorf("%w: %w", errNotDurable, j.degraded))
		return w
	}
	j.queue = append(j.queue, op{recs: recs, n: j.issued, w: w})
	if j.sick != "" {
		w.settle(fmt.Errorf("%w: %s", errNotDurable, j.sick))
	} else {
		j.waiting = append(j.waiting, w)
	}
	j.work()
	return w
}

// snapshot replaces what has been written by what is still so.
func (j *ledger) snapshot() {
	if j.snapping {
		return
	}
	names := make([]string, 0, len(j.things))
	for name := range j.things {
		names = append(names, name)
	}
	slices.Sort(names)
	var recs []journal.Record
	for _, t := range j.lives {
		recs = append(recs, j.record(t.kind, t.payload))
	}
	for _, name := range names {
		recs = append(recs, j.record(j.things[name].kind, j.things[name].payload))
	}
	j.snapping = true
	j.queue = append(j.queue, op{recs: recs, snapshot: true, n: j.issued, w: &write{}})
	j.work()
}

// work hands the disk what is queued, unless it is busy.
func (j *ledger) work() {
	if j.busy || len(j.queue) == 0 {
		return
	}
	j.busy = true
	j.asks++
	p, ask := j.p, j.asks
	w := p.m.w
	takes := time.Duration(100+w.noise.IntN(400)) * time.Microsecond
	if till := p.m.stallTill; till > w.now {
		takes = till - w.now
	}
	p.after(takes, j.write)
	p.after(stallAfter, func() {
		if j.busy && j.asks == ask {
			j.slow = true
			w.tell(p.m, "the disk does not answer")
			j.say(true, "the disk has not answered")
		}
	})
}

// write is the disk's turn.
func (j *ledger) write() {
	p := j.p
	n := 1
	for !j.queue[0].snapshot && n < len(j.queue) && !j.queue[n].snapshot {
		n++
	}
	ops := j.queue[:n:n]
	j.queue = j.queue[n:]
	var err error
	if ops[0].snapshot {
		err = j.log.Snapshot(ops[0].recs)
	} else {
		var recs []journal.Record
		for _, o := range ops {
			recs = append(recs, o.recs...)
		}
		err = j.log.Append(recs)
	}
	if p.cut("while the journal is written") {
		return
	}
	j.busy = false
	var mail []func()
	if j.slow {
		j.slow = false
		mail = append(mail, func() { j.say(false, "") })
	}
	mail = append(mail, j.observe()...)
	for _, o := range ops {
		mail = append(mail, func() { j.complete(o, err) })
	}
	p.after(time.Duration(10+p.m.w.noise.IntN(50))*time.Microsecond, func() {
		for _, f := range mail {
			if f(); p.over {
				return
			}
		}
		if len(j.queue) == 0 && !j.busy {
			j.log.Mark()
			p.cut("while the journal is marked")
		}
	})
	j.work()
}

// observe takes in how the log is, and says what to tell its owner.
func (j *ledger) observe() (mail []func()) {
	failed, was := j.log.Failed(), j.degraded
	j.degraded = failed
	switch {
	case was == nil && failed != nil:
		j.asked = true
		mail = append(mail, func() { j.say(true, fmt.Sprint(failed)) })
	case was != nil && failed == nil:
		mail = append(mail, func() { j.say(false, "") })
	}
	if j.log.Wants() && j.used && !j.asked {
		j.asked = true
		mail = append(mail, j.snapshot)
	}
	if (j.log.Short() || j.log.Wants() && j.used) && !j.armed {
		j.armed = true
		j.p.after(retryEvery, j.mend)
	}
	return mail
}

// mend tries what failed once more.
func (j *ledger) mend() {
	if j.busy {
		j.p.after(100*time.Millisecond, j.mend)
		return
	}
	j.armed = false
	if j.log.Failed() == nil {
		j.log.Tend()
		if j.p.cut("while a segment is made ready") {
			return
		}
	}
	j.asked = j.snapping
	for _, f := range j.observe() {
		f()
	}
}

func (j *ledger) complete(o op, err error) {
	if o.snapshot {
		j.snapping = false
		j.asked = j.asked && err != nil
		if err == nil {
			j.durable = max(j.durable, o.n)
		}
	} else if err == nil && o.n == j.durable+1 {
		j.durable = o.n
	}
	j.p.m.books.Durable(j.durable)
	j.waiting = slices.DeleteFunc(j.waiting, func(w *write) bool { return w == o.w })
	o.w.settle(err)
}

// say tells the process that nothing is durable, or that all is again.
func (j *ledger) say(sick bool, why string) {
	j.sick = why
	if !sick {
		why = ""
	}
	j.p.m.w.tell(j.p.m, "the journal takes records: %v %s", !sick, why)
	j.p.m.books.Degraded(sick)
	var stranded []*write
	if sick {
		stranded, j.waiting = j.waiting, nil
	}
	j.p.post(incident.Input{Kind: incident.InDegraded, On: sick, Note: why})
	for _, w := range stranded {
		w.settle(fmt.Errorf("%w: %s", errNotDurable, why))
	}
}
