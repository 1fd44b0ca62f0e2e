package world

import (
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/journal/simfs"
	"github.com/selfheal-go/selfheal/internal/sim/monitor"
)

// machine is a computer: its clocks and its disk outlive the process on it.
type machine struct {
	w     *World
	n     int
	disk  *simfs.FS
	rate  float64       // of its clocks, against the world's time
	wall  time.Duration // how far its wall clock is off
	boots int
	up    time.Duration // local time of the last boot
	lives int
	p     *process // that runs on it; nil while none does
	world map[string]*resource
	books *monitor.Machine

	cut       Fault // its disk was cut off by that; 0: it is not
	stallTill time.Duration
	flipped   bool // bits of it, once

	// By the number of a watch: until when its detector is blind or lies, and how
	// many keys more it finds.
	blind, lying map[int]time.Duration
	avalanche    map[int]int
	busy         map[int]time.Duration // until when a step may be at work on what a watch looks at
	partly       bool                  // blind ones still name what they know

	haltedTill time.Duration
	silences   []string
	asked      []escalate.Notification
	told       []string
	shown      map[string]bool // notices that people have and that are not over
}

func newMachine(w *World, n int) *machine {
	r := stream(w.cfg.Seed, "machine", n)
	m := &machine{
		w: w, n: n, disk: simfs.New(w.cfg.Seed + uint64(n)), rate: 1 + 0.01*(2*r.Float64()-1), boots: 1,
		blind: map[int]time.Duration{}, lying: map[int]time.Duration{}, avalanche: map[int]int{}, busy: map[int]time.Duration{}, shown: map[string]bool{},
		world: map[string]*resource{}, books: w.monitor.Machine(n),
	}
	m.disk.SetHook(m.hook)
	return m
}

// local is the machine's monotonic clock.
func (m *machine) local() time.Duration { return time.Duration(float64(m.w.now) * m.rate) }

// when is the time of the world at which the machine's clock shows at.
func (m *machine) when(at time.Duration) time.Duration {
	t := time.Duration(float64(at) / m.rate)
	for time.Duration(float64(t)*m.rate) < at {
		t++
	}
	return t
}

var epoch = time.Date(2028, 2, 28, 12, 0, 0, 0, time.UTC) // a leap day is near

// clock is what the wall clock shows.
func (m *machine) clock() time.Time { return epoch.Add(m.local() + m.wall) }

func (m *machine) bootID() (id journal.BootID) {
	id[0], id[1] = byte(m.n+1), byte(m.boots)
	id[2] = byte(m.boots >> 8)
	return id
}

func (m *machine) moment() incident.Moment {
	return incident.Moment{Boot: m.bootID().String(), Up: m.local() - m.up}
}

func (m *machine) stamp() journal.Stamp {
	return journal.Stamp{Wall: m.clock(), Boot: m.local() - m.up, BootID: m.bootID()}
}

func (m *machine) name() string { return fmt.Sprintf("machine %d", m.n) }

// crash ends the process at once.
func (m *machine) crash(how Fault, where string) {
	p := m.p
	if p == nil || p.over {
		return
	}
	m.w.tell(m, "%v, %s", how, where)
	p.die()
	if how == PowerCut {
		m.disk.PowerCut()
		m.boots++
		m.up = m.local()
	} else {
		m.disk.Kill()
	}
	m.books.Died(m.local())
	if how == PowerCut {
		m.books.Rebooted()
	}
	m.again()
}

// again starts a process after a while.
func (m *machine) again() {
	m.p = nil
	f := Kill
	down := m.w.span(f, time.Second, 3*time.Minute)
	if m.w.healed {
		down = 5 * time.Second
	}
	m.w.after(down, m.start)
}

// dangerous is a boundary between two effects: the place for what goes wrong.
// It says whether the process is dead.
func (p *process) dangerous(where string) bool {
	w := p.m.w
	switch {
	case w.healed:
	case w.strikes(PowerCut, 0.03):
		p.m.crash(PowerCut, where)
	case w.strikes(Kill, 0.03):
		p.m.crash(Kill, where)
	case w.strikes(Stop, 0.03):
		p.stop(w.span(Stop, time.Second, 4*time.Minute), where)
	}
	return p.over
}

// stop is a SIGSTOP: nothing runs, and all clocks go on.
func (p *process) stop(d time.Duration, where string) {
	w := p.m.w
	if w.now+d <= p.stoppedTill {
		return // it already is, for longer
	}
	w.tell(p.m, "is stopped for %v, %s", d.Round(time.Second), where)
	p.stoppedTill = w.now + d
	w.push(p.stoppedTill, p, func() {
		p.m.books.Paused(p.m.local())
		if d >= 2*time.Second {
			p.tilt("the supervisor was late")
		}
	})
}

// stepClock steps the wall clock of a machine.
func (m *machine) stepClock(by time.Duration) {
	m.w.tell(m, "its wall clock steps by %v", by)
	m.wall += by
	if p := m.p; p != nil && !p.over {
		// The scheduler notices at its next turn.
		m.w.push(m.w.now+50*time.Millisecond, p, func() { p.tilt("the wall clock stepped") })
	}
}

// hook is asked before every effect on the disk.
func (m *machine) hook(op simfs.Op) simfs.Fault {
	w := m.w
	if w.healed || m.p == nil {
		return simfs.Fault{}
	}
	if w.strikes(PowerCut, 0.002) {
		m.cut = PowerCut
		return simfs.Fault{Cut: true}
	}
	if w.strikes(Kill, 0.002) {
		m.cut = Kill
		return simfs.Fault{Cut: true}
	}
	if (op.Kind == simfs.Write || op.Kind == simfs.Sync || op.Kind == simfs.SyncDir) && w.strikes(DiskError, 0.002) {
		w.tell(m, "the disk fails a %v", op.Kind)
		m.sickDisk()
		return simfs.Fault{Err: errIO}
	}
	return simfs.Fault{}
}
