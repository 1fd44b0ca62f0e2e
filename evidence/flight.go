package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/trace"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
)

// Flight is trace.out: what a flight recorder has of the last seconds. from is a
// [Recorder], or a *trace.FlightRecorder of the application.
func Flight(from io.WriterTo) Part {
	return Part{Name: "trace.out", Type: TraceType, Write: func(_ context.Context, _ escalate.Incident, w io.Writer) error {
		if from == nil {
			return absent("no flight recorder was given")
		}
		if r, ok := from.(interface{ Enabled() bool }); ok && !r.Enabled() {
			return absent("the flight recorder does not run: call its Start")
		}
		_, err := from.WriteTo(w)
		return err
	}}
}

// RecorderOptions are the options of [NewRecorder].
type RecorderOptions struct {
	// MinAge is for how long what happened is kept at least, as far as MaxBytes
	// allows. 0: 10 s.
	MinAge time.Duration
	// MaxBytes is about how much is kept in memory; a busy program fills a few MiB
	// each second. A trace that does not fit into Options.Bytes is left out. 0: 3 MiB.
	MaxBytes uint64
}

// A Recorder is the flight recorder of the runtime (runtime/trace.FlightRecorder),
// for programs that have none yet. Its methods are safe for concurrent use. It
// records from Start to Stop, and that costs processor time all the while.
type Recorder struct {
	o RecorderOptions

	mu sync.Mutex
	fr *trace.FlightRecorder // nil while it does not record
}

// NewRecorder returns a recorder that does not record yet.
func NewRecorder(o RecorderOptions) *Recorder {
	if o.MinAge <= 0 {
		o.MinAge = 10 * time.Second
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 3 << 20
	}
	return &Recorder{o: o}
}

// ErrRecording: this process has a flight recorder that runs, and can have only one.
var ErrRecording = errors.New("a flight recorder runs already, and a process can have only one: give that one as Options.Flight, or stop it first")

// Start begins to record. It returns [ErrRecording] if this or another flight
// recorder does already.
func (r *Recorder) Start() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	fr := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: r.o.MinAge, MaxBytes: r.o.MaxBytes})
	if err := fr.Start(); err != nil {
		return fmt.Errorf("evidence: start the flight recorder: %w (%w)", ErrRecording, err)
	}
	r.fr = fr
	return nil
}

// Stop ends the recording and forgets what was recorded. It waits for a WriteTo
// under way, and does nothing where nothing is recorded.
func (r *Recorder) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fr != nil {
		r.fr.Stop()
		r.fr = nil
	}
}

// Enabled says whether it records.
func (r *Recorder) Enabled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fr != nil
}

// WriteTo writes what is recorded at this moment, in the format of go tool trace.
func (r *Recorder) WriteTo(w io.Writer) (int64, error) {
	text, err := r.snapshot()
	if err != nil {
		return 0, fmt.Errorf("evidence: flight recorder: %w", err)
	}
	return text.WriteTo(w)
}

// snapshot keeps the writer, which is not ours, from being called under the lock.
func (r *Recorder) snapshot() (*bytes.Buffer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fr == nil {
		return nil, absent("it does not run: call Start")
	}
	var text bytes.Buffer
	_, err := r.fr.WriteTo(&text)
	return &text, err
}
