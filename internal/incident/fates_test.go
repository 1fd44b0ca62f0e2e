package incident

import (
	"errors"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

func (s *script) looks(w *watched) (At, []detect.Finding, error) {
	took := At(0)
	if s.has(fSlowLooks) {
		took = oneOf(s.d, 0, time.Millisecond, 300*time.Millisecond, 12*time.Second)
	}
	fs := w.findings()
	if w.blind != nil && len(fs) > 0 && s.one(2) {
		return took, fs[:s.d.n(len(fs))], w.blind // findings beside an error
	} else if w.blind != nil {
		return took, nil, w.blind
	}
	return took, fs, nil
}

// what a step did to the world.
func (s *script) effect(d *Decision, w *watched) {
	if s.calm {
		w.mend(d.Key)
		return
	}
	switch s.d.n(8) {
	case 0, 1, 2, 3:
		w.mend(d.Key)
	case 4:
		if s.has(fWorse) && w.sick[d.Key].Summary != "" {
			f := w.sick[d.Key]
			w.sicken(d.Key, f.Value*4, 5)
		}
	case 5:
		if s.has(fWorse) && w.sick[d.Key].Summary != "" {
			w.severe(d.Key, detect.Critical)
		}
	case 6:
		w.mend(d.Key)
		w.sicken(s.key(), 7, 5)
	}
}

func (s *script) answer() answer {
	a := answer{took: oneOf(s.d, 0, 0, time.Second, 10*time.Second), result: oneOf(s.d, OK, OK, OK, OK, OK, Skip, Fail, Fail)}
	if s.has(fAbandon) && !s.calm && s.one(6) {
		a = answer{took: 30 * time.Second, abandoned: true, late: oneOf(s.d, time.Second, time.Minute, time.Hour)}
	}
	return a
}

func (s *script) runs(d *Decision, w *watched) answer {
	a := s.answer()
	if s.one(30) {
		a.result = Escalate
	}
	run := *d
	if a.result != Skip {
		s.after(a.took, func() { s.effect(&run, w) })
	}
	if w.cfg.Playbook.Steps[d.Step].Undo != nil && s.one(2) && a.took > 0 {
		s.after(0, func() {
			s.put(Input{Kind: InSaved, Watch: run.Watch, Key: run.Key, Incident: run.Incident, Attempt: run.Attempt, Memo: []byte(name(run.Watch, run.Key))})
		})
	}
	return a
}

func (s *script) verifies(*Decision, *watched) answer {
	a := s.answer()
	if a.result == Escalate || s.calm {
		a.result = OK
	}
	return a
}

func (s *script) undoes(*Decision, *watched) answer {
	a := s.answer()
	a.result = OK
	if s.has(fUndoFails) && !s.calm && s.one(3) {
		a.result = Fail
	}
	return a
}

func (s *script) gates(*Decision) (At, error) {
	took := oneOf(s.d, 0, 0, time.Second)
	if !s.calm && s.one(3) {
		return took, errors.New("not now")
	}
	return took, nil
}
