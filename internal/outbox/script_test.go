package outbox

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// A world runs a script of bytes against a machine and holds every effect to
// the promises of the package. It knows only what the effects say.
type world struct {
	t       testing.TB
	m       *Machine
	script  []byte
	now     time.Duration
	log     []Effect
	keys    map[string]*fault
	calls   map[string]Send // under way, by target
	stuck   map[string]bool
	first   map[string]Send // by id
	lastSeq map[string]int  // by key and target
	story   []line
	stopped bool
	inputs  int
	handed  int
	ended   int // delivered, undeliverable or superseded
}

// A fault is what people know of a key.
type fault struct {
	people, informed, open map[string]bool // open: has something delivered since its last resolve
	acked                  bool
	until                  time.Duration
	muted                  bool
}

const scriptAge = time.Hour

func newWorld(t testing.TB, script []byte) *world {
	return &world{
		t: t, script: script, m: New(Options{MaxAge: scriptAge, MaxEntries: 3}),
		keys: map[string]*fault{}, calls: map[string]Send{}, stuck: map[string]bool{},
		first: map[string]Send{}, lastSeq: map[string]int{},
	}
}

func (w *world) next() int {
	if len(w.script) == 0 {
		return 0
	}
	b := w.script[0]
	w.script = w.script[1:]
	return int(b)
}

func (w *world) fault(key string) *fault {
	if w.keys[key] == nil {
		w.keys[key] = &fault{people: map[string]bool{}, informed: map[string]bool{}, open: map[string]bool{}}
	}
	return w.keys[key]
}

var scriptPlans = []Plan{
	{Levels: []Level{{To: []string{"a"}}}},
	{Levels: []Level{{To: []string{"a", "b"}}, {After: time.Minute, To: []string{"c"}}}, Repeat: 5 * time.Minute},
	{Levels: []Level{{To: []string{"a"}}, {After: time.Minute, To: []string{"a", "b"}}, {After: 10 * time.Minute, To: []string{"c"}}}, Inform: []string{"i", "a"}},
	{Levels: []Level{{After: 30 * time.Second, To: []string{"b"}}}, Repeat: 20 * time.Second, Inform: []string{"i"}},
	{Inform: []string{"i"}},
	{},
}

func (w *world) run() {
	stops := len(w.script)%4 == 3
	for len(w.script) > 0 {
		w.op()
	}
	if stops {
		w.stop()
	} else {
		w.finish()
	}
}

// stop ends the machine in the middle of things: nothing may be left open.
func (w *world) stop() {
	w.step(Drain{})
	for range 3 {
		w.answer(len(w.log))
	}
	w.stopped = true
	w.step(Stop{})
	for _, name := range slices.Sorted(maps.Keys(w.calls)) {
		s := w.calls[name]
		delete(w.calls, name)
		w.step(Failed{ID: s.ID, Target: name, Err: errors.New("cancelled")})
	}
	w.step(Escalate{Notification: escalate.Notification{DedupKey: "k1"}, Plan: scriptPlans[2]})
	if _, ok := w.m.Next(); ok || w.m.Owed() != 0 || len(w.calls) != 0 {
		w.fail("stopped, but owed %d, calls %v, timer %v", w.m.Owed(), w.calls, ok)
	}
}

func (w *world) op() {
	key := "k" + strconv.Itoa(w.next()%4)
	n := escalate.Notification{DedupKey: key, At: time.Unix(0, int64(w.now)), Incident: escalate.Incident{Watch: key, ID: strconv.Itoa(len(w.script))}}
	switch op := w.next() % 16; op {
	case 0, 1:
		n.Kind = []escalate.Kind{escalate.Trigger, escalate.Update, escalate.Ask}[w.next()%3]
		w.step(Escalate{Notification: n, Plan: scriptPlans[w.next()%len(scriptPlans)], Muted: w.next()%8 == 0})
	case 2:
		n.Kind = []escalate.Kind{escalate.Trigger, escalate.Update, escalate.Resolve}[w.next()%3]
		w.step(Inform{Notification: n, To: []string{"i", "b"}[:w.next()%3]})
	case 3:
		w.step(Refresh{DedupKey: key, Incident: n.Incident})
	case 4, 5:
		w.step(Resolve{DedupKey: key, Incident: n.Incident, At: n.At})
	case 6:
		w.step(Ack{DedupKey: key, By: "ann", For: time.Duration(w.next()%8) * time.Minute})
	case 7:
		w.step(Mute{key})
	case 8:
		w.step(Unmute{key})
	case 9, 10, 11:
		w.answer(w.next())
	case 12:
		if at, ok := w.m.Next(); ok {
			w.now = at
			w.step(Tick{})
		}
	case 13:
		w.now += time.Duration(w.next()) * time.Second
		w.step(Tick{})
	case 14:
		w.now += time.Duration(w.next()) * time.Minute
		w.step(Tick{})
	case 15:
		for _, name := range []string{"a", "b", "c", "i"} {
			if w.stuck[name] {
				delete(w.stuck, name)
				w.step(Freed{name})
				break
			}
		}
	}
}

