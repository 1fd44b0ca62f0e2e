package escalate

import (
	"fmt"
	"reflect"
	"time"
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

// Name returns the name that [Named] gave to n, and "" for any other notifier.
func Name(n Notifier) string {
	if n, ok := n.(*named); ok && n != nil {
		return n.name
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
	for i, l := range p.Levels {
		at := fmt.Sprintf("level %d", i+1)
		switch {
		case l.After < 0:
			wrong("%s: After is %v: use 0 for at once, or a delay", at, l.After)
		case l.After < before:
			wrong("%s comes after %v, before the level above it (%v): put the levels in the order of After", at, l.After, before)
		}
		before = max(before, l.After)
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
	if n, ok := n.(*named); ok && n.name == "" {
		return `is named "": give it a name, or use it without Named`
	}
	return ""
}

// missing sees through what the == nil of an interface does not: a nil pointer
// or function in it, and a name around nothing.
func missing(n Notifier) bool {
	for {
		w, ok := n.(*named)
		if !ok || w == nil {
			break
		}
		n = w.Notifier
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
