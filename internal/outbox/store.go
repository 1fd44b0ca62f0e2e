package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// A Store keeps records. The driver hands it one lot at a time, the records of
// everything that happened while it kept the last; it calls Append from a
// goroutine that waits for nothing else, and never under a lock.
type Store interface {
	// Append keeps records, after those of earlier calls, and calls done once
	// when they are durable, or cannot be. It may call done before it returns,
	// and from anywhere.
	//
	// A lot that failed is not handed in again. The next record of its keys has
	// all of it.
	Append(records []Record, done func(error))
}

// Unstored says that records are not durable: the store failed, or took so long
// that it was not waited for.
type Unstored struct{ Err error }

func (Unstored) effect() {}

// storeWait is how long a call waits for the store. A page that may be forgotten
// in a crash is better than one that nobody gets.
const storeWait = 2 * time.Second

var errStoreSlow = fmt.Errorf("outbox: the store has not answered within %v", storeWait)

// A batch is what is kept at once, and the calls that wait for it.
type batch struct {
	records []Record
	at      map[string]int // in records, by key
	sends   []Send
	timer   *time.Timer
	let     bool // its calls do not wait any longer
}

// keep takes a record into the batch that is written next. d.mu is held.
func (d *Driver) keep(r Record) {
	b := d.next()
	if i, again := b.at[r.Key]; again {
		// A log may end in the middle of a batch. A digest keeps its place before
		// the end of what it tells of; all else takes that of its latest state.
		if r.Entry != nil && r.Entry.Digest != nil {
			b.records[i] = r
			return
		}
		b.records[i] = Record{}
	}
	b.at[r.Key] = len(b.records)
	b.records = append(b.records, r)
}

// launch begins a call when everything that was recorded before it is kept.
// d.mu is held.
func (d *Driver) launch(s Send) {
	if d.opt.Store == nil || d.pending == nil && d.writing == nil {
		d.start(s)
		return
	}
	b := d.pending
	if b == nil {
		b = d.writing
	}
	if b.let {
		d.start(s)
		return
	}
	b.sends = append(b.sends, s)
	if b.timer == nil {
		b.timer = time.AfterFunc(storeWait, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if !b.let && !d.over {
				d.stats.Unstored++
				d.show(Unstored{errStoreSlow})
				d.let(b)
			}
		})
	}
}

func (d *Driver) next() *batch {
	if d.pending == nil {
		d.pending = &batch{at: map[string]int{}}
	}
	return d.pending
}

// let begins the calls that wait for b. d.mu is held.
func (d *Driver) let(b *batch) {
	b.let = true
	if b.timer != nil {
		b.timer.Stop()
	}
	for _, s := range b.sends {
		d.start(s)
	}
	b.sends = nil
}

// flush hands the store what is pending, unless it is busy. d.mu is held.
func (d *Driver) flush() {
	if d.pending == nil || d.writing != nil || d.over {
		return
	}
	b := d.pending
	d.pending, d.writing = nil, b
	records := make([]Record, 0, len(b.at))
	for _, r := range b.records {
		if r.Key != "" {
			records = append(records, r)
		}
	}
	b.records = nil
	go d.append(b, records)
}

func (d *Driver) append(b *batch, records []Record) {
	var once sync.Once
	done := func(err error) { once.Do(func() { d.kept(b, err) }) }
	defer func() {
		if r := recover(); r != nil {
			done(fmt.Errorf("outbox: panic in the store: %v", r))
		}
	}()
	d.opt.Store.Append(records, done)
}

func (d *Driver) kept(b *batch, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.stats.Unstored++
		d.show(Unstored{err})
	}
	d.writing = nil
	if !d.over {
		d.let(b)
	}
	d.flush()
	d.wake()
}

// stored says that the store has everything. d.mu is held.
func (d *Driver) stored() bool { return d.pending == nil && d.writing == nil }

// dismiss ends the calls that have not begun because the store is slow. d.mu is
// held.
func (d *Driver) dismiss() {
	for _, b := range []*batch{d.writing, d.pending} {
		if b == nil {
			continue
		}
		sends := b.sends
		b.sends = nil
		d.let(b)
		for _, s := range sends {
			d.step(Failed{ID: s.ID, Target: s.Target, Err: ErrStopped})
		}
	}
}

// unstore lets go of a store that does not answer. d.mu is held.
func (d *Driver) unstore() {
	for _, b := range []*batch{d.writing, d.pending} {
		if b != nil && b.timer != nil {
			b.timer.Stop()
		}
	}
}

// Once tries one notification once, past levels, grouping and quiet hours, and
// returns how that went. Its DedupKey must be that of nothing else that is under
// way. Where ctx ends first, the try may still be made within its deadline.
func (d *Driver) Once(ctx context.Context, target string, n escalate.Notification) error {
	var within time.Duration
	if end, ok := ctx.Deadline(); ok {
		if within = time.Until(end); within <= 0 {
			return context.DeadlineExceeded
		}
	}
	answer := make(chan error, 1)
	d.mu.Lock()
	if d.over {
		d.mu.Unlock()
		return ErrStopped
	}
	if d.answers[n.DedupKey] != nil {
		d.mu.Unlock()
		return errors.New("outbox: once: this key is under way: wait for its answer")
	}
	d.answers[n.DedupKey] = answer
	d.step(Once{Notification: n, Target: target, Within: within})
	d.mu.Unlock()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.answers[n.DedupKey] == answer {
			delete(d.answers, n.DedupKey)
		}
		return context.Cause(ctx)
	}
}

// answer gives the result of a Once to whoever waits for it. d.mu is held.
func (d *Driver) answer(e Done) {
	key := e.Notification.DedupKey
	if answer := d.answers[key]; answer != nil {
		delete(d.answers, key)
		answer <- e.Err
	}
}
