package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// A Queue is one queue of the service: how to look at it, what it may come to,
// and what helps. At least one of Len, Depth, Age, Counts and Meter is needed.
// Only what is known is judged.
type Queue struct {
	// Name is the key of its findings: printable, unique among the queues.
	// Required.
	Name string

	// Len is the number of items that wait: the Len method of any queue. It must
	// not block. [Channel] sets it for a channel.
	Len func() int
	// Depth is Len for what may block or fail, such as a query. Its error makes
	// the queue blind. Set at most one of Len and Depth.
	Depth func(context.Context) (int, error)
	// Age is how long the item at the head has waited, 0 where none does. nil: as
	// the Meter knows it.
	Age func(context.Context) (time.Duration, error)
	// Counts returns how many items ever came in and left. nil: as the Meter
	// knows it. Both may restart from zero together.
	Counts func(context.Context) (Counts, error)
	// Meter measures the queue at its ends. It also gives what Len, Age and
	// Counts do not.
	Meter *Meter

	// Cap is how many items fit. 0: unknown, or as many as come.
	Cap int
	// MaxDepth is the number of items above which is acted. 0: 80 % of Cap (our
	// choice), and no limit where Cap is 0 or 1: a number says nothing by itself.
	// -1: no limit.
	MaxDepth int
	// MaxWait is how long an item may wait: the age of the head, the time for
	// which nothing was taken, and the wait of a new item by Little's law, depth
	// over drain rate. 0: Options.MaxWait. -1: no limit.
	MaxWait time.Duration
	// MaxDrain is how long it may take to drain the queue at the present rates;
	// never is longer. It counts only once a new item waits half of MaxWait,
	// because a short queue at full load never drains either. 0:
	// Options.MaxDrain. -1: no limit.
	MaxDrain time.Duration

	// Pool, Gate and Pause are what the ladder uses for this queue: more workers,
	// slower producers, fewer requests. Queues may share them. nil: that rung does
	// not apply.
	Pool  *Pool
	Gate  *Gate
	Pause *Pause
}

// Counts are cumulative: items that ever came in, and that ever left.
type Counts struct{ In, Out uint64 }

// Channel is a queue that is a Go channel with a buffer. The channel tells its
// length and nothing else: a [Meter] beside it tells of waits and rates.
func Channel[T any](name string, c <-chan T) Queue {
	q := Queue{Name: name, Len: func() int { return len(c) }, Cap: cap(c)}
	if q.Cap == 0 {
		q.Cap = unbuffered
	}
	return q
}

// unbuffered marks a channel in which nothing can be seen waiting.
const unbuffered = -2

// Options are for [Module] and for the single watches. A module without queues
// is blind and says so.
type Options struct {
	// Queues are what is watched. Names are unique.
	Queues []Queue
	// MaxWait is Queue.MaxWait of the queues that do not say. 0: 30 s (our
	// choice). -1: no limit.
	MaxWait time.Duration
	// MaxDrain is Queue.MaxDrain of the queues that do not say. 0: 5 min (our
	// choice). -1: no limit.
	MaxDrain time.Duration
	// Warn is at which share of a limit people are warned. 0: 0.75. Clear is below
	// which share of it a queue is well again. 0: 0.5. Both are our choice; Clear
	// is at most Warn, and Warn at most 1.
	Warn, Clear float64
	// Window is over what time rates are taken. 0: 1 min. Rates need a quarter of
	// it, without the queue being empty. At least 4 s.
	Window time.Duration
	// For is how long a queue must be beyond a limit before anything is done. 0:
	// 10 s, so that a burst may drain (our choice).
	For time.Duration
	// WarnFor is the same for warnings. 0: 10 min (our choice).
	WarnFor time.Duration
	// KeepFor is how long a queue must be well before what was done is undone. 0:
	// 5 min (our choice): what was undone too early comes back as the next incident.
	KeepFor time.Duration
	// Settle is how long each rung gets to show that it helps, by a queue that has
	// drained below Clear. 0: 1 min (our choice).
	Settle time.Duration
	// Every is the interval between looks. 0: that of the supervisor, 1 s.
	Every time.Duration
}

const (
	defaultMaxWait  = 30 * time.Second
	defaultMaxDrain = 5 * time.Minute
	defaultWarn     = 0.75
	defaultClear    = 0.5
	defaultWindow   = time.Minute
	defaultFor      = 10 * time.Second
	defaultWarnFor  = 10 * time.Minute
	defaultKeepFor  = 5 * time.Minute
	defaultSettle   = time.Minute
	depthShare      = 0.8
)

func (o Options) effective() Options {
	fill(&o.MaxWait, defaultMaxWait)
	fill(&o.MaxDrain, defaultMaxDrain)
	fill(&o.Warn, defaultWarn)
	fill(&o.Clear, min(defaultClear, o.Warn))
	fill(&o.Window, defaultWindow)
	fill(&o.For, defaultFor)
	fill(&o.WarnFor, defaultWarnFor)
	fill(&o.KeepFor, defaultKeepFor)
	fill(&o.Settle, defaultSettle)
	return o
}

