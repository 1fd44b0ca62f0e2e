package monitor

import (
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/remediate"
)

// Config is what the supervisors were told, which all of them share.
type Config struct {
	Watches       []incident.Watch
	MaxConcurrent int
	Budget        int // steps above Safe within BudgetWindow
	BudgetWindow  time.Duration
	MaxKeys       int
	MaxRisk       remediate.Risk
}

// A Monitor watches the supervisors of several machines. It is for one goroutine.
type Monitor struct {
	cfg      Config
	watches  map[string]*incident.Watch
	machines []*machine
	first    *Violation
}

// New returns a monitor of n machines.
func New(cfg Config, n int) *Monitor {
	m := &Monitor{cfg: cfg, watches: map[string]*incident.Watch{}}
	for i := range cfg.Watches {
		m.watches[cfg.Watches[i].Name] = &cfg.Watches[i]
	}
	for i := range n {
		m.machines = append(m.machines, newMachine(m, i))
	}
	return m
}

// Violation is the first promise that was broken; nil while none is.
func (m *Monitor) Violation() *Violation { return m.first }

// Broken notes a violation that the simulator saw itself.
func (m *Monitor) Broken(i Invariant, format string, args ...any) {
	if m.first == nil {
		m.first = &Violation{Invariant: i, Text: fmt.Sprintf(format, args...)}
	}
}

// Machine is the books of one machine, counted from 0.
func (m *Monitor) Machine(n int) *Machine { return (*Machine)(m.machines[n]) }

// A Machine takes in what is seen of one machine and the process on it. Its at
// arguments are times of the machine's monotonic clock. Its mark arguments are
// how many writes the process had issued to its journal.
type Machine machine

// An Act is a call of an action.
type Act struct {
	Watch, Key, Incident string
	Step                 int
	Attempt, Try         int
	Phase                remediate.Phase
	Decided              time.Duration // when the supervisor decided it
	Mark                 uint64        // of that decision
}

// Result is how an act ended.
type Result = incident.Result
