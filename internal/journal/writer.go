package journal

import (
	"fmt"
	"runtime/debug"
	"time"
)

// An op is one call of the owner.
type op struct {
	records  int // how many of the batch are its
	charged  int // how many of them count for the queue
	bytes    int // of payload that count for the queue
	snapshot bool
	done     func(error)
	wait     chan error // with room for one
}

// A batch is what the writer takes at once. Payloads lie in buf, or where buf lay
// before it grew.
type batch struct {
	ops  []op
	recs []Record
	buf  []byte
}

func (b *batch) add(o op, entries []Entry, stamp Stamp) {
	for _, e := range entries {
		at := len(b.buf)
		b.buf = append(b.buf, e.Payload...)
		b.recs = append(b.recs, Record{Stamp: stamp, Entry: Entry{Type: e.Type, Payload: b.buf[at:len(b.buf):len(b.buf)]}})
	}
	b.ops = append(b.ops, o)
}

func (b *batch) reset() {
	const keep = 1 << 20
	clear(b.ops)
	b.ops = b.ops[:0]
	if b.recs = b.recs[:0]; cap(b.recs) > keep/64 {
		b.recs = nil
	}
	if b.buf = b.buf[:0]; cap(b.buf) > keep {
		b.buf = nil
	}
}

// groupBytes bounds what becomes durable together, and so how long the first of
// it waits.
const groupBytes = 256 << 10

// write is the one goroutine that touches the log.
func (j *Journal) write() {
	defer close(j.ended)
	var b batch
	for {
		<-j.ready
		for {
			j.mu.Lock()
			b, j.queue = j.queue, b
			again, ending := j.again, j.ending
			j.again = false
			j.mu.Unlock()
			if again {
				j.mend()
			}
			if len(b.ops) > 0 {
				j.work(&b)
				b.reset()
				continue
			}
			if ending {
				j.finish()
				return
			}
			_ = j.guard(func() error { j.log.Mark(); return nil })
			break
		}
	}
}

// work carries out a batch in order, as many appends at a time as may be.
func (j *Journal) work(b *batch) {
	recs := b.recs
	for ops := b.ops; len(ops) > 0; {
		n, records, size := 1, ops[0].records, ops[0].bytes
		if ops[0].snapshot {
			state := recs[:records]
			j.complete(ops[:1], j.guard(func() error { return j.snapshot(state) }))
		} else {
			for n < len(ops) && !ops[n].snapshot && size < groupBytes {
				records, size = records+ops[n].records, size+ops[n].bytes
				n++
			}
			group := recs[:records]
			j.complete(ops[:n], j.guard(func() error { return j.log.Append(group) }))
		}
		recs, ops = recs[records:], ops[n:]
	}
}

func (j *Journal) snapshot(state []Record) error {
	if j.log.Failed() != nil && j.home != nil {
		if err := j.home.revive(); err != nil {
			j.log.Break(err)
			return j.log.refusal()
		}
	}
	return j.log.Snapshot(state)
}

// guard runs what asks the disk, under the eye of the watchdog, and takes in what
// has become of the log.
func (j *Journal) guard(ask func() error) error {
	j.mu.Lock()
	j.busy = time.Now()
	if j.dog == nil {
		j.dog = time.AfterFunc(j.opt.StallAfter, j.bark)
	} else {
		j.dog.Reset(j.opt.StallAfter)
	}
	j.mu.Unlock()

	err := j.shielded(ask)

	j.mu.Lock()
	defer j.mu.Unlock()
	j.dog.Stop()
	if j.slow {
		j.slow = false
		j.stall = make(chan struct{})
		j.tell(Event{Kind: Resumed, After: time.Since(j.busy)})
	}
	j.busy = time.Time{}
	j.observe()
	return err
}

// shielded keeps a panic from the host: the journal is degraded by it.
func (j *Journal) shielded(ask func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			j.log.Break(fmt.Errorf("panic in the journal: %v\n%s", r, debug.Stack()))
			err = j.log.refusal()
		}
	}()
	return ask()
}

// bark is called when the disk may have taken too long.
func (j *Journal) bark() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.busy.IsZero() || j.slow {
		return
	}
	if left := j.opt.StallAfter - time.Since(j.busy); left > 0 { // fired for an earlier one
		j.dog.Reset(left)
		return
	}
	j.slow = true
	close(j.stall)
	j.tell(Event{Kind: Stalled, After: time.Since(j.busy)})
}

// observe takes in how the log is. j.mu is held, and the writer's goroutine runs.
func (j *Journal) observe() {
	s := &j.status
	t := j.log.Trouble()
	if t.Failures != s.Failures {
		s.Failures, s.LastError = t.Failures, t.Last
		j.tell(Event{Kind: FileFailed, Err: t.Last})
	}
	failed, was := j.log.Failed(), s.Degraded
	s.Degraded = nil
	if failed != nil {
		s.Degraded = j.log.refusal()
	}
	switch {
	case was == nil && failed != nil:
		j.asked = true // once the disk had time to change its mind
		j.tell(Event{Kind: Degraded, Err: s.Degraded})
	case was != nil && failed == nil:
		j.tell(Event{Kind: Recovered})
	}
	s.Durable, s.Short, s.Wants = j.log.Durable(), j.log.Short(), j.log.Wants()
	if s.Wants && j.used && !j.asked && !j.ending {
		j.asked = true
		j.tell(Event{Kind: SnapshotWanted})
	}
	if (s.Short || s.Wants && j.used) && !j.armed && !j.ending {
		j.armed = true
		if j.retry == nil {
			j.retry = time.AfterFunc(j.opt.RetryEvery, j.tick)
		} else {
			j.retry.Reset(j.opt.RetryEvery)
		}
	}
}

func (j *Journal) tick() {
	j.mu.Lock()
	j.armed, j.again = false, true
	j.mu.Unlock()
	j.wake()
}

// mend tries what failed once more: it asks for a snapshot, by which a degraded
// log recovers, and makes segments ready.
func (j *Journal) mend() {
	_ = j.guard(func() error {
		if j.log.Failed() == nil {
			j.log.Tend()
		} else if j.home != nil {
			if err := j.home.revive(); err != nil {
				j.log.Break(err)
				return nil // there is nowhere to put one
			}
		}
		j.mu.Lock()
		j.asked = j.snapping // one that is under way is the answer
		j.mu.Unlock()
		return nil
	})
}

// complete tells whoever waits for ops.
func (j *Journal) complete(ops []op, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, o := range ops {
		j.waiting -= o.bytes
		if o.snapshot {
			j.snapping = false
			j.asked = j.asked && err != nil // after an error, at the next retry
		}
		if o.wait != nil {
			o.wait <- err
		}
		if o.done == nil {
			j.pending -= o.charged
			continue
		}
		j.told.add(mail{done: o.done, err: err, charged: o.charged})
	}
}

// finish ends the writer.
func (j *Journal) finish() {
	err := j.guard(j.log.Close)
	if j.home != nil {
		j.home.close()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.retry != nil {
		j.retry.Stop()
	}
	j.dog.Stop()
	j.closed = err
}
