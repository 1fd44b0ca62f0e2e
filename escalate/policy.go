package escalate

import (
	"fmt"
	"reflect"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// Named gives a notifier the name by which it is known in logs, in Status and
// to a notice that is still owed to it after a restart. Use one name for one
// notifier. The name wins over one that n already has.
func Named(name string, n Notifier) Notifier { return &named{n, name} }

type named struct {
	Notifier
	name string
}

// Rate is that of the notifier that was named.
func (n *named) Rate() Rate { return RateOf(n.Notifier) }

// Limit sets how often n may be called, in place of what it says itself. The
// zero Rate is no bound. A name that n has it keeps.
func Limit(n Notifier, r Rate) Notifier { return &limited{n, r} }

type limited struct {
	Notifier
	rate Rate
}

// Rate is the one that was set.
func (n *limited) Rate() Rate { return n.rate }

// Unwrap returns what [Named] or [Limit] was put around, and nil for any other
// notifier.
func Unwrap(n Notifier) Notifier {
	switch n := n.(type) {
	case *named:
		if n != nil {
			return n.Notifier
		}
	case *limited:
		if n != nil {
			return n.Notifier
		}
	}
	return nil
}

// Name returns the name that [Named] gave to n, "log" for a [Log] that has none, and
// "" for any other notifier.
func Name(n Notifier) string {
	for n != nil {
		switch n := n.(type) {
		case *named:
			if n != nil {
				return n.name
			}
		case logNotifier:
			return "log"
		}
		n = Unwrap(n)
	}
	return ""
}

// Empty says that p names no level and nobody to inform: a watch with such a
// policy uses that of the supervisor's options.
func (p Policy) Empty() bool { return len(p.Levels) == 0 && len(p.Inform) == 0 }

// Pages says whether p calls anybody. A policy that only informs does not, and
// an incident under it could end in silence.
func (p Policy) Pages() bool {
	for _, l := range p.Levels {
		for _, n := range l.To {
			if !missing(n) {
				return true
			}
		}
	}
	return false
}

// Validate returns everything that is wrong with p, each with what to change;
// nil when p is sound. An empty policy and one that only informs are sound
// here: whether they will do is for their user to say, by Empty and Pages.
func (p Policy) Validate() []error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("escalate: policy: "+format, args...))
	}
	var before time.Duration
	least := detect.Critical
	for i, l := range p.Levels {
		at := fmt.Sprintf("level %d", i+1)
		switch {
		case l.After < 0:
			wrong("%s: After is %v: use 0 for at once, or a delay", at, l.After)
		case l.After < before:
			wrong("%s comes after %v, before the level above it (%v): put the levels in the order of After", at, l.After, before)
		}
		before = max(before, l.After)
		if l.Min > detect.Critical {
			wrong("%s: Min is unknown (%v): use Warning or Critical", at, l.Min)
		}
		least = min(least, l.Min)
		if len(l.To) == 0 {
			wrong("%s tells nobody: name a notifier in To, or leave the level out", at)
		}
		for j, n := range l.To {
			if what := notifierMistake(n); what != "" {
				wrong("%s: notifier %d %s", at, j+1, what)
			}
		}
	}
	for j, n := range p.Inform {
		if what := notifierMistake(n); what != "" {
			wrong("Inform: notifier %d %s", j+1, what)
		}
	}
	if len(p.Levels) > 0 && len(p.Inform) == 0 && least > detect.Warning {
		wrong("no level is told of a warning, which would end in silence: leave Min out of one level, or name somebody in Inform")
	}
	if p.Fallback < -1 {
		wrong("Fallback is %v: use a time, 0 for 2 min, or -1 for when a call is given up", p.Fallback)
	}
	errs = append(errs, p.Quiet.problems()...)
	switch {
	case p.Repeat < 0:
		wrong("Repeat is %v: use 0 for never, or a pause", p.Repeat)
	case p.Repeat > 0 && len(p.Levels) == 0:
		wrong("Repeat is %v, but there are no levels to tell again: add a level, or set Repeat to 0", p.Repeat)
	}
	return errs
}

func notifierMistake(n Notifier) string {
	if missing(n) {
		return "is nil: give one, or leave it out"
	}
	for ; n != nil; n = Unwrap(n) {
		switch n := n.(type) {
		case *named:
			if n.name == "" {
				return `is named "": give it a name, or use it without Named`
			}
		case *limited:
			if n.rate.N < 0 || n.rate.Per < 0 || n.rate.N > 0 != (n.rate.Per > 0) {
				return fmt.Sprintf("has a limit of %d in %v: set both N and Per of its Rate, or none for no bound", n.rate.N, n.rate.Per)
			}
		}
	}
	return ""
}

// missing sees through what the == nil of an interface does not: a nil pointer
// or function in it, and a name around nothing.
func missing(n Notifier) bool {
	for {
		switch w := n.(type) {
		case *named:
			if w == nil {
				return true
			}
			n = w.Notifier
			continue
		case *limited:
			if w == nil {
				return true
			}
			n = w.Notifier
			continue
		}
		break
	}
	if n == nil {
		return true
	}
	switch v := reflect.ValueOf(n); v.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Chan:
		return v.IsNil()
	default:
		return false
	}
}
