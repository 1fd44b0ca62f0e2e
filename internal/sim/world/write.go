package world

// write is records on their way to the disk.
type write struct {
	done  bool
	err   error
	after []func(error)
}

func (w *write) settle(err error) {
	if w.done {
		return
	}
	w.done, w.err = true, err
	after := w.after
	w.after = nil
	for _, f := range after {
		f(err)
	}
}

// then calls f once it is settled: at once if it is.
func (w *write) then(f func(error)) {
	switch {
	case w == nil:
		f(nil)
	case w.done:
		f(w.err)
	default:
		w.after = append(w.after, f)
	}
}

// wait calls f once it is settled, or when that takes too long.
func (w *write) wait(p *process, f func(error)) {
	answered := false
	answer := func(err error) {
		if !answered && !p.over {
			answered = true
			f(err)
		}
	}
	w.then(answer)
	if !answered {
		p.after(durableWait, func() { answer(errNotDurable) })
	}
}
