package selfheal

import (
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// lagProblems is where a step would be judged before its detector can know: by
// an alert of existing monitoring, which is said to be over minutes after it is.
func (e *entry) lagProblems(o *Options, bad func(string, ...any)) {
	lag, err := lagOf(e.watch.Detector)
	if err != nil {
		bad("its detector: %v", err)
	}
	if lag == 0 {
		return
	}
	for i := range e.watch.Playbook.Steps {
		s := &e.watch.Playbook.Steps[i]
		if s.Verify != nil || o.disabled(e.watch.Name, s.Name) {
			continue
		}
		settle := s.Settle
		if settle == 0 {
			settle = max(2*e.watch.every(o), time.Second)
		}
		if settle < lag {
			bad("step %q settles for %v, and its detector may learn only %v after the fact that a fix worked: set Settle to %v or more, or a Verify that asks the service itself", s.Name, settle, lag, lag)
		}
	}
}

// lagOf asks a detector of the user's, whose panic is a mistake like another.
func lagOf(d detect.Detector) (lag time.Duration, err error) {
	l, ok := d.(detect.Lagging)
	if !ok {
		return 0, nil
	}
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("its Lag panicked: %v", x)
		}
	}()
	return max(l.Lag(), 0), nil
}
