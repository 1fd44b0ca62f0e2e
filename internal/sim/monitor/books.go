package monitor

import (
	"time"

	"github.com/selfheal-go/selfheal/internal/incident"
	"github.com/selfheal-go/selfheal/remediate"
)

// resource is what a remediation works on.
type resource struct{ watch, key string }

func (r resource) String() string {
	if r.key == "" {
		return r.watch
	}
	return r.watch + "[" + r.key + "]"
}

// undoKey names a measure that was taken.
type undoKey struct {
	incident string
	attempt  int
}

// fact is something that was so at a time. A crash takes it back if its mark lies
// beyond what was durable.
type fact struct {
	at   time.Duration
	mark uint64
}

type machine struct {
	m *Monitor
	n int

	// The life that is under way.
	life      int
	alive     bool
	began     time.Duration
	durable   uint64
	degraded  bool // it was told that nothing is on record
	calmFrom  time.Duration
	tiltUntil time.Duration
	stopping  bool
	safeMode  time.Duration // no act before, in this life
	calls     map[*call]bool
	permits   map[string]bool // incidents whose rung above Safe has no verdict yet
	looks     map[string]*look
	resumed   time.Duration // when a person last resumed
	swept     time.Duration
	spoilt    bool // what is on the disk

	// What outlives it.
	ladders   map[string]*ladder // by incident
	budget    []fact             // when steps above Safe were decided
	cooldowns map[resource]*cooldown
	breakers  map[string]*breaker
	undos     map[undoKey]*undo
	silences  map[string]*silence
	halt      halt
	storm     []opened
	lives     []lifeFact
	notices   notices
}

type call struct {
	act   Act
	began time.Duration
	given time.Duration // when it was given up; 0: not
}

// ladder is what is seen of one incident.
type ladder struct {
	id       string
	res      resource
	opened   fact
	isOpen   bool
	closed   bool
	step     int // the highest rung that began
	attempt  int
	try      int
	acted    bool
	crashed  bool // a life ended while a rung was climbed
	running  bool // an attempt has no verdict yet
	ranEnd   time.Duration
	due      time.Duration // by when something must follow the end of a call; 0: nothing
	lastRung time.Duration // when the last rung ended without healing; 0: it has not
	released time.Duration // since when it is not held
	held     remediate.Rail
	heldFrom time.Duration
	heldTold bool
	paged    fact // of the latest page
	everPage bool
	approved time.Duration // when a person said yes; -1: nobody has
	unwell   bool          // its own verification said so
	found    time.Duration // in the time of its engine
	began    time.Duration
	closing  fact
	started  int  // the attempt that was said to start
	ranOK    bool // the last call of it
	loose    bool // acted while nothing was on record
}

type cooldown struct {
	fact
	until    time.Duration
	incident string
	before   *cooldown // what a crash brings back
}

type breaker struct {
	fact
	until  time.Duration
	before *breaker
}

// undo is a measure that was taken and must be put back.
type undo struct {
	watch, key string
	step       int
	self       bool
	done       bool
	doneAt     fact
	failed     bool // people were told that it is for them
	failedAt   fact
}

type silence struct {
	incident.Silence
	until   time.Duration
	durable bool
	long    time.Duration
	latest  time.Duration // when it is over at the latest: after a reboot it lasts in full
	maybe   bool          // nobody can know whether it is in force
	life    int
}

type halt struct {
	on       bool
	by       string
	durable  bool
	resuming bool
	before   bool // of an earlier life
}

type opened struct {
	watch string
	found time.Duration
	fact
}

type lifeFact struct {
	began   time.Duration
	clean   bool
	healthy bool
}

// look is the last answer of a detector that the supervisor was handed.
type look struct {
	started    time.Duration
	handed     time.Duration // when the supervisor got it
	err        error
	present    map[string]bool
	blindSince time.Duration // -1: it sees
	blindTold  fact
	isTold     bool
	live       map[string]bool // incidents that are open or pending
}

// sees says whether the last look could tell of a key, and what.
func (l *look) sees(key string) (present, known bool) {
	if l == nil {
		return false, false
	}
	present = l.present[key]
	return present, present || l.err == nil
}

func newMachine(m *Monitor, n int) *machine {
	return &machine{
		m: m, n: n, calls: map[*call]bool{}, permits: map[string]bool{}, looks: map[string]*look{},
		ladders: map[string]*ladder{}, cooldowns: map[resource]*cooldown{}, breakers: map[string]*breaker{},
		undos: map[undoKey]*undo{}, silences: map[string]*silence{}, notices: newNotices(),
	}
}

func (x *machine) broken(i Invariant, format string, args ...any) {
	x.m.Broken(i, format, args...)
}

func (x *machine) ladder(id string, res resource) *ladder {
	l := x.ladders[id]
	if l == nil {
		l = &ladder{id: id, res: res, step: -1, approved: -1}
		x.ladders[id] = l
	}
	return l
}

func (x *machine) look(watch string) *look {
	l := x.looks[watch]
	if l == nil {
		l = &look{blindSince: -1, started: -1, live: map[string]bool{}}
		x.looks[watch] = l
	}
	return l
}

func (x *machine) step(a *Act) *remediate.Step {
	return &x.m.watches[a.Watch].Playbook.Steps[a.Step]
}

// silenced says whether people silenced a resource.
func (x *machine) silenced(r resource, at time.Duration) bool {
	for _, s := range x.silences {
		if at < s.until && !s.maybe && matches(s, r) {
			return true
		}
	}
	return false
}

func matches(s *silence, r resource) bool {
	return (s.Watch == "" || s.Watch == "*" || s.Watch == r.watch) && (s.Key == "" || s.Key == "*" || s.Key == r.key)
}

// tellable are the rails of which people are told when they have held for long.
func tellable(r remediate.Rail) bool {
	switch r {
	case remediate.RailCooldown, remediate.RailConcurrency, remediate.RailExclusive,
		remediate.RailBudget, remediate.RailGate, remediate.RailTilt:
		return true
	}
	return false
}
