package monitor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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
	booted    time.Duration // since when time counts that is on record from before a reboot
	unsure    bool          // no life since one has put on record what it took up
	spoilt    bool          // what is on the disk

	// What outlives it.
	ladders   map[string]*ladder // by incident
	budget    []fact             // when steps above Safe were decided
	cooldowns map[resource]*cooldown
	breakers  map[string]*breaker
	undos     map[undoKey]*undo
	silences  map[string]*silence
	halt      halt
	storm     []opened
	stormOn   *fact // the supervisor says so
	stormEnd  time.Duration
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
	paged    fact // since when people know of it
	everPage bool
	approved time.Duration // when a person said yes; -1: nobody has
	spent    fact          // the start that used that up, and
	spentOn  time.Duration // what it was
	unwell   bool          // its own verification said so
	found    time.Duration // in the time of its engine
	began    time.Duration
	closing  fact
	started  int  // the attempt that was said to start
	ranOK    bool // the last call of it
	loose    bool // acted while nothing was on record
}

// known notes that people know of it.
func (l *ladder) known(now fact) {
	if !l.everPage {
		l.everPage, l.paged = true, now
	}
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
	returned   bool // without an error, in this life
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
	over    fact          // that it is over
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

// answer is what a detector said.
type answer struct {
	started time.Duration
	err     error
	present map[string]bool
}

// sees says whether it could tell of a key, and what.
func (a *answer) sees(key string) (present, known bool) {
	present = a.present[key]
	return present, present || a.err == nil
}

// look is the last answer of a detector that the supervisor was handed. What it
// gets at one moment it takes in one by one, and may conclude from each.
type look struct {
	answer
	earlier    []answer      // of the same moment
	handed     time.Duration // when the supervisor got it
	blindSince time.Duration // -1: it sees
	blindTold  fact
	isTold     bool
	live       map[string]bool // incidents that are open or pending
}

// said says whether an answer of the moment at holds what is asked of it; the last
// one counts at any time.
func (l *look) said(at time.Duration, holds func(*answer) bool) bool {
	for n := range l.earlier {
		if l.handed == at && holds(&l.earlier[n]) {
			return true
		}
	}
	return holds(&l.answer)
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

// findings are violations found in no particular order: where a map is searched.
type findings []Violation

func (f *findings) add(i Invariant, format string, args ...any) {
	*f = append(*f, Violation{Invariant: i, Text: fmt.Sprintf(format, args...)})
}

// brokenIn reports the first by its words, so that a seed always tells the same.
func (x *machine) brokenIn(f findings) {
	if len(f) > 0 {
		v := slices.MinFunc(f, func(a, b Violation) int { return strings.Compare(a.Text, b.Text) })
		x.m.Broken(v.Invariant, "%s", v.Text)
	}
}

func (x *machine) ladder(id string, res resource) *ladder {
	l := x.ladders[id]
	if l == nil {
		l = &ladder{id: id, res: res, step: -1, approved: -1}
		x.ladders[id] = l
	}
	return l
}

var errNoAnswer = errors.New("it has not answered in this life")

func (x *machine) look(watch string) *look {
	l := x.looks[watch]
	if l == nil {
		l = &look{blindSince: -1, answer: answer{started: -1, err: errNoAnswer}, live: map[string]bool{}}
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