// answer ends the call of one target.
func (w *world) answer(how int) {
	for i := range 4 {
		name := []string{"a", "b", "c", "i"}[(how+i)%4]
		s, ok := w.calls[name]
		if !ok {
			continue
		}
		delete(w.calls, name)
		switch how / 4 % 8 {
		case 0, 1, 2, 3:
			f := w.fault(s.Notification.DedupKey)
			f.open[name] = s.Notification.Kind != escalate.Resolve
			w.step(Sent{ID: s.ID, Target: name})
		case 4:
			w.stuck[name] = true
			w.step(Failed{ID: s.ID, Target: name, Err: errors.New("hangs"), Stuck: true})
		default:
			w.step(Failed{ID: s.ID, Target: name, Err: errors.New("no")})
		}
		return
	}
}

// finish makes the world healthy: everything must come to rest.
func (w *world) finish() {
	for k := range 4 {
		key := "k" + strconv.Itoa(k)
		w.step(Unmute{key})
		w.step(Resolve{DedupKey: key})
	}
	for _, name := range []string{"a", "b", "c", "i"} {
		if w.stuck[name] {
			delete(w.stuck, name)
			w.step(Freed{name})
		}
	}
	for range 10_000 {
		if len(w.calls) > 0 {
			w.answer(0)
			continue
		}
		at, ok := w.m.Next()
		if !ok {
			break
		}
		w.now = at
		w.step(Tick{})
	}
	m := w.m
	if m.Owed() != 0 || len(m.entries) != 0 || len(m.targets) != 0 || len(m.timers.heap) != 0 || m.informed != 0 {
		w.fail("not at rest: owed %d, entries %d, targets %d, timers %d, informed %d",
			m.Owed(), len(m.entries), len(m.targets), len(m.timers.heap), m.informed)
	}
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, l := range w.story[max(0, len(w.story)-40):] {
		w.t.Log(l)
	}
	w.t.Fatalf("at %v: "+format, append([]any{w.now}, args...)...)
}

func (w *world) step(in Input) {
	w.t.Helper()
	w.inputs++
	from := len(w.log)
	w.log = w.m.Step(w.now, in, w.log)
	w.story = append(w.story, line{w.now, in})
	for _, e := range w.log[from:] {
		w.story = append(w.story, line{w.now, e})
	}
	// What a muted or acknowledged key may say depends on the state before the
	// input, because timers that are due come first.
	switch in := in.(type) {
	case Ack:
		defer func() {
			if f := w.fault(in.DedupKey); len(f.people) > 0 && in.For >= 0 {
				f.acked, f.until = true, 0
				if in.For > 0 {
					f.until = w.now + in.For
				}
			}
		}()
	case Mute:
		defer func() {
			if w.m.entries[in.DedupKey] != nil && !w.m.entries[in.DedupKey].closed {
				w.fault(in.DedupKey).muted = true
			}
		}()
	case Unmute:
		w.fault(in.DedupKey).muted = false
	case Escalate:
		f := w.fault(in.Notification.DedupKey)
		if in.Muted && len(f.people) == 0 && len(f.informed) == 0 && !f.muted {
			if e := w.m.entries[in.Notification.DedupKey]; e != nil {
				f.muted = e.muted
			}
		}
	}
	for _, e := range w.log[from:] {
		w.check(in, e)
	}
	for key, f := range w.keys {
		e := w.m.entries[key]
		if e == nil || e.closed {
			f.acked, f.muted = false, false
		}
		if e == nil {
			clear(f.open) // forgotten, after a resolve that may have been undeliverable
		}
		if f.acked && f.until > 0 && w.now >= f.until {
			w.fail("%s: the acknowledgement until %v did not run out", key, f.until)
		}
		if got, people := w.m.Told(key), len(f.people) > 0; got && !people {
			w.fail("%s: Told, but nobody was", key)
		}
	}
	if w.handed != w.ended+w.m.Owed() {
		w.fail("%d handed, but %d ended and %d owed", w.handed, w.ended, w.m.Owed())
	}
	if at, ok := w.m.Next(); ok && at <= w.now {
		w.fail("next tick at %v is not in the future", at)
	}
	if n := len(w.m.entries); n > 3 {
		w.fail("%d entries", n)
	}
	for _, e := range w.m.entries {
		for _, l := range e.lanes {
			if len(l.queue) > 7 {
				w.fail("%d wait in the lane of %s to %s", len(l.queue), e.key, l.target.name)
			}
		}
	}
}

