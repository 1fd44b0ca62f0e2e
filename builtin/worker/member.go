package worker

import (
	"context"
	"errors"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"time"
)

// state is how a worker stands.
type state uint8

const (
	resting  state = iota // Run is not under way
	up                    // it runs
	stopping              // its context ended, it has not returned
	pausing               // it failed and waits to be restarted
	held                  // it waits for a worker that it depends on
	gaveUp                // it failed too often, or was put into quarantine
	finished              // its work is done
)

var stateNames = []string{"resting", "running", "stopping", "pausing", "held", "given up", "done"}

// then is what happens when a run ends that was asked to.
type then uint8

const (
	thenRest    then = iota // nothing
	thenStart               // the next one starts
	thenHold                // the round goes on
	thenDown                // quarantine
	thenForget              // it leaves the group
	thenNothing             // it was not asked
)

// member is a worker of a group. There may be ten thousand: what only one that
// failed needs is behind a pointer.
type member struct {
	g     *Group
	name  string
	f     Func
	p     *policy
	run   *run      // the one that goes on; nil when none does
	fails *failures // nil as long as it never failed
	state state
	then  then
	nth   uint32 // of its runs that were abandoned
}

// key is how findings name it.
func (m *member) key() string {
	if m.g.o.Name == "" {
		return m.name
	}
	return m.g.o.Name + "/" + m.name
}

// label is how its goroutines are known in a profile. A successor of a run that
// was abandoned has a label of its own, so that the stacks of both are told apart.
func (m *member) label() string {
	if m.nth == 0 {
		return m.key()
	}
	return m.key() + "#" + strconv.Itoa(int(m.nth)+1)
}

// run is one run of a worker, from its start to the return of its function.
type run struct {
	m      *member
	cancel context.CancelCauseFunc
	gone   chan struct{} // closed when it is over; made for who waits
	seen   *silence      // of one with a budget
	began  time.Duration
	asked  time.Duration // when its context ended, plus 1; 0 before

}

// abandoned says that the run was given up. g.mu is held.
func (r *run) abandoned() bool { return r.m.run != r }

// over returns what is closed when the run has ended or is abandoned. g.mu is held.
func (r *run) over() <-chan struct{} {
	if r.gone == nil {
		r.gone = make(chan struct{})
	}
	return r.gone
}

// silence is what is known of the beats of a run.
type silence struct {
	beaten atomic.Bool // since the last look
	first  atomic.Bool // ever
	for_   time.Duration
	trace  *suspect
}

// beat is what a worker with a budget calls. Most calls find the flag set and
// write nothing that is shared.
func (s *silence) beat() {
	if !s.beaten.Load() {
		s.beaten.Store(true)
		s.first.Store(true)
	}
}

// noBeat is what one without a budget calls.
func noBeat() {}

// start starts the next run of m. Each has a goroutine of its own: what the last
// one left on its goroutine, a locked thread or labels, ends with it. g.mu is held.
//
// It runs on the goroutine of the run that died, as all of [Group.ended] does:
// their frames together stay below what the smallest stack holds, because growing
// it would cost more than the restart itself.
func (g *Group) start(m *member, now time.Duration) {
	labels := g.labelled(m)
	base := g.base
	if m.p.budget > 0 {
		base = labels // survive a pprof.Do of the worker's
	}
	ctx, cancel := context.WithCancelCause(base)
	r := &run{m: m, cancel: cancel, began: now}
	m.run, m.state, m.then = r, up, thenNothing
	g.live++
	g.spawn(r, ctx, labels)
	g.tell(Started, m, nil, "")
}

func (g *Group) spawn(r *run, ctx, labels context.Context) {
	if r.m.p.budget == 0 {
		go r.serve(ctx, labels, noBeat)
		return
	}
	r.seen = &silence{}
	go r.serve(ctx, labels, r.seen.beat)
}

// labelled is the context that names m's goroutines in profiles.
//
//go:noinline
func (g *Group) labelled(m *member) context.Context {
	return pprof.WithLabels(g.base, pprof.Labels(labelKey, m.label()))
}

// tell tells log and hook, in a frame of its own. g.mu is held.
//
//go:noinline
func (g *Group) tell(k Kind, m *member, err error, stack string) {
	if !g.events.wants(k) {
		return
	}
	e := Event{Kind: k, Group: g.o.Name, Worker: m.name, Err: err, Stack: stack, At: time.Now()}
	if (k == Died || k == GaveUp) && m.fails != nil {
		e.Deaths, e.Pause = m.fails.deaths, m.fails.pause
	}
	g.events.push(e)
}

// serve is the goroutine of a run. Its frame stays small: an idle worker should
// fit into the smallest stack.
func (r *run) serve(ctx, labels context.Context, beat func()) {
	err := errGoexit // unless it returns or panics
	defer func() { r.end(recover(), err) }()
	pprof.SetGoroutineLabels(labels)
	err = r.m.f(ctx, beat)
}

