package world

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/outbox"
	"github.com/selfheal-go/selfheal/internal/sim/monitor"
)

var errIO = syscall.EIO

// process is one life of a supervisor: the shell of the root package, with its
// goroutines as events. Its methods bear the names that they have there.
type process struct {
	m           *machine
	n           int
	over        bool
	stoppedTill time.Duration
	stopping    bool
	looped      bool // its loop has ended

	born    time.Duration // local
	engine  *incident.Engine
	journal *ledger
	box     *mailer
	entries []*entry
	byName  map[string]*entry
	calls   []*call

	inbox     []incident.Input
	turning   bool
	todo      []task
	written   *write
	tickAt    time.Duration // local; -1: not set
	gathering bool
	quiet     func() // called when everything rests, while stopping
}

// task is a decision to carry out, and what must be durable before.
type task struct {
	incident.Decision
	after   *write
	mark    uint64
	decided time.Duration
}

// start begins a life on m.
func (m *machine) start() {
	if m.p != nil {
		return
	}
	w := m.w
	m.lives++
	p := &process{m: m, n: m.lives, byName: map[string]*entry{}, tickAt: -1}
	m.p = p
	w.tell(m, "the process starts (life %d)", p.n)
	j, err := openLedger(p)
	if p.over {
		return
	}
	if err != nil {
		w.tell(m, "the journal cannot be opened: %v", err)
		if w.healed {
			w.monitor.Broken(monitor.HostUnharmed, "%s: its disk is well, and the journal cannot be opened: %v", m.name(), err)
		}
		p.over = true
		m.disk.Kill()
		m.again()
		return
	}
	p.journal = j
	m.books.Began(m.local(), j.found)
	p.guard(p.begin)
}

// guard keeps a panic of the supervisor's own code from the simulator: it is what
// must never happen.
func (p *process) guard(f func()) {
	defer func() {
		if x := recover(); x != nil {
			if p.m.w.cfg.Debug {
				panic(x)
			}
			p.m.w.monitor.Broken(monitor.HostUnharmed, "%s: the supervisor panics: %v", p.m.name(), x)
		}
	}()
	f()
}

func (p *process) begin() {
	m, w := p.m, p.m.w
	p.born = m.local()
	ids := fmt.Sprintf("m%d.%d-", m.n, p.n)
	p.engine = incident.New(incident.Options{
		IDs: ids, Epoch: m.clock(), Build: "1", MaxConcurrent: w.set.watching.MaxConcurrent, MaxKeys: w.set.watching.MaxKeys,
		MaxRisk: w.set.watching.MaxRisk, Budget: w.set.watching.Budget, BudgetWindow: w.set.watching.BudgetWindow, Durable: true,
	})
	p.engine.Begin(m.clock(), 0)
	p.engine.Watching(len(w.set.watches))
	p.decide(p.engine.Restore(p.journal.saved, m.moment()))
	if lost := p.journal.damaged(); lost != "" {
		w.tell(m, "the journal is damaged: %s", lost)
		m.books.Damaged()
		m.books.Began(m.local(), nil)
		m.books.Halted("selfheal")
		p.step(incident.Input{Kind: incident.InHalt, By: "selfheal", Note: "the journal is damaged"})
	}
	p.box = newMailer(p, ids)
	for i := range w.set.watches {
		e := &entry{p: p, watch: &w.set.watches[i]}
		p.entries = append(p.entries, e)
		p.byName[e.watch.Name] = e
	}
	p.reunite()
	for _, e := range p.entries {
		e.begin()
	}
	p.poke()
}

// reunite gives the watches what earlier lives left of them, and the outbox what
// it owes.
func (p *process) reunite() {
	for _, name := range p.journal.saved.Watches() {
		if e := p.byName[name]; e != nil && !e.known {
			e.known = true
			p.step(incident.Input{Kind: incident.InAdd, Watch: name, Add: &e.watch.Watch})
		}
	}
	notices := p.journal.notices
	p.box.restore(notices)
	if p.m.w.cfg.Planted != "shell: engine and outbox are not reconciled" {
		p.reconcile(notices)
	}
}

// reconcile makes the engine and the outbox agree, as the root package does.
func (p *process) reconcile(notices []outbox.Record) {
	entries := map[string]*outbox.Entry{}
	for _, r := range notices {
		entries[r.Key] = r.Entry
	}
	var over []outbox.Resolve
	for key, e := range entries {
		if e == nil || e.Closed || e.Group != nil || e.Digest != nil || p.engine.Knows(key) {
			continue
		}
		in := e.Last.Incident
		in.State, in.Closed = escalate.Closed, p.m.clock()
		over = append(over, outbox.Resolve{DedupKey: key, Incident: in, At: in.Closed})
	}
	said := func(id string) (escalate.Reason, bool) {
		if e := entries[id]; e != nil {
			return e.Last.Incident.Reason, true
		}
		return "", false
	}
	for _, id := range p.engine.Untold(said) {
		p.step(incident.Input{Kind: incident.InUntold, Incident: id})
	}
	slices.SortFunc(over, func(a, b outbox.Resolve) int { return strings.Compare(a.DedupKey, b.DedupKey) })
	for _, r := range over {
		p.box.input(r)
	}
}

// die is the end of a life in the middle of things.
func (p *process) die() {
	p.over = true
	p.m.selfEnds()
}

// now is the engine's time.
func (p *process) now() incident.At { return (p.m.local() - p.born).Truncate(time.Microsecond) }

// after lets something happen inside the process after a while on its clock.
func (p *process) after(d time.Duration, do func()) {
	p.m.w.push(p.m.when(p.m.local()+d), p, func() { p.guard(do) })
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

var errNotDurable = errors.New("not durable")

// cut ends a life whose disk was cut off in the middle of an effect.
func (p *process) cut(where string) bool {
	if f := p.m.cut; f != 0 {
		p.m.cut = 0
		p.m.crash(f, where)
	}
	return p.over
}
