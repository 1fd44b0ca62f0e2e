package journal

import (
	"fmt"
	"runtime/debug"
)

// mail is one callback to make: a done or an event.
type mail struct {
	done    func(error)
	err     error
	charged int
	event   Event
}

// A mailroom makes the callbacks of a journal, in order, from a goroutine that
// exists only while there is one to make. So a slow callback delays no write.
// Its fields are guarded by the mutex of the journal.
type mailroom struct {
	deliver func() // runs until there is no mail
	mail    []mail
	events  int
	open    bool
	shut    chan struct{} // closed when there is no mail; may be nil
	dropped uint64
	panics  uint64
}

const maxEvents = 1000 // that may wait for Notify

func (r *mailroom) add(m mail) {
	r.mail = append(r.mail, m)
	if !r.open {
		r.open = true
		go r.deliver()
	}
}

// idle is nil when there is no mail, else closed when that is so.
func (r *mailroom) idle() <-chan struct{} {
	if !r.open {
		return nil
	}
	if r.shut == nil {
		r.shut = make(chan struct{})
	}
	return r.shut
}

// tell queues an event for the owner. j.mu is held.
func (j *Journal) tell(e Event) {
	switch {
	case j.opt.Notify == nil:
	case j.told.events >= maxEvents:
		j.told.dropped++
	default:
		j.told.events++
		j.told.add(mail{event: e})
	}
}

func (j *Journal) deliver() {
	for {
		j.mu.Lock()
		letters := j.told.mail
		j.told.mail = nil
		if len(letters) == 0 {
			j.told.open = false
			if j.told.shut != nil {
				close(j.told.shut)
				j.told.shut = nil
			}
			j.mu.Unlock()
			return
		}
		j.mu.Unlock()
		for _, m := range letters {
			broken := j.open(m)
			j.mu.Lock()
			j.pending -= m.charged
			if m.done == nil {
				j.told.events--
			}
			if broken != nil {
				j.told.panics++
				if m.done != nil { // a Notify that panics is not told so by itself
					j.tell(Event{Kind: Panicked, Err: broken})
				}
			}
			j.mu.Unlock()
		}
	}
}

// open makes one callback; its panic is returned.
func (j *Journal) open(m mail) (broken error) {
	defer func() {
		if r := recover(); r != nil {
			broken = fmt.Errorf("journal: panic in a callback: %v\n%s", r, debug.Stack())
		}
	}()
	if m.done != nil {
		m.done(m.err)
	} else {
		j.opt.Notify(m.event)
	}
	return nil
}
