package watchdog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// ErrUnsupported is what Start returns where there is no pidfd.
var ErrUnsupported = errors.New("watchdog: this system has no pidfd (Linux 5.3): use the liveness probe of whoever starts the process")

// Options configure [Start]. Progress and Dir are required.
type Options struct {
	// Service is named in what is delivered.
	Service string
	// Progress returns nil while the process makes progress, such as
	// Supervisor.Pulse; an error, or no answer within Every, is a missed beat.
	Progress func(context.Context) error
	// Dir keeps the dump, and what was delivered, for the next life. It is made with
	// mode 0700.
	Dir string
	// Config is handed to the function that Main was given, in the child. It goes
	// through a pipe: secrets belong here.
	Config []byte
	// Every is the time between two beats. 0: 1 s.
	Every time.Duration
	// Timeout is how long no beat may come before the process counts as wedged. 0:
	// 30 s. It must be longer than the process may starve: with all processors busy a
	// healthy one was seen to be 4 s late.
	Timeout time.Duration
	// StopLimit is how long the process may be stopped, by a debugger or by SIGSTOP.
	// 0: 10 min.
	StopLimit time.Duration
	// DumpWait is how long a dump may take before the process is killed. 0: 10 s.
	DumpWait time.Duration
	// DeliverFor is how long the child tries to deliver, with growing pauses. 0: 10
	// min.
	DeliverFor time.Duration
}

func (o *Options) check() error {
	var errs []error
	if o.Progress == nil {
		errs = append(errs, errors.New("watchdog: Options.Progress is nil: give it Supervisor.Pulse"))
	}
	if o.Dir == "" {
		errs = append(errs, errors.New("watchdog: Options.Dir is empty: name a directory that outlives the process"))
	}
	for _, d := range []struct {
		name string
		is   *time.Duration
		def  time.Duration
	}{
		{"Every", &o.Every, time.Second}, {"Timeout", &o.Timeout, 30 * time.Second}, {"StopLimit", &o.StopLimit, 10 * time.Minute},
		{"DumpWait", &o.DumpWait, 10 * time.Second}, {"DeliverFor", &o.DeliverFor, 10 * time.Minute},
	} {
		if *d.is < 0 {
			errs = append(errs, fmt.Errorf("watchdog: Options.%s is %v: use a positive time, or 0 for %v", d.name, *d.is, d.def))
		}
		if *d.is == 0 {
			*d.is = d.def
		}
	}
	if o.Timeout < 2*o.Every && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("watchdog: Options.Timeout %v is less than two beats of %v: one late beat would end the process", o.Timeout, o.Every))
	}
	return errors.Join(errs...)
}

// A Watchdog is the process's end of it. Its methods are safe for concurrent use,
// and those of a nil one do nothing.
type Watchdog struct {
	o     Options
	pipe  *os.File
	child *exec.Cmd
	crash *os.File
	ended chan struct{} // the child has

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

// hello is the first message to the child.
type hello struct {
	PID        int           `json:"pid"`
	Service    string        `json:"service"`
	Dir        string        `json:"dir"`
	Config     []byte        `json:"config"`
	Timeout    time.Duration `json:"timeout_ns"`
	StopLimit  time.Duration `json:"stop_limit_ns"`
	DumpWait   time.Duration `json:"dump_wait_ns"`
	DeliverFor time.Duration `json:"deliver_for_ns"`
}

// message is each that follows: one JSON value a line.
type message struct {
	Beat bool                   `json:"beat,omitempty"`
	Owe  *escalate.Notification `json:"owe,omitempty"`
	Done string                 `json:"done,omitempty"` // the id of one that was owed
	Bye  bool                   `json:"bye,omitempty"`
}

// send writes a message. The pipe holds thousands of beats, so that it blocks for
// a child that is stopped only; not longer than a beat then.
func (w *Watchdog) send(m any) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pipe == nil {
		return os.ErrClosed
	}
	_ = w.pipe.SetWriteDeadline(time.Now().Add(w.o.Every))
	_, err = w.pipe.Write(append(b, '\n'))
	return err
}

// beat tells the child that the process makes progress.
func (w *Watchdog) beat() {
	ctx, cancel := context.WithTimeout(context.Background(), w.o.Every)
	err := w.progress(ctx)
	cancel()
	if err == nil {
		_ = w.send(message{Beat: true})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.timer.Reset(w.o.Every)
	}
}

// progress asks for progress; a panic is none.
func (w *Watchdog) progress(ctx context.Context) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("watchdog: Progress panicked: %v", x)
		}
	}()
	return w.o.Progress(ctx)
}

// Guard returns a notifier that sends through n and lets the child know what is
// under way: should the process go before n has answered, the child delivers it
// under the same id.
func (w *Watchdog) Guard(n escalate.Notifier) escalate.Notifier {
	if w == nil {
		return n
	}
	g := escalate.NotifierFunc(func(ctx context.Context, note escalate.Notification) error {
		owed := note
		owed.Links = nil // they may be signed
		_ = w.send(message{Owe: &owed})
		err := n.Notify(ctx, note)
		if err == nil || escalate.IsPermanent(err) {
			_ = w.send(message{Done: note.ID})
		}
		return err
	})
	return escalate.Named(escalate.Name(n), g)
}

// Stop says goodbye: from here on the process may end without anybody being told.
// It waits for the child to be gone, at most 5 s.
func (w *Watchdog) Stop() {
	if w == nil {
		return
	}
	w.mu.Lock()
	if w.over {
		w.mu.Unlock()
		return
	}
	w.over = true
	w.timer.Stop()
	w.mu.Unlock()
	_ = w.send(message{Bye: true})
	w.mu.Lock()
	_ = w.pipe.Close()
	w.pipe = nil
	w.mu.Unlock()
	w.forgetCrash()
	t := time.NewTimer(5 * time.Second)
	defer t.Stop()
	select {
	case <-w.ended:
	case <-t.C:
	}
}