func (w *world) check(in Input, e Effect) {
	w.t.Helper()
	switch e := e.(type) {
	case Told:
		w.handed += len(e.Targets)
		w.told(in, e)
	case Send:
		if _, busy := w.calls[e.Target]; busy || w.stuck[e.Target] {
			w.fail("%s is called twice at once", e.Target)
		}
		w.calls[e.Target] = e
		lane := e.Notification.DedupKey + ">" + e.Target
		seq, _ := strconv.Atoi(e.ID)
		if seq < w.lastSeq[lane] {
			w.fail("%s: %s after %d", lane, e.ID, w.lastSeq[lane])
		}
		w.lastSeq[lane] = seq
		was, again := w.first[e.ID]
		switch {
		case e.ID != e.Notification.ID:
			w.fail("id %s of a notification %s", e.ID, e.Notification.ID)
		case !again && e.Try != 1, again && e.Try != was.Try+1:
			w.fail("try %d of %s after %d", e.Try, e.ID, was.Try)
		case again && (!reflect.DeepEqual(was.Notification, e.Notification) || was.Target != e.Target):
			w.fail("%s changed from try to try", e.ID)
		}
		w.first[e.ID] = e
		if n := e.Notification; n.Kind == escalate.Resolve && e.Try == 1 && n.BeganAndEnded == w.fault(n.DedupKey).open[e.Target] {
			w.fail("%s: began and ended is %v, but it was reached: %v", lane, n.BeganAndEnded, !n.BeganAndEnded)
		}
	case Delivered:
		w.ended++
	case Superseded:
		w.ended++
	case Undeliverable:
		if e.Target == "" {
			return
		}
		w.ended++
		if w.stopped != errors.Is(e.Why, ErrStopped) || !w.stopped && e.Age < scriptAge {
			w.fail("given up after %v: %v", e.Age, e.Why)
		}
	case Reopened:
		f := w.fault(e.DedupKey)
		if !f.acked || f.until == 0 || w.now < f.until {
			w.fail("%s reopened, acknowledged %v until %v", e.DedupKey, f.acked, f.until)
		}
		f.acked = false
	}
}

func (w *world) told(in Input, e Told) {
	w.t.Helper()
	f := w.fault(e.DedupKey)
	_, escalates := in.(Escalate)
	_, unmutes := in.(Unmute)
	switch {
	case e.Kind == escalate.Resolve && e.People():
		w.same(e, f.people)
		f.informed = minus(f.informed, f.people)
		f.people = map[string]bool{}
	case e.Kind == escalate.Resolve:
		if _, alone := in.(Inform); alone {
			for _, name := range e.Targets {
				if f.people[name] {
					w.fail("%s: %s was called and gets the resolve of informed targets", e.DedupKey, name)
				}
				delete(f.informed, name)
			}
			return
		}
		w.same(e, minus(f.informed, f.people))
		f.informed = map[string]bool{}
	case e.People():
		if f.muted {
			w.fail("%s: told while muted: %+v", e.DedupKey, e)
		}
		for _, name := range e.Targets {
			if f.acked && !f.people[name] && e.Kind != escalate.Ask {
				w.fail("%s: %s is called first while acknowledged", e.DedupKey, name)
			}
		}
		if f.acked && !escalates && !unmutes {
			w.fail("%s: told while acknowledged: %+v", e.DedupKey, e)
		}
		for _, name := range e.Targets {
			f.people[name] = true
		}
	default:
		for _, name := range e.Targets {
			f.informed[name] = true
		}
	}
}

func (w *world) same(e Told, want map[string]bool) {
	w.t.Helper()
	got := slices.Sorted(slices.Values(e.Targets))
	var names []string
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Equal(got, names) {
		w.fail("%s: resolve to %v, but %v were told", e.DedupKey, got, names)
	}
}

// A line is an input or an effect, for the report of a failure.
type line struct {
	at   time.Duration
	what any
}

var incidentText = regexp.MustCompile(`Incident:\{[^{}]*\{[^{}]*\}[^{}]*\} ?`)

func (l line) String() string {
	s := fmt.Sprintf("%v %T %+v", l.at, l.what, l.what)
	if _, effect := l.what.(Effect); effect {
		s = "    " + s
	}
	return incidentText.ReplaceAllString(s, "")
}

func minus(a, b map[string]bool) map[string]bool {
	c := map[string]bool{}
	for name := range a {
		if !b[name] {
			c[name] = true
		}
	}
	return c
}

func TestScripts(t *testing.T) {
	scripts := 10_000
	if testing.Short() {
		scripts = 1_000
	}
	inputs := 0
	for seed := range scripts {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		script := make([]byte, 20+r.IntN(300))
		for i := range script {
			script[i] = byte(r.IntN(256))
		}
		var logs [2][]Effect
		for i := range logs {
			w := newWorld(t, slices.Clone(script))
			func() {
				defer func() {
					if t.Failed() {
						t.Logf("seed %d", seed)
					}
				}()
				w.run()
			}()
			logs[i] = w.log
			inputs += w.inputs
			if seed%50 != 0 {
				break
			}
		}
		if logs[1] != nil && fmt.Sprintf("%+v", logs[0]) != fmt.Sprintf("%+v", logs[1]) {
			t.Fatalf("seed %d: one script, two results", seed)
		}
	}
	t.Logf("%d inputs", inputs)
}

func FuzzScript(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		script := make([]byte, 200)
		for i := range script {
			script[i] = byte(r.IntN(256))
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 2_000 {
			return
		}
		newWorld(t, script).run()
	})
}