func fill[T int | float64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Validate returns everything that is wrong with the options, their queues, and
// the meters, pools, gates and pauses of those; nil when nothing is. The detector
// of each watch returns the same, so that Supervisor.Validate does.
func (o Options) Validate() error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf("queue: "+format, args...)) }
	for _, d := range []struct {
		name string
		d    time.Duration
		off  bool
	}{
		{"MaxWait", o.MaxWait, true}, {"MaxDrain", o.MaxDrain, true}, {"Window", o.Window, false}, {"For", o.For, false},
		{"WarnFor", o.WarnFor, false}, {"KeepFor", o.KeepFor, false}, {"Settle", o.Settle, false}, {"Every", o.Every, false},
	} {
		switch {
		case d.d >= 0 || d.off && d.d == -1:
		case d.off:
			say("Options.%s is %v: use a positive time, 0 for the default, or -1 for no limit", d.name, d.d)
		default:
			say("Options.%s is %v: use a positive time, or 0 for the default", d.name, d.d)
		}
	}
	e := o.effective()
	if e.Window > 0 && e.Window < 4*time.Second {
		say("Options.Window is %v: use 4s or more, or 0 for %v", o.Window, defaultWindow)
	}
	if !(e.Clear > 0 && e.Clear <= e.Warn && e.Warn <= 1) { // also NaN
		say("Options.Clear is %v and Warn %v: use shares with Clear above 0, at most Warn, and Warn at most 1", o.Clear, o.Warn)
	}
	first := map[string]int{}
	for i := range o.Queues {
		q := &o.Queues[i]
		if at, taken := first[q.Name]; taken {
			say("queues %d and %d are both named %q: rename one, because findings go by the name", at, i+1, q.Name)
		} else {
			first[q.Name] = i + 1
		}
		if err := q.Validate(); err != nil {
			say("queue %d, %q: %w", i+1, q.Name, err)
		}
	}
	return errors.Join(errs...)
}

// Validate returns everything that is wrong with the queue, nil when nothing is.
func (q *Queue) Validate() error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case q.Name == "":
		say("it has no name: give it one, findings go by it")
	case strings.TrimSpace(q.Name) != q.Name || strings.ContainsFunc(q.Name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) || len(q.Name) > 500:
		say("its name cannot stand in a line: use up to 500 letters, digits and dashes")
	}
	if q.Len != nil && q.Depth != nil {
		say("it has both Len and Depth: set one, they say the same")
	}
	if q.Len == nil && q.Depth == nil && q.Age == nil && q.Counts == nil && q.Meter == nil {
		say("nothing can be seen of it: set Len, Depth, Age, Counts or Meter")
	}
	switch {
	case q.Cap == unbuffered && q.Meter == nil && q.Age == nil:
		say("it is a channel without a buffer, in which nothing can be seen waiting: give it a Meter")
	case q.Cap < 0 && q.Cap != unbuffered:
		say("Cap is %d: use the number of items that fit, or 0", q.Cap)
	}
	if q.MaxDepth < -1 {
		say("MaxDepth is %d: use a number of items, 0 for %.0f %% of Cap, or -1 for no limit", q.MaxDepth, 100*depthShare)
	}
	if q.Cap > 0 && q.MaxDepth >= q.Cap {
		say("MaxDepth is %d and Cap %d: it can never be above it: use less", q.MaxDepth, q.Cap)
	}
	if q.MaxWait < -1 {
		say("MaxWait is %v: use a positive time, 0 for the default, or -1 for no limit", q.MaxWait)
	}
	if q.MaxDrain < -1 {
		say("MaxDrain is %v: use a positive time, 0 for the default, or -1 for no limit", q.MaxDrain)
	}
	if q.Meter != nil {
		errs = append(errs, q.Meter.o.Validate())
	}
	for _, v := range []interface{ Validate() error }{orNil(q.Pool), orNil(q.Gate), orNil(q.Pause)} {
		if v != nil {
			errs = append(errs, v.Validate())
		}
	}
	return errors.Join(errs...)
}

// orNil keeps a nil pointer from becoming an interface that is not nil.
func orNil[T any, P interface {
	*T
	Validate() error
}](p P) interface{ Validate() error } {
	if p == nil {
		return nil
	}
	return p
}

// resolved fills in what the queue leaves to the options.
func (q Queue) resolved(o *Options) Queue {
	fill(&q.MaxWait, o.MaxWait)
	fill(&q.MaxDrain, o.MaxDrain)
	if q.MaxDepth == 0 {
		q.MaxDepth = -1
		if q.Cap > 0 {
			q.MaxDepth = max(int(depthShare*float64(q.Cap)), 1)
			if q.MaxDepth >= q.Cap {
				q.MaxDepth = q.Cap - 1 // a full queue must be above it
			}
		}
	}
	return q
}
