package journal

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"
	"time"
)

// Options of a [Journal]. The zero value is useful.
type Options struct {
	// Log has the sizes.
	Log LogOptions
	// Queue is how many records may wait for the disk, or for a done that has not
	// returned. 0 means 16,384.
	Queue int
	// QueueBytes is how many bytes of payload may wait. 0 means 8 MiB.
	QueueBytes int
	// StallAfter is how long the disk may take for an answer before it is reported
	// as [Stalled] and nobody waits for it any longer. 0 means 5 s.
	StallAfter time.Duration
	// RetryEvery is how often a degraded journal tries to recover, segments are
	// made ready where some are missing, and a snapshot is asked for again. 0 means
	// 10 s.
	RetryEvery time.Duration
	// CloseTimeout is how long Close waits for a disk that does not answer. 0 means
	// 10 s.
	CloseTimeout time.Duration
	// Notify is told what the owner must know, in order with the calls of done and
	// from the same goroutine. It may call every method but Close. nil ignores it,
	// and then a journal that is degraded stays so.
	Notify func(Event)
	// Now makes the stamps of records. nil means that of [NewClock]. It must be safe
	// for concurrent use.
	Now func() Stamp
}

func (o Options) withDefaults() (Options, error) {
	var bad error
	count := func(name string, v *int, otherwise int) {
		if *v < 0 {
			bad = errors.Join(bad, fmt.Errorf("journal: %s is %d: give a positive number, or 0 for %d", name, *v, otherwise))
		}
		if *v == 0 {
			*v = otherwise
		}
	}
	wait := func(name string, v *time.Duration, otherwise time.Duration) {
		if *v < 0 {
			bad = errors.Join(bad, fmt.Errorf("journal: %s is %v: give a positive duration, or 0 for %v", name, *v, otherwise))
		}
		if *v == 0 {
			*v = otherwise
		}
	}
	count("Queue", &o.Queue, 16_384)
	count("QueueBytes", &o.QueueBytes, 8<<20)
	wait("StallAfter", &o.StallAfter, 5*time.Second)
	wait("RetryEvery", &o.RetryEvery, 10*time.Second)
	wait("CloseTimeout", &o.CloseTimeout, 10*time.Second)
	if o.Now == nil {
		o.Now = NewClock().Now
	}
	return o, bad
}

// A Journal puts records on a disk, from one goroutine of its own: what is
// appended while the disk is busy becomes durable together. All methods are safe
// for concurrent use; only AppendSync and Close wait for the disk.
type Journal struct {
	opt    Options
	home   *home // nil for an FS of the caller
	log    *Log  // the writer's, once that runs
	limit  int   // of a payload
	report Report
	replay iter.Seq2[Record, error]

	ready chan struct{} // wakes the writer
	ended chan struct{} // closed when the writer has ended

	mu       sync.Mutex // never held while anything of others, or the disk, runs
	queue    batch
	pending  int // records, see Status.Queued
	waiting  int // bytes of payload
	used     bool
	snapping bool // a snapshot is queued or being written
	retired  bool // a snapshot was given: too late for a replay
	ending   bool
	closed   error // what Close returns, once ended
	again    bool  // the retry timer fired

	busy  time.Time // when the disk was asked; zero while it is not
	stall chan struct{}
	slow  bool // stall is closed
	dog   *time.Timer
	retry *time.Timer
	armed bool

	status Status
	asked  bool // for a snapshot
	told   mailroom
}

// Open opens the journal in a directory for writing, and makes it where there is
// none: the directory with mode 0700, files with 0600. An empty dir means
// $STATE_DIRECTORY/selfheal, see [Dir].
//
// It returns a [*LockedError] when another has it open, a [*NewerError] when a
// later version wrote it, and otherwise an error that says what to do. Damage is
// no error: look at [Journal.Report]. The directory must lie on a local file
// system; NFS and the like do not keep what a lock and a sync promise.
//
// Read what there is with [Journal.Replay] before the first snapshot.
func Open(dir string, o Options) (*Journal, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if !supported {
		return nil, ErrUnsupported
	}
	if dir, err = Dir(dir, os.Getenv); err != nil {
		return nil, err
	}
	h, err := openHome(dir)
	if err != nil {
		return nil, err
	}
	j, err := start(h.fs, &dirFS{dir: dir}, h, o)
	if err != nil {
		h.close()
		return nil, err
	}
	return j, nil
}

// OpenFS is Open for a file system of its own, which nobody else writes.
func OpenFS(fsys FS, o Options) (*Journal, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return start(fsys, fsys, nil, o)
}

// start has a file system for the writer, and one for replay, which may go on
// beside it.
func start(fsys, reading FS, h *home, o Options) (*Journal, error) {
	log, err := OpenLog(fsys, o.Log)
	if err != nil {
		return nil, err
	}
	found := view{fs: reading, segs: log.replay.segs, start: log.replay.start}
	j := &Journal{
		opt: o, home: h, log: log, limit: log.MaxPayload(),
		report: log.Report(), replay: found.state(log.until),
		ready: make(chan struct{}, 1), ended: make(chan struct{}), stall: make(chan struct{}),
	}
	j.told.deliver = j.deliver
	j.status.Durable = log.Durable()
	go j.write()
	return j, nil
}

