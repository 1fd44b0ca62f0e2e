package goruntime

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// Early is the key of the first of two thresholds: a warning, on which a ladder
// does what nobody notices. The second has Key "" and is Critical. They are two
// keys and so two incidents, since an incident climbs its ladder once and could not
// climb it again when a warning turns into more.
const Early = "early"

// reading is one value with the levels that it is judged by.
type reading struct {
	value         float64
	t1, t2, clear float64
	// text says what was read, for people. It is asked only for findings.
	text func(value, limit float64) string
	// evidence may be nil.
	evidence func() []slog.Attr
	unit     string
	silent   bool // nothing to judge: healthy
}

// leveled judges readings with two thresholds and one level below both at which
// either ends.
type leveled struct {
	invalid  error
	earlyFor time.Duration // how long the value must stay above t1
	read     func(now time.Duration) (reading, error)

	mu     sync.Mutex
	origin time.Time
	above  time.Duration // since when it is above t1, plus 1; 0 when it is not
	early  bool
	acute  bool
}

func newLeveled(invalid error, earlyFor time.Duration, read func(now time.Duration) (reading, error)) *leveled {
	return &leveled{invalid: invalid, earlyFor: earlyFor, read: read, origin: time.Now()}
}

// Validate reports options that make no sense.
func (l *leveled) Validate() error { return l.invalid }

// Detect reads and judges once.
func (l *leveled) Detect(ctx context.Context) ([]detect.Finding, error) {
	if l.invalid != nil {
		return nil, l.invalid
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Since(l.origin)
	r, err := l.read(now)
	if r.silent && err != nil {
		return nil, err
	}
	if r.silent || r.value < r.clear {
		l.above, l.early, l.acute = 0, false, false
		return nil, err
	}
	switch {
	case r.value <= r.t1 && !l.early:
		l.above = 0
	case l.above == 0:
		l.above = now + 1
	}
	l.early = l.early || l.above != 0 && now+1-l.above >= l.earlyFor
	l.acute = l.acute || r.value > r.t2
	if !l.early && !l.acute {
		return nil, err
	}
	var found []detect.Finding
	if l.acute {
		found = append(found, r.finding("", r.t2, detect.Critical))
	}
	if l.early {
		found = append(found, r.finding(Early, r.t1, detect.Warning))
	}
	return found, err
}

func (r *reading) finding(key string, limit float64, severity detect.Severity) detect.Finding {
	f := detect.Finding{Key: key, Severity: severity, Summary: r.text(r.value, limit), Value: r.value, Limit: limit, Unit: r.unit}
	if r.value <= limit {
		f.Summary += ", not yet below " + short(r.clear)
	}
	if r.evidence != nil {
		f.Evidence = r.evidence()
	}
	return f
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }

// window keeps two counters over the last while, in a few steps.
type window struct {
	step time.Duration
	at   [8]time.Duration
	a, b [8]float64
	n    int
}

func newWindow(length time.Duration) window { return window{step: length / 6} }

// increase takes the counters at now and returns by how much they grew since the
// oldest point that is kept, and how long ago that was. A counter that shrank
// started anew, and so does the window.
func (w *window) increase(now time.Duration, a, b float64) (da, db float64, over time.Duration) {
	if w.n > 0 && (a < w.a[w.n-1] || b < w.b[w.n-1] || now > w.at[w.n-1]+6*w.step) {
		w.n = 0
	}
	if w.n > 0 {
		da, db, over = a-w.a[0], b-w.b[0], now-w.at[0]
	}
	if w.n == 0 || now >= w.at[w.n-1]+w.step {
		if w.n == 7 {
			copy(w.at[:], w.at[1:w.n])
			copy(w.a[:], w.a[1:w.n])
			copy(w.b[:], w.b[1:w.n])
			w.n--
		}
		w.at[w.n], w.a[w.n], w.b[w.n] = now, a, b
		w.n++
	}
	return da, db, over
}

// full says whether the window has been filled once.
func (w *window) full(over time.Duration) bool { return over >= 5*w.step }
