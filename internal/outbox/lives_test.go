package outbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// lives runs a script of bytes against a machine with everything switched on,
// which dies and is restored from what it had recorded. The providers live on:
// what they have and what they lack is judged by them alone.
type lives struct {
	t      testing.TB
	r      []byte
	m      *Machine
	life   int
	now    time.Duration
	epoch  time.Time
	born   time.Duration // of this life
	log    []Record      // durable
	calls  map[string]Send
	stuck  map[string]bool
	faults map[string]bool // open, as the engine knows
	text   map[string]string
	first  map[string]string // id of the first call that opened a key, by target and key
	open   map[string]bool   // what providers show as open, by target and key
	until  map[string]time.Duration
	rated  []time.Duration // calls of the target that has a rate
	story  []line
	handed int
	steps  int
	ended  int
}

var (
	livesTargets = []string{"a", "b", "c", "i", "rated"}
	livesRate    = escalate.Rate{N: 3, Per: time.Minute}
	livesPlans   = []Plan{
		{Levels: []Level{{To: []string{"a"}}}, Fallback: 2 * time.Minute},
		{Levels: []Level{{To: []string{"a", "b"}}, {After: time.Minute, To: []string{"c"}}}, Repeat: 5 * time.Minute, Fallback: time.Minute},
		{Levels: []Level{{To: []string{"b"}, Min: detect.Critical}, {After: time.Minute, To: []string{"rated"}}}, Inform: []string{"i"}},
		{Levels: []Level{{To: []string{"rated", "a"}}}, Repeat: time.Hour, Inform: []string{"i", "a"}, Fallback: time.Minute},
		{Levels: []Level{{To: []string{"c"}}}, Quiet: escalate.Quiet{Zone: time.UTC, Windows: []escalate.Window{{From: 0, To: 30 * time.Minute}, {From: time.Hour, To: 90 * time.Minute}}}},
		{Inform: []string{"i"}},
	}
)

func newLives(t testing.TB, script []byte) *lives {
	l := &lives{
		t: t, r: script, epoch: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), calls: map[string]Send{}, stuck: map[string]bool{},
		faults: map[string]bool{}, text: map[string]string{}, first: map[string]string{}, open: map[string]bool{},
		until: map[string]time.Duration{},
	}
	l.machine()
	return l
}

func (l *lives) machine() {
	l.life++
	l.born = l.now
	l.m = New(Options{
		IDPrefix: fmt.Sprintf("%c-", 'A'+l.life%26), MaxAge: 6 * time.Hour, Breaker: 3, Storm: 3, Durable: true,
		Rate: func(target string) escalate.Rate {
			if target == "rated" {
				return livesRate
			}
			return escalate.Rate{}
		},
	})
}

func (l *lives) next() int {
	if len(l.r) == 0 {
		return 0
	}
	b := l.r[0]
	l.r = l.r[1:]
	return int(b)
}

func (l *lives) fail(format string, args ...any) {
	l.t.Helper()
	for _, s := range l.story[max(0, len(l.story)-60):] {
		l.t.Log(s)
	}
	l.t.Fatalf("at %v: "+format, append([]any{l.now}, args...)...)
}

func (l *lives) step(in Input) { l.stepTo(in, -1) }

// stepTo takes in an input, and dies before the effect of that number.
func (l *lives) stepTo(in Input, dies int) {
	l.t.Helper()
	l.story = append(l.story, line{l.now, in})
	l.m.Clock(l.now-l.born, l.epoch.Add(l.now))
	l.take(l.m.Step(l.now-l.born, in, nil), dies)
	if dies < 0 {
		l.check()
	}
}

func (l *lives) take(out []Effect, dies int) {
	l.t.Helper()
	sends := false
	for i, e := range out {
		if i == dies {
			l.restart()
			return
		}
		l.story = append(l.story, line{l.now, e})
		switch e := e.(type) {
		case Record:
			if sends {
				l.fail("a record comes after a call")
			}
			l.log = append(l.log, e)
		case Send:
			sends = true
			l.sent(e)
		case Told:
			l.handed += len(e.Targets)
		case Delivered, Superseded, Grouped, Done:
			l.ended++
		case Undeliverable:
			if e.Target != "" {
				l.ended++
			}
			// It was said that this target will not be told, whatever it has.
			key := e.Target + "/" + e.Notification.DedupKey
			delete(l.first, key)
			if e.Notification.Kind == escalate.Resolve {
				delete(l.open, key)
			}
		}
	}
	if dies >= len(out) {
		l.restart()
	}
}

// kept is the log after it was compacted, encoded and read.
func (l *lives) kept() []Record {
	last := map[string]int{}
	for i, r := range l.log {
		last[r.Key] = i
	}
	var kept []Record
	for i, r := range l.log {
		if last[r.Key] == i {
			kept = append(kept, coded(l.t, r))
		}
	}
	return kept
}

// coded takes a record through its encoding, as a store does.
func coded(t testing.TB, r Record) Record {
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "canary") {
		t.Fatalf("a record holds what it must not: %s", b)
	}
	var back Record
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

func (l *lives) run() {
	for len(l.r) > 0 {
		l.op()
	}
	l.finish()
}

