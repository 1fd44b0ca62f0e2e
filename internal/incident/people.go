package incident

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// Halted says who stopped all healing, and why.
type Halted struct {
	By, Reason string
	At         At
}

// A Silence stops acting and telling for what it matches; never observing. A
// glob has * for any characters and ? for one.
type Silence struct {
	ID         string
	Watch, Key string // globs; "" matches everything
	Labels     map[string]string
	By, Reason string
	At, Until  At
}

// A Proposal is what a person is asked. It is bound to one plan.
type Proposal struct {
	ID          string
	Incident    string
	Watch, Key  string
	Step        string
	Fingerprint string
	Asked       At
	Expires     At
	Rail        remediate.Rail
}

// ErrNoSuch says that what a person named is not there, or no longer.
var ErrNoSuch = errors.New("no such")

// Begin sets the date of the engine's zero when its time begins to run, a while
// after it was made; what was said meanwhile ends when it was to end.
func (e *Engine) Begin(epoch time.Time, waited time.Duration) {
	e.o.Epoch = epoch
	for _, s := range e.silences {
		s.Until -= waited
	}
}

// Watching tells the engine how many watches there are, for the rail that
// compares how many are sick with how many there are: a shell may add a watch
// only when it first has something to say of it. A shell that adds all of them
// need not say.
func (e *Engine) Watching(n int) { e.total = n }

// people handles what people say; each is answered with DoReply.
func (e *Engine) people(in *Input) {
	switch in.Kind {
	case InHalt:
		e.halt = &Halted{By: in.By, Reason: in.Note, At: e.now}
		e.unsaved.halt = true
		e.emit(Event{Kind: EvHalt, Watch: Self, By: in.By, Why: in.Note})
		e.recheck()
		e.reply(nil)
	case InResume:
		e.resume(in.By)
	case InSilence:
		e.trimSilences()
		s := *in.Silence
		s.At = e.now
		e.silences = append(e.silences, &s)
		e.touchSilence(&s)
		e.muteAll()
		e.emit(Event{Kind: EvSilence, Watch: Self, By: s.By, Why: s.Reason, ID: s.ID, Duration: s.Until - e.now})
		e.recheck()
		e.reply(nil)
	case InUnsilence:
		e.unsilence(in.ID, in.By)
	case InAck:
		e.ack(in)
	case InApprove, InReject:
		i := e.asks[in.ID]
		if i == nil {
			e.reply(fmt.Errorf("%w proposal %q: it was answered, expired, or its incident moved on; look at the status for what is asked now", ErrNoSuch, in.ID))
			return
		}
		e.answer(i, in.Kind == InApprove, in.By, escalate.Rejected, "rejected by "+in.By)
		e.rearm(i)
		e.reply(nil)
	}
}

func (e *Engine) resume(by string) {
	wasHalted, stormy := e.halt != nil, e.storm.on && e.storm.sticky
	if !wasHalted && !stormy {
		e.reply(fmt.Errorf("%w halt: nothing is halted", ErrNoSuch))
		return
	}
	e.halt = nil
	e.unsaved.halt = true
	e.emit(Event{Kind: EvResume, Watch: Self, By: by})
	if stormy {
		e.stormOver()
	}
	e.recheck()
	e.resumeUndos()
	e.reply(nil)
}

func (e *Engine) unsilence(id, by string) {
	n := slices.IndexFunc(e.silences, func(s *Silence) bool { return s.ID == id })
	if n < 0 {
		e.reply(fmt.Errorf("%w silence %q: it may have expired", ErrNoSuch, id))
		return
	}
	over := *e.silences[n]
	over.Until = e.now
	e.touchSilence(&over)
	e.silences = slices.Delete(e.silences, n, n+1)
	e.emit(Event{Kind: EvUnsilence, Watch: Self, By: by, ID: id})
	e.muteAll()
	e.recheck()
	e.reply(nil)
}

// muteAll goes through all incidents after a silence came or went.
func (e *Engine) muteAll() {
	for _, w := range e.sorted() {
		for _, i := range w.live {
			e.mute(i)
			e.rearm(i)
		}
	}
}

func (e *Engine) ack(in *Input) {
	i := e.byID[in.Incident]
	if i == nil {
		if w := e.blindWith(in.Incident); w != nil || e.storm.on && e.storm.id == in.Incident {
			e.reply(nil)
			return
		}
		e.reply(fmt.Errorf("%w incident %q: it may be closed", ErrNoSuch, in.Incident))
		return
	}
	i.acked = max(in.Until, 1)
	i.tellAt = never // somebody knows
	e.takeOver(i)
	e.emit(Event{Kind: EvAck, Watch: i.w.Name, Key: i.key, Incident: i.id, By: in.By, Duration: in.Until - e.now})
	if i.stuck {
		i.stuck = false
		e.undoDone(i)
	}
	e.rearm(i)
	e.reply(nil)
}

