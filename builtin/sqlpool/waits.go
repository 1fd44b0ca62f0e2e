package sqlpool

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

const (
	// window is over what time waits are averaged, in so many samples.
	window  = 10 * time.Second
	samples = 16
)

// waits judges how long callers wait for a connection, by the counters of
// sql.DBStats. These count a wait when it begins and its time when it ends, so that
// there are two signs, and the longer one counts:
//
//   - the time of the waits that ended within the window, over those that began;
//   - where waits began and none has ended since, the time since the first of them.
//     Somebody waits that long now, and perhaps for ever.
type waits struct {
	p        *pack
	limit    time.Duration
	hold     time.Duration // For of the watch: from then on it has to fall to the clear level
	severity detect.Severity
	origin   time.Time

	mu     sync.Mutex
	ring   [samples]sample
	head   int
	n      int
	ended  time.Duration // WaitDuration when it last changed
	begun  int64         // WaitCount then
	stuck  time.Duration // when the first wait began since
	behind bool          // whether there is one
	over   time.Duration // since when the limit is exceeded
	is     state
}

type sample struct {
	at    time.Duration
	count int64
	total time.Duration
}

func (w *waits) Validate() error { return w.p.problem }

// Detect looks at the counters.
func (w *waits) Detect(ctx context.Context) ([]detect.Finding, error) {
	s, err := w.p.see(ctx)
	if err != nil {
		return nil, err
	}
	stats := w.p.o.DB.Stats()
	r, sick := w.judge(time.Since(w.origin), &stats)
	if !sick {
		return nil, nil
	}
	f := detect.Finding{Severity: w.severity, Summary: w.words(&stats, r, s), Evidence: w.p.evidence(&stats, r, s)}
	return []detect.Finding{f}, nil
}

// readingOfWaits is what the counters say.
type readingOfWaits struct {
	wait    time.Duration
	stuck   bool    // nobody was served for so long
	waiting float64 // callers at once, on average: the time they waited a second (Little's law)
}

func (w *waits) judge(now time.Duration, stats *sql.DBStats) (r readingOfWaits, sick bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r = w.learn(sample{now, stats.WaitCount, stats.WaitDuration}, full(stats))
	switch {
	case r.wait > w.limit:
		if w.is == well {
			w.is, w.over = over, now
		}
		if now-w.over >= w.hold {
			w.is = latched
		}
	case w.is == over || r.wait < time.Duration(clearShare*float64(w.limit)):
		w.is = well
	}
	return r, w.is != well
}

// state is that of a level with hysteresis, which begins with the incident: a peak
// before it must not make a finding of what is below the limit.
type state uint8

const (
	well state = iota
	over
	latched
)

// full says whether nobody can be served now.
func full(stats *sql.DBStats) bool {
	return stats.MaxOpenConnections > 0 && stats.InUse >= stats.MaxOpenConnections
}

func (w *waits) learn(now sample, full bool) (r readingOfWaits) {
	if w.n == 0 || now.count < w.begun || now.total < w.ended {
		w.n, w.behind = 0, false // the first look; counters of a pool never shrink
		w.ended, w.begun = now.total, now.count
	}
	switch {
	case now.total != w.ended || !full:
		w.ended, w.begun, w.behind = now.total, now.count, false
	case now.count > w.begun && !w.behind:
		w.behind, w.stuck = true, now.at
	}
	w.add(now)
	first := w.ring[w.head]
	if span := now.at - first.at; span > 0 {
		total := now.total - first.total
		r.wait = total / time.Duration(max(now.count-first.count, 1))
		r.waiting = total.Seconds() / span.Seconds()
	}
	if since := now.at - w.stuck; w.behind && since > r.wait {
		r.wait, r.stuck = since, true
	}
	return r
}

// add keeps the samples of one window, the newest always.
func (w *waits) add(now sample) {
	for w.n > 1 && w.ring[(w.head+1)%samples].at <= now.at-window {
		w.head, w.n = (w.head+1)%samples, w.n-1
	}
	// The newest but one decides how finely: the newest is provisional.
	if w.n >= 2 && w.ring[(w.head+w.n-1)%samples].at-w.ring[(w.head+w.n-2)%samples].at < window/(samples-2) {
		w.n--
	}
	if w.n == samples {
		w.head, w.n = (w.head+1)%samples, w.n-1
	}
	w.ring[(w.head+w.n)%samples] = now
	w.n++
}

// words is what a person reads. There is no value beside it: what makes callers wait
// longer is the load, and the supervisor would take a surge for the doing of a rung.
func (w *waits) words(stats *sql.DBStats, r readingOfWaits, s survey) string {
	text := "callers wait " + short(r.wait) + " for a connection"
	if r.stuck {
		text = "for " + short(r.wait) + " nobody got a connection who waits for one"
	}
	if r.wait > w.limit {
		text += ", above " + short(w.limit)
	} else {
		text += ", not yet below " + short(time.Duration(clearShare*float64(w.limit)))
	}
	if stats.MaxOpenConnections > 0 {
		text += fmt.Sprintf(": %d of %d are in use", stats.InUse-s.taken, stats.MaxOpenConnections-w.p.extra())
	}
	switch {
	case s.idle > 0:
		text += fmt.Sprintf(", %d of them held without a call", s.idle)
	case s.refused > 0:
		text += ", and the database refuses more"
	}
	return text
}

// see is what the tracker sees, nothing without one. It fails where nothing can be
// judged.
func (p *pack) see(ctx context.Context) (s survey, err error) {
	switch {
	case p.problem != nil:
		return s, p.problem
	case ctx.Err() != nil:
		return s, context.Cause(ctx)
	case p.o.Tracker == nil:
		return s, nil
	}
	s = p.o.Tracker.survey()
	switch {
	case s.closed:
		return s, errClosed
	case s.conns == 0 && s.dialing == 0 && p.o.DB.Stats().OpenConnections > 0 && p.o.Tracker.survey().conns == 0:
		return s, errForeign
	}
	return s, nil
}

// Their texts say no numbers: the same trouble is one trouble.
var (
	errClosed  = errors.New("sqlpool: the database was closed: remove the watch before Close")
	errForeign = errors.New("sqlpool: Options.Tracker has seen none of the connections of Options.DB: open DB by Tracker.Open or Tracker.Connector")
)

// evidence is what a person wants to see beside.
func (p *pack) evidence(stats *sql.DBStats, r readingOfWaits, s survey) []slog.Attr {
	a := []slog.Attr{
		slog.Int("in_use", stats.InUse), slog.Int("idle", stats.Idle), slog.Int("max_open", stats.MaxOpenConnections),
		slog.Float64("callers_waiting", r.waiting), slog.Int64("waits", stats.WaitCount),
	}
	if p.o.Tracker == nil {
		return a
	}
	a = append(a, slog.Int("in_a_call", s.busy), slog.Int("without_a_call", s.idle), slog.Int("dialing", s.dialing))
	if s.taken > 0 {
		a = append(a, slog.Int("taken_back", s.taken))
	}
	if s.refused > 0 {
		a = append(a, slog.Int("refused", s.refused), slog.String("refusal", line(s.refusal.Error())))
	}
	const most = 5
	groups := p.groups(func(h *hold, _ origin) bool { return !h.taken })
	for i, g := range groups[:min(len(groups), most)] {
		a = append(a, slog.String("holder_"+strconv.Itoa(i+1), g.String()))
	}
	return a
}

// line is a text of somebody else's in one bounded line.
func line(s string) string { return printable(s) }

// short is d in as many digits as a person needs.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	}
	return d.String()
}