func (l *lives) op() {
	key := fmt.Sprint("k", l.next()%12)
	n := escalate.Notification{
		DedupKey: key, At: l.epoch.Add(l.now), Links: []escalate.Link{{Text: "ack", Href: "https://canary"}},
		Incident: escalate.Incident{Watch: key, ID: fmt.Sprint(len(l.r)), Opened: l.epoch.Add(l.now), Finding: detect.Finding{Severity: detect.Severity(l.next() / 200)}},
	}
	switch op := l.next() % 20; op {
	case 0, 1, 2, 3:
		n.Kind = []escalate.Kind{escalate.Trigger, escalate.Trigger, escalate.Update, escalate.Ask}[l.next()%4]
		l.faults[key] = true
		l.step(Escalate{Notification: n, Plan: livesPlans[l.next()%len(livesPlans)], Muted: l.next()%16 == 0})
	case 4:
		// Many at once.
		plan := livesPlans[l.next()%len(livesPlans)]
		for i := range 12 {
			n.DedupKey = fmt.Sprint("k", i)
			n.Incident.Watch = n.DedupKey
			l.faults[n.DedupKey] = true
			l.step(Escalate{Notification: n, Plan: plan})
		}
	case 5, 6:
		l.step(Resolve{DedupKey: key, Incident: n.Incident, At: n.At})
		delete(l.faults, key)
	case 7:
		l.step(Ack{DedupKey: key, By: "ann", For: time.Duration(l.next()%8) * time.Minute})
	case 8:
		l.step(Snooze{DedupKey: key, By: "ann", For: time.Duration(l.next()%8) * time.Minute})
	case 9:
		l.step(Mute{key})
	case 10:
		l.step(Unmute{key})
	case 11, 12, 13, 14:
		l.answer(l.next(), l.next())
	case 15, 16:
		if at, ok := l.m.Next(); ok {
			l.now = max(l.now, at+l.born)
			l.step(Tick{})
		}
	case 17:
		l.now += time.Duration(l.next()) * time.Second
		l.step(Tick{})
	case 18:
		for _, name := range livesTargets {
			if l.stuck[name] {
				delete(l.stuck, name)
				l.step(Freed{name})
				break
			}
		}
	case 19:
		if l.next()%4 != 0 {
			n.Test = true
			l.handed++
			l.step(Once{Notification: n, Target: livesTargets[l.next()%len(livesTargets)], Within: time.Minute})
			break
		}
		l.faults[key] = true
		l.stepTo(Escalate{Notification: n, Plan: livesPlans[l.next()%len(livesPlans)]}, l.next()%8)
	}
}

func (l *lives) answer(which, how int) {
	for i := range livesTargets {
		name := livesTargets[(which+i)%len(livesTargets)]
		s, ok := l.calls[name]
		if !ok {
			continue
		}
		delete(l.calls, name)
		f := Failed{ID: s.ID, Target: name, Err: errors.New("no")}
		switch how % 16 {
		case 0, 1, 2, 3, 4, 5, 6, 7:
			l.has(s)
			if how/16%8 == 0 {
				l.stepTo(Sent{ID: s.ID, Target: name}, l.next()%6)
			} else {
				l.step(Sent{ID: s.ID, Target: name})
			}
			return
		case 8:
			l.stuck[name], f.Stuck = true, true
		case 9:
			f.Permanent = true
		case 10:
			f.RetryAfter = 3 * time.Minute
			l.until[name] = l.now + f.RetryAfter
		}
		l.step(f)
		return
	}
}

// finish makes the world healthy, and the engine say that all is over.
func (l *lives) finish() {
	for i := range 12 {
		key := fmt.Sprint("k", i)
		l.step(Unmute{key})
	}
	for i := range 12 {
		l.step(Resolve{DedupKey: fmt.Sprint("k", i), At: l.epoch.Add(l.now)})
	}
	for range 20_000 {
		for _, name := range livesTargets {
			if l.stuck[name] {
				delete(l.stuck, name)
				l.step(Freed{name})
			}
		}
		if len(l.calls) > 0 {
			l.answer(0, 16)
			continue
		}
		at, ok := l.m.Next()
		if !ok {
			break
		}
		l.now = max(l.now, at+l.born)
		l.step(Tick{})
	}
	m := l.m
	if m.Owed() != 0 || len(m.entries) != 0 || len(m.targets) != 0 || len(m.timers.heap) != 0 || m.informed != 0 || len(m.digests) != 0 {
		l.fail("not at rest: owed %d, entries %d, targets %d, timers %d, informed %d, digests %d",
			m.Owed(), len(m.entries), len(m.targets), len(m.timers.heap), m.informed, len(m.digests))
	}
	for key := range l.open {
		l.fail("%s is still shown as open", key)
	}
}

func TestLives(t *testing.T) {
	scripts := 60
	if testing.Short() {
		scripts = 15
	}
	lived := 0
	for seed := range scripts {
		r := rand.New(rand.NewPCG(uint64(seed), 11))
		script := make([]byte, 50+r.IntN(700))
		for i := range script {
			script[i] = byte(r.IntN(256))
		}
		l := newLives(t, script)
		func() {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			l.run()
		}()
		lived += l.life
	}
	t.Logf("%d lives", lived)
}

func FuzzLives(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 6 {
		script := make([]byte, 300)
		for i := range script {
			script[i] = byte(r.IntN(256))
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1_500 {
			return
		}
		newLives(t, script).run()
	})
}