// takeOver leaves the undos of i that failed to the person who acknowledges.
func (e *Engine) takeOver(i *inc) {
	for _, o := range slices.Clone(i.owed) {
		if o.failed {
			if o.shared != nil {
				e.letGo(i, o.shared)
			}
			e.settled(i, o, false)
		}
	}
}

func (e *Engine) blindWith(id string) *watch {
	for _, w := range e.watches {
		if w.blindTold && w.blindID == id {
			return w
		}
	}
	return nil
}

// mustAsk says whether a person must approve the step.
func (e *Engine) mustAsk(i *inc, s *remediate.Step) bool {
	return s.Risk.Level() > e.o.MaxRisk && !mutant(mutRisk) || i.w.Mode == Propose && s.Risk.AboveSafe() && !mutant(mutMode)
}

// ask asks a person. No answer is a no.
func (e *Engine) ask(i *inc, s *remediate.Step) {
	e.unwait(i)
	e.unhold(i)
	i.phase, i.gateYes = asking, false
	i.due = e.now + askFor
	i.proposals++
	p := &Proposal{
		ID:       fmt.Sprintf("%s-%d", i.id, i.proposals),
		Incident: i.id, Watch: i.w.Name, Key: i.key, Step: s.Name,
		Fingerprint: i.w.plan + "/" + i.finding.Severity.String() + "/" + e.o.Build,
		Asked:       e.now, Expires: i.due, Rail: remediate.RailMode,
	}
	if s.Risk.Level() > e.o.MaxRisk {
		p.Rail = remediate.RailRisk
	}
	i.proposal = p
	e.asks[p.ID] = i
	e.emit(Event{Kind: EvAsk, Watch: i.w.Name, Key: i.key, Incident: i.id, Step: s.Name, ID: p.ID, Rail: p.Rail, Finding: i.finding})
	e.tellAsk(i)
	e.rearm(i)
}

func (e *Engine) unask(i *inc) {
	if i.proposal != nil {
		delete(e.asks, i.proposal.ID)
		i.proposal = nil
	}
	i.approved = 0
}

// answer takes in a yes or a no; nobody's is a no.
func (e *Engine) answer(i *inc, yes bool, by string, reason escalate.Reason, detail string) {
	p := i.proposal
	if mutant(mutExpiryYes) && reason == escalate.NoAnswer {
		yes = true
	}
	kind := EvReject
	if yes {
		kind = EvApprove
	}
	e.emit(Event{Kind: kind, Watch: i.w.Name, Key: i.key, Incident: i.id, Step: p.Step, ID: p.ID, By: by})
	e.unask(i)
	if !yes {
		e.stopLadder(i, reason, nothing, detail)
		return
	}
	i.approved = e.now + askFor
	i.fresh = e.now
	e.wait(i)
}

// silenced returns the silence that covers i and lasts for longest; nil if none.
func (e *Engine) silenced(i *inc) *Silence {
	var s *Silence
	for _, x := range e.silences {
		if x.Until > e.now && x.matches(i.w.Name, i.key, i.finding.Labels) && (s == nil || x.Until > s.Until) {
			s = x
		}
	}
	return s
}

// silencedWatch says whether a silence covers all keys of w.
func (e *Engine) silencedWatch(w *watch) bool {
	return slices.ContainsFunc(e.silences, func(x *Silence) bool {
		return x.Until > e.now && (x.Key == "" || x.Key == "*") && len(x.Labels) == 0 && glob(x.Watch, w.Name)
	})
}

func (s *Silence) matches(watch, key string, labels map[string]string) bool {
	if !glob(s.Watch, watch) || !glob(s.Key, key) {
		return false
	}
	for k, v := range s.Labels {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// trimSilences forgets the silences that have expired, on record too: after a
// reboot, which no clock can bridge, they would be in force once more.
func (e *Engine) trimSilences() {
	e.silences = slices.DeleteFunc(e.silences, func(s *Silence) bool {
		if s.Until > e.now {
			return false
		}
		if !mutant(mutSilenceForEver) {
			e.touchSilence(s)
		}
		return true
	})
}

// glob matches * with any characters and ? with one; "" matches everything.
func glob(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	p, n, star, mark := 0, 0, -1, 0
	for n < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && pattern[p] == '?':
			_, width := utf8.DecodeRuneInString(s[n:])
			p++
			n += width
		case p < len(pattern) && pattern[p] == s[n]:
			p++
			n++
		case star >= 0:
			_, width := utf8.DecodeRuneInString(s[mark:])
			mark += width
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
