package outbox

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
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
