package incident

// tilt is the rail against ourselves: late, or with a clock that stepped.
type tilt struct {
	until At // 0: calm
	over  At // what was seen before is not judged
	why   string
	since At
}

// tilted begins or prolongs a tilt.
func (e *Engine) tilted(why string) {
	if e.tilt.until == 0 {
		e.tilt.since = e.now
		e.emit(Event{Kind: EvTilt, Watch: Self, Key: "tilt", Why: why})
	}
	e.tilt.why = why
	e.tilt.until = e.now + calmFor
	e.recheck()
}

// calm ends it: everything is looked at afresh.
func (e *Engine) calm() {
	e.emit(Event{Kind: EvCalm, Watch: Self, Key: "tilt", Duration: e.now - e.tilt.since})
	e.tilt.until, e.tilt.over = 0, e.now
	for _, w := range e.sorted() {
		if w.engaged {
			e.askLook(w)
		}
	}
	e.recheck()
}
