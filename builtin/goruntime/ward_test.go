package goruntime

import (
	"container/heap"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// A ward runs a program of real goroutines beside a real detector. Only the clock is
// set: it goes on by a second a step, so that hours take a second, and what comes out
// does not depend on what else the machine does. What is counted, grouped and proven
// is the running process.
type ward struct {
	d   *LeakDetector
	rnd *rand.Rand
	now time.Duration

	others int // goroutines that are not the program's
	alive  int // of the program
	loose  bool
	due    ends

	// What the program under test does besides. A real one would keep it in fields
	// and globals: reachable.
	kept []any
}

// newWard makes a ward. What a look costs is charged as the package documents it
// rather than as measured, which would depend on the machine.
func newWard(seed uint64, o LeakOptions) *ward {
	w := &ward{d: NewLeakDetector(o), rnd: rand.New(rand.NewPCG(seed, 7)), others: runtime.NumGoroutine()}
	took := func() cost {
		n := time.Duration(runtime.NumGoroutine())
		return cost{stop: 100*time.Microsecond + 120*n, cpu: time.Millisecond + 2*time.Microsecond*n}
	}
	w.d.world.now = func() time.Duration { return w.now }
	take, prove := w.d.world.take, w.d.world.prove
	w.d.world.take = func(about int, names *sites) (snapshot, cost) {
		shot, _ := take(about, names)
		return shot, took()
	}
	if prove != nil {
		w.d.world.prove = func() ([]group, cost, error) {
			found, _, err := prove()
			return found, took(), err
		}
	}
	return w
}

// An end is when something of the program ends.
type end struct {
	at time.Duration
	do func()
}

type ends []end

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].at < e[j].at }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(end)) }
func (e *ends) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func (w *ward) after(d time.Duration, do func()) { heap.Push(&w.due, end{w.now + d, do}) }

// live starts run, which ends when its channel is closed: after that time.
func (w *ward) live(life time.Duration, run func(end chan struct{})) {
	c := make(chan struct{})
	w.alive++
	go run(c)
	w.after(life, func() { w.alive--; close(c) })
}

// life draws a time from an exponential distribution.
func (w *ward) life(mean time.Duration) time.Duration {
	return time.Duration(w.rnd.ExpFloat64() * float64(mean))
}

// poisson draws how many come in a second, of so many on average.
func poisson(r *rand.Rand, mean float64) (n int) {
	for left := r.ExpFloat64(); left < mean; left += r.ExpFloat64() {
		n++
	}
	return n
}

// step lets a second pass.
func (w *ward) step(program func(w *ward, second int)) ([]detect.Finding, error) {
	w.now += time.Second
	program(w, int(w.now/time.Second))
	ended := false
	for len(w.due) > 0 && w.due[0].at <= w.now {
		heap.Pop(&w.due).(end).do()
		ended = true
	}
	if ended && !w.loose {
		// They were told to end; the detector is to see that they did.
		for until := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > w.others+w.alive; runtime.Gosched() {
			if time.Now().After(until) {
				return nil, fmt.Errorf("%d goroutines, %d expected", runtime.NumGoroutine(), w.others+w.alive)
			}
		}
	}
	return w.d.Detect(context.Background())
}

// A visit is one program in a ward, and what came of it.
type visit struct {
	Program string
	Gap     int  // seconds from one leak to the next; 0 is a healthy program
	Busy    bool // amid traffic
	Seed    uint64
	Hours   float64
	Options LeakOptions

	Provable   bool
	Err        string
	Suspected  time.Duration // when the leak was first called so; 0 never
	Proven     time.Duration
	Wrong      []string // sites that were accused and do not leak
	WrongProof []string // and were even called proven
	WrongFor   time.Duration
}

// asked is whether the leak is to be proven.
func (v visit) asked() bool { return v.Provable && leaks[v.Program].proof }

// attend runs a visit in this process, which must not have run another: what leaked
// stays.
func attend(v visit) visit {
	w := newWard(v.Seed, v.Options)
	v.Provable = provable()
	leak, sick := leaks[v.Program]
	program := func(w *ward, s int) {
		if s%v.Gap == 0 {
			w.alive += leak.count
			w.loose = w.loose || leak.count == 0
			leak.one(w)
		}
	}
	if !sick {
		program = healthy[v.Program](w)
	}
	do := program
	if v.Busy {
		around := traffic(w)
		do = func(w *ward, s int) { program(w, s); around(w, s) }
	}
	for w.now < time.Duration(v.Hours*float64(time.Hour)) {
		found, err := w.step(do)
		if err != nil {
			v.Err = err.Error()
			return v
		}
		wrong := false
		for _, f := range found {
			proven := f.Labels["verdict"] == Proven
			stray := !sick || !strings.Contains(f.Key, leak.site)
			if stray {
				wrong = true
				v.Wrong = once(v.Wrong, f.Key)
			}
			switch {
			case proven && (stray || !leak.proof):
				v.WrongProof = once(v.WrongProof, f.Key)
			case stray:
			case proven && v.Proven == 0:
				v.Proven = w.now
			case !proven && v.Suspected == 0:
				v.Suspected = w.now
			}
		}
		if wrong {
			v.WrongFor += time.Second
		}
		if v.Proven > 0 || v.Suspected > 0 && !v.asked() {
			break
		}
	}
	return v
}

func once(all []string, s string) []string {
	if slices.Contains(all, s) {
		return all
	}
	return append(all, s)
}

// visitEnv holds the visit of a child as JSON.
const visitEnv = "SELFHEAL_GORUNTIME_VISIT"

func visitor() {
	var v visit
	if err := json.Unmarshal([]byte(os.Getenv(visitEnv)), &v); err != nil {
		v.Err = err.Error()
	} else {
		v = attend(v)
	}
	if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