// Report says how the journal was found when it was opened.
func (j *Journal) Report() Report { return j.report }

// Replay is [Log.Replay]: the state as it was found.
func (j *Journal) Replay() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		j.mu.Lock()
		late := j.retired
		j.mu.Unlock()
		if late {
			yield(Record{}, ErrReplayed)
			return
		}
		j.replay(yield)
	}
}

// Append queues entries and returns at once. done is called once, with nil when
// they are durable; with an error, some of them may be, so each must make sense
// alone. It runs on the goroutine of Options.Notify, in order, may be nil, and
// must not call Close.
//
// An error of Append itself means that nothing was queued and done will not be
// called: [ErrDegraded], [ErrFull], [ErrTooLarge] or [ErrClosed]. Payloads are
// copied.
func (j *Journal) Append(entries []Entry, done func(error)) error {
	_, err := j.enqueue(entries, op{done: done})
	return err
}

// AppendSync queues entries and waits until they are durable. It returns
// [ErrNotDurable] when ctx ends first, or while the disk is stalled: they stay
// queued then. Its other errors are those of Append and of done.
func (j *Journal) AppendSync(ctx context.Context, entries ...Entry) error {
	wait := make(chan error, 1)
	stalled, err := j.enqueue(entries, op{wait: wait})
	if err != nil {
		return err
	}
	why := error(nil)
	select {
	case err := <-wait:
		return err
	case <-stalled:
		why = fmt.Errorf("the disk has not answered for %v: look at it, and count on nothing that must survive a crash", j.opt.StallAfter)
	case <-ctx.Done():
		why = context.Cause(ctx)
	}
	select {
	case err := <-wait: // both at once: it is known
		return err
	default:
		return fmt.Errorf("%w: %w", ErrNotDurable, why)
	}
}

// Snapshot queues a snapshot: entries that are the whole state after everything
// that was appended before this call. It replaces all that. done is as in Append;
// after an error of it, what was there still counts. There may be one snapshot at
// a time, else it returns [ErrSnapshotting]. A degraded journal takes it, and recovers by it; what is appended behind
// it then shares its fate.
func (j *Journal) Snapshot(entries []Entry, done func(error)) error {
	_, err := j.enqueue(entries, op{snapshot: true, done: done})
	return err
}

func (j *Journal) enqueue(entries []Entry, o op) (stalled <-chan struct{}, err error) {
	size := 0
	for _, e := range entries {
		if len(e.Payload) > j.limit {
			return nil, tooLarge(len(e.Payload), j.limit)
		}
		size += len(e.Payload)
	}
	stamp := j.opt.Now()

	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.ending:
		return nil, ErrClosed
	case o.snapshot && j.snapping:
		return nil, ErrSnapshotting
	case o.snapshot:
		j.snapping, j.retired = true, true
	case j.status.Degraded != nil && !j.snapping:
		// What is refused is in the owner's next snapshot, but not in one that waits
		// already: behind that, everything queues and shares its fate.
		return nil, j.status.Degraded
	case j.pending+len(entries) > j.opt.Queue || j.waiting+size > j.opt.QueueBytes:
		return nil, fmt.Errorf("%w: %d records of %d and %d bytes of %d wait", ErrFull, j.pending, j.opt.Queue, j.waiting, j.opt.QueueBytes)
	default:
		o.charged, o.bytes = len(entries), size
		j.pending += len(entries)
		j.waiting += size
	}
	j.used = true
	o.records = len(entries)
	j.queue.add(o, entries, stamp)
	j.wake()
	return j.stall, nil
}

// wake lets the writer look. It may be called with and without j.mu.
func (j *Journal) wake() {
	select {
	case j.ready <- struct{}{}:
	default:
	}
}

// Status says how the journal is.
func (j *Journal) Status() Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.status
	s.Queued = j.pending
	s.Dropped, s.Panics = j.told.dropped, j.told.panics
	if j.slow {
		s.Stalled = time.Since(j.busy)
	}
	return s
}

// Close writes what is queued, waits until done was called for all of it, and
// lets go of the directory. When the disk does not answer within
// Options.CloseTimeout it returns an error; the writer is then left behind and
// lets go when the disk answers. It may be called more than once.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.ending = true
	j.mu.Unlock()
	j.wake()
	ctx, cancel := context.WithTimeout(context.Background(), j.opt.CloseTimeout)
	defer cancel()
	select {
	case <-j.ended:
	case <-ctx.Done():
		return fmt.Errorf("journal: close: %w: the disk has not answered for %v; what was appended meanwhile may be lost, and the directory stays locked until it answers or this process ends", ErrNotDurable, j.opt.CloseTimeout)
	}
	for {
		j.mu.Lock()
		idle := j.told.idle()
		j.mu.Unlock()
		if idle == nil {
			return j.closed
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return errors.New("journal: close: everything is written, but a callback (done or Notify) has not returned: let it")
		}
	}
}
