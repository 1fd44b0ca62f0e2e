package incident

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// dice decide what a random world does: a generator, or the bytes of a fuzzer.
type dice interface {
	// n is a number below max.
	n(max int) int
}

type splitmix uint64

func (s *splitmix) n(max int) int {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(max))
}

// fuzzed takes its numbers from bytes, and from a fixed generator once they
// are used up.
type fuzzed struct {
	data []byte
	rest splitmix
}

func (f *fuzzed) n(max int) int {
	if len(f.data) == 0 {
		return f.rest.n(max)
	}
	b := int(f.data[0])
	f.data = f.data[1:]
	if max > 256 && len(f.data) > 0 {
		b = b<<8 | int(f.data[0])
		f.data = f.data[1:]
	}
	return b % max
}

// script is a random world: which faults there are, and how often.
type script struct {
	*world
	d    dice
	o    Options
	mix  [faults]bool
	ids  int
	calm bool // the world has become healthy
}

// A fault is a kind of trouble; each script has a random mix of them, because
// trouble of every kind at once hides what two kinds do to each other.
type fault int

const (
	fBlind fault = iota
	fTilt
	fHalt
	fSilence
	fStorm
	fAbandon
	fUndoFails
	fGate
	fPeople
	fRemove
	fStop
	fSeverity
	fSlowLooks
	fSafeMode
	fVerify
	fManyKeys
	fFlap
	fWorse
	faults
)

func oneOf[T any](d dice, of ...T) T { return of[d.n(len(of))] }

func (s *script) one(in int) bool { return s.d.n(in) == 0 }

func (s *script) has(f fault) bool { return s.mix[f] }

func newScript(d dice) *script {
	s := &script{d: d}
	for f := range s.mix {
		s.mix[f] = d.n(3) == 0
	}
	s.o = Options{
		Service: "orders", IDs: "i", Build: "b",
		MaxConcurrent: oneOf(d, 0, 0, 1, 2, 3, -1), MaxKeys: oneOf(d, 0, 2, 3, -1),
		MaxRisk: oneOf(d, remediate.Risk(0), remediate.Safe, remediate.Destructive),
		Budget:  oneOf(d, 0, 0, 1, 2, 4, -1), BudgetWindow: oneOf(d, 0, 5*time.Minute),
		Gate: s.has(fGate), Fleet: d.n(2) == 0,
	}
	s.world = newWorld(s.o)
	s.world.asked = s.answerIt
	s.world.look, s.world.run, s.world.verify, s.world.undo, s.world.gate = s.looks, s.runs, s.verifies, s.undoes, s.gates
	for n := range 1 + d.n(6) {
		s.add(s.watch(n))
	}
	s.after(0, s.stir)
	return s
}

var watchNames = []string{"a", "b", "c", "d", "e", "f", "g"}

func (s *script) watch(n int) Watch {
	d := s.d
	w := Watch{
		Name: watchNames[n], Every: oneOf(d, time.Second, 10*time.Second, 10*time.Second, 30*time.Second, 30*time.Second, time.Minute),
		For:     oneOf(d, 0, 0, 100*time.Millisecond, 30*time.Second, 2*time.Minute),
		KeepFor: oneOf(d, 0, time.Second, time.Minute, time.Minute, 5*time.Minute),
		Mode:    oneOf(d, Auto, Auto, Auto, Auto, Propose, Shadow), Pages: true, Informs: d.n(4) == 0,
	}
	if n > 0 && d.n(4) == 0 {
		w.After = []string{watchNames[d.n(n)]}
	}
	l := &w.Playbook.Limits
	l.Cooldown = oneOf(d, -1, 0, time.Minute, 10*time.Minute)
	l.Exclusive = oneOf(d, "", "", "x", "y")
	l.Breaker = oneOf(d, remediate.Breaker{}, remediate.Breaker{Failures: -1}, remediate.Breaker{Failures: 1, OpenFor: 5 * time.Minute},
		remediate.Breaker{Failures: 2, Within: 30 * time.Minute, OpenFor: 2 * time.Minute})
	l.Heals = oneOf(d, remediate.Heals{}, remediate.Heals{N: -1}, remediate.Heals{N: 2, Within: time.Hour}, remediate.Heals{N: 1, Within: 10 * time.Minute})
	for k := range d.n(4) {
		w.Playbook.Steps = append(w.Playbook.Steps, s.step(w.Name, k))
	}
	if len(w.Playbook.Steps) > 0 && d.n(6) == 0 {
		w.Disabled = map[string]bool{w.Playbook.Steps[0].Name: true}
	}
	return w
}