// end takes in how the function ended.
func (r *run) end(panicked any, err error) {
	if panicked != nil {
		err = caught(panicked)
	}
	r.cancel(nil)
	r.m.g.ended(r, err)
}

// ended is called once for each run, on its own goroutine, when it is over.
func (g *Group) ended(r *run, err error) {
	m := r.m
	g.mu.Lock()
	now := g.now()
	news := true
	if r.abandoned() {
		delete(g.abandoned, r)
		g.tell(Returned, m, err, "")
	} else {
		g.detach(r)
		var again bool
		again, news = g.followed(m, r, err, now)
		if again {
			g.start(m, now)
		}
		if g.phase == ending && g.live == 0 {
			g.signalIdle()
		}
	}
	news = news && len(g.wakes) > 0
	g.mu.Unlock()
	if news {
		g.wake()
	}
}

// detach notes that r is not the run of its member any more. g.mu is held.
func (g *Group) detach(r *run) {
	r.m.run = nil
	g.live--
	if r.asked > 0 {
		g.asking--
	}
	if r.gone != nil {
		close(r.gone)
	}
}

// followed does what follows the end of a run, and says whether the next one is
// to start now, and whether that is news for a watch. g.mu is held.
func (g *Group) followed(m *member, r *run, err error, now time.Duration) (again, news bool) {
	switch {
	case r.asked > 0:
		kind := Ended
		if _, panicked := err.(*PanicError); panicked {
			kind = Died // no failure to count, and nothing to hide
		}
		g.tell(kind, m, err, "")
		return g.goOn(m, now), false
	case g.means(err, ErrEndGroup, g.o.End):
		m.state = finished
		g.tell(Ended, m, err, "")
		g.endWith(err)
	case err == nil && !m.p.always, g.means(err, ErrDone, g.o.Done):
		m.state = finished
		delete(g.unwell, m)
		g.tell(Ended, m, nil, "")
		g.advance(now)
	case g.phase != running: // it would not be started again anyhow
		m.state = resting
		g.tell(Ended, m, err, "")
	default:
		if err == nil {
			err = errNil
		}
		return g.failed(m, now-r.began, err, now), true
	}
	return false, false
}

// means says whether err is one of two.
func (g *Group) means(err, own, theirs error) bool {
	return err != nil && (errors.Is(err, own) || theirs != nil && errors.Is(err, theirs))
}

// goOn does what was planned for when m has stopped, and says whether that is to
// start it again. g.mu is held.
func (g *Group) goOn(m *member, now time.Duration) (again bool) {
	switch m.then {
	case thenForget:
		g.forget(m)
	case thenDown:
		m.state = gaveUp
	case thenStart:
		m.state = resting
		return g.phase == running
	case thenHold:
		m.state = held
	default:
		m.state = resting
	}
	g.advance(now)
	return false
}

// ask ends the context of m's run and notes what is to follow. g.mu is held.
func (g *Group) ask(m *member, why error, next then) {
	r := m.run
	m.then = next
	if r.asked > 0 {
		return
	}
	m.state = stopping
	r.asked = g.now() + 1
	g.asking++
	r.cancel(why)
}

// abandon gives up on m's run, whatever the cap says. g.mu is held.
func (g *Group) abandon(m *member, stack string, now time.Duration) {
	r := m.run
	if r.asked == 0 {
		r.asked = now + 1
		g.asking++
	}
	r.cancel(ErrReplaced)
	g.detach(r)
	m.nth++
	g.given++
	at := time.Now()
	g.abandoned[r] = &Abandoned{Worker: m.name, Since: at, Asked: g.origin.Add(r.asked - 1), Stack: stack}
	g.tell(Given, m, nil, stack)
}

// forget takes m out of the group; those that waited for it wait no longer. g.mu
// is held.
func (g *Group) forget(m *member) {
	m.disarm()
	blocks := m.state == gaveUp && g.o.Strategy != OneForOne
	m.state = resting // a timer of its that has fired already does nothing
	delete(g.unwell, m)
	delete(g.names, m.name)
	g.timed = without(g.timed, m)
	for i, o := range g.members {
		if o == m {
			g.members = append(g.members[:i], g.members[i+1:]...)
			g.round.removed(i)
			if blocks && len(g.members) > 0 {
				g.join(g.members[min(i, len(g.members)-1)], g.now())
			}
			return
		}
	}
}

func without(ms []*member, m *member) []*member {
	for i, o := range ms {
		if o == m {
			return append(ms[:i], ms[i+1:]...)
		}
	}
	return ms
}

// wake tells the watches to look. It is called without a lock, because what it
// calls is not ours.
func (g *Group) wake() {
	g.mu.Lock()
	if len(g.wakes) == 0 {
		g.mu.Unlock()
		return
	}
	wakes := make([]func(), 0, len(g.wakes))
	for _, w := range g.wakes {
		wakes = append(wakes, w)
	}
	g.mu.Unlock()
	for _, w := range wakes {
		w()
	}
}