func (s *script) step(watch string, n int) remediate.Step {
	d := s.d
	st := remediate.Step{
		Name: fmt.Sprintf("%s%d", watch, n), Run: nothingToDo, Risk: oneOf(d, remediate.Safe, remediate.Disruptive, remediate.Disruptive, remediate.Destructive),
		Settle: oneOf(d, 0, time.Second, 30*time.Second),
		Retry:  oneOf(d, remediate.Backoff{}, remediate.Backoff{}, remediate.Backoff{Tries: 2}, remediate.Backoff{Tries: 3, Jitter: 1}),
	}
	if d.n(8) == 0 {
		st.Scope = remediate.Peer
	}
	if d.n(2) == 0 {
		st.Undo = nothingToDo
		if d.n(3) == 0 {
			st.Measure = oneOf(d, "m", "n")
		}
	}
	if s.has(fVerify) && d.n(3) == 0 {
		st.Verify = nothingToDo
	}
	return st
}

// stir lets something happen to the world, again and again.
func (s *script) stir() {
	if s.calm {
		return
	}
	s.happen()
	s.after(oneOf(s.d, time.Millisecond, time.Second, 3*time.Second, 10*time.Second, 30*time.Second, 2*time.Minute, 10*time.Minute), s.stir)
}

// any picks a watch that is not being removed.
func (s *script) any() *watched {
	var names []string
	for n, w := range s.watches {
		if !w.leaving {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return s.watches[names[s.d.n(len(names))]]
}

func (s *script) key() string {
	if s.has(fManyKeys) {
		return oneOf(s.d, "k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7")
	}
	return oneOf(s.d, "", "k1", "k2")
}

func (s *script) happen() {
	w := s.any()
	if w == nil {
		return
	}
	d := s.d
	switch f := fault(d.n(int(faults) + 8)); {
	case f >= faults: // what happens most: something falls sick, or is well again
		if k := s.key(); w.sick[k].Summary != "" && d.n(3) > 0 {
			w.mend(k)
		} else {
			w.sicken(k, float64(6+d.n(20)), 5)
		}
	case !s.has(f):
	case f == fBlind:
		if w.blind == nil {
			w.blind = errors.New("no route")
			if s.one(3) {
				s.after(5*time.Minute, func() { w.blind = nil })
			}
		} else {
			w.blind = nil
		}
	case f == fTilt:
		s.put(Input{Kind: InTilt, Note: "late"})
	case f == fHalt:
		if s.monitor.halted || s.monitor.storm {
			s.put(Input{Kind: InResume, By: "ann"})
		} else {
			s.put(Input{Kind: InHalt, By: "ann", Note: "look"})
		}
	case f == fSilence:
		s.ids++
		if s.one(3) {
			s.put(Input{Kind: InUnsilence, ID: fmt.Sprint(s.ids - 1)})
			break
		}
		s.silence(fmt.Sprint(s.ids), oneOf(d, "", w.cfg.Name, "*"), oneOf(d, "", s.key()), s.now+oneOf(d, time.Second, time.Minute, 20*time.Minute))
	case f == fStorm:
		for _, n := range s.e.Watches() {
			s.watches[n].sicken(s.key(), 10, 5)
		}
	case f == fPeople:
		s.people()
	case f == fRemove:
		s.remove(w)
	case f == fStop:
		if s.one(8) && !s.stopped {
			s.stopped = true
			s.put(Input{Kind: InStop})
		}
	case f == fSeverity:
		if k := s.key(); w.sick[k].Summary != "" {
			w.severe(k, oneOf(d, detect.Warning, detect.Critical))
		}
	case f == fSafeMode:
		s.put(Input{Kind: InSafeMode, On: !s.monitor.safeMode})
	case f == fFlap:
		k := s.key()
		for n := range 12 {
			s.after(At(n)*150*time.Second, func() {
				if !s.calm {
					w.sicken(k, 6, 5)
				}
			})
			s.after(At(n)*150*time.Second+10*time.Second, func() { w.mend(k) })
		}
	}
}

func (s *script) people() {
	var open, asks []string
	for id, i := range s.monitor.incs {
		if i.opened >= 0 {
			open = append(open, id)
		}
	}
	for id := range s.monitor.asked {
		asks = append(asks, id)
	}
	slices.Sort(open)
	slices.Sort(asks)
	switch {
	case len(asks) > 0 && s.d.n(4) > 0:
		id := asks[s.d.n(len(asks))]
		s.put(Input{Kind: oneOf(s.d, InApprove, InApprove, InReject), ID: id, By: "ann"})
	case len(open) > 0:
		s.put(Input{Kind: InAck, Incident: open[s.d.n(len(open))], By: "ann", Until: s.now + time.Hour})
	}
}

// answerIt has people answer a proposal after a while, or never; meanwhile the
// finding may have turned.
func (s *script) answerIt(ev *Event) {
	if s.calm || !s.has(fPeople) || s.one(4) {
		return
	}
	in := Input{Kind: oneOf(s.d, InApprove, InApprove, InApprove, InReject), ID: ev.ID, By: "ann"}
	w, key := s.watches[ev.Watch], ev.Key
	s.after(oneOf(s.d, 0, time.Second, time.Minute, askFor), func() {
		s.put(in)
		if s.has(fSeverity) && s.one(2) && w.sick[key].Summary != "" {
			w.severe(key, oneOf(s.d, detect.Warning, detect.Critical))
		}
	})
}

func (s *script) remove(w *watched) {
	w.leaving = true
	s.put(Input{Kind: InRemove, Watch: w.cfg.Name})
	if s.one(2) {
		return
	}
	cfg := w.cfg
	s.after(oneOf(s.d, time.Minute, 30*time.Minute), func() {
		if s.watches[cfg.Name] == nil && !s.calm && !s.stopped {
			s.add(cfg)
		}
	})
}

// heal makes the whole world healthy, and people do what is asked of them.
func (s *script) heal() {
	s.calm = true
	for _, n := range s.e.Watches() {
		if w := s.watches[n]; w != nil {
			clear(w.sick)
			w.blind = nil
		}
	}
	if s.monitor.halted || s.monitor.storm {
		s.put(Input{Kind: InResume, By: "ann"})
	}
	if s.monitor.safeMode {
		s.put(Input{Kind: InSafeMode})
	}
	for n := range s.monitor.silences {
		if x := &s.monitor.silences[n]; x.Until > s.now {
			s.put(Input{Kind: InUnsilence, ID: x.ID})
		}
	}
}

// ackAll has people take over what could not be undone.
func (s *script) ackAll() {
	for _, id := range sortedKeys(s.monitor.incs) {
		s.put(Input{Kind: InAck, Incident: id, By: "ann", Until: s.now + time.Hour})
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// play lets the world be wild for a while, then healthy, and wants it to come
// to rest.
func (s *script) play() {
	wild := oneOf(s.d, 10*time.Minute, time.Hour, 2*time.Hour)
	for s.now < wild && s.failed == "" {
		s.until(min(s.now+2*time.Minute, wild))
		s.monitor.audit()
	}
	if s.failed != "" {
		return
	}
	s.heal()
	for range 4 { // a call may come back after an hour
		s.until(s.now + time.Hour)
		s.ackAll()
	}
	s.until(s.now + time.Hour)
	if s.failed == "" {
		s.rests()
	}
}

// rests checks that nothing is left of what happened.
func (s *script) rests() {
	e := s.e
	if s.stopped {
		if !e.Idle() {
			s.fail("rest", "it was stopped and is not idle")
		}
		for k, u := range s.monitor.owed {
			if !u.failed && u.measure == "" {
				s.fail("undo lost", "attempt %d of %s is in force after the stop", k.attempt, k.id)
			}
		}
		return
	}
	for what, left := range map[string]int{
		"incidents": len(e.byID), "waiting": len(e.waiting), "running": len(e.running), "exclusive": len(e.exclusive),
		"measures": len(e.measures), "asks": len(e.asks), "left": len(e.left), "timers": len(e.timers), "reserved": e.reserved,
	} {
		if left > 0 {
			s.fail("rest", "the world is healthy for hours and there are %d %s", left, what)
		}
	}
	for _, w := range e.watches {
		if w.open != 0 || len(w.live) != 0 || w.engaged {
			s.fail("rest", "watch %s does not rest", w.Name)
		}
	}
	for k, u := range s.monitor.owed {
		if !u.failed {
			s.fail("undo lost", "attempt %d of %s is in force for ever", k.attempt, k.id)
		}
	}
	if e.storm.on || e.tilt.until > 0 {
		s.fail("rest", "a storm or a tilt does not end")
	}
}
