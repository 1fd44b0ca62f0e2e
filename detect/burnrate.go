package detect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Events are cumulative counts: of everything that was asked for, and of what
// went badly. They only grow, except that both may restart from zero. Where the
// two are read one after the other, read Bad first, so that a failure is never
// counted without its event.
type Events struct {
	Total uint64
	Bad   uint64
}

// A BurnWindow is one alarm of [BurnRate]: it is raised when the budget burns
// too fast over the long window and over the short one. The long window shows
// that it matters, the short one that it still goes on.
type BurnWindow struct {
	Long time.Duration
	// Short is Long/12 unless set.
	Short time.Duration
	// Budget is the share of the period's error budget that may burn within
	// Long, such as 0.02 for 2 %.
	Budget float64
	// Severity of the finding.
	Severity Severity
}

// Factor is how many times faster than evenly the budget burns when the share
// Budget goes within Long: Budget × period / Long (Google's SRE Workbook, ch. 5).
func (w BurnWindow) Factor(period time.Duration) float64 {
	return w.Budget * float64(period) / float64(w.Long)
}

// BurnRateOptions is for [BurnRate].
type BurnRateOptions struct {
	// SLO is the share of events that must go well, such as 0.999. It must lie
	// between 0 and 1: a promise of 100 % leaves no budget to burn. Required.
	SLO float64
	// Period is the time over which the SLO is promised. 0 means 30 days.
	Period time.Duration
	// Windows are the alarms, the most urgent first. nil means 2 % of the
	// budget in 1 h and 5 % in 6 h, both Critical, and 10 % in 1 d and in 3 d,
	// both Warning, each with a short window of a twelfth: the factors 14.4, 6,
	// 3 and 1 for 30 days. Of these, one that no error ratio could reach is
	// left out; of given ones, Validate reports it.
	Windows []BurnWindow
	// Read returns the counters that already exist somewhere. Without it, and
	// also beside it, [Burn.Record] counts.
	Read func(ctx context.Context) (Events, error)
	// MinEvents is how many events the long window must hold before its ratio
	// means anything. 0 means 30, -1 means that one will do.
	MinEvents int
	// MinBad is how many of them must have gone badly. 0 means 3, -1 means that
	// one will do: with few events a single failure is a large ratio.
	MinBad int
}

// Burn finds an error budget that burns too fast. [BurnRate] makes it. All
// methods are safe for concurrent use.
type Burn struct {
	read          func(context.Context) (Events, error)
	budget        float64 // share of events that may go badly
	minAll        float64
	minBad        float64
	problem       error
	origin        time.Time
	recorded, bad atomic.Uint64

	mu     sync.Mutex
	taken  uint64 // readings learned so far
	total  counter
	failed counter
	alarms []burnAlarm
	last   *[1]Finding
}

// BurnRate returns a detector with multi-window, multi-burn-rate alarms (Google's
// SRE Workbook, ch. 5). The burn rate is the ratio of bad events divided by the
// ratio that the SLO allows; an alarm is raised while it exceeds the factor of
// its window over both the long and the short window.
//
// A window is kept in 60 steps; cost and memory (about 1.5 KB for each of the
// default eight windows) do not depend on the traffic. History ends with the
// process: as long as a long window is not yet full, its burn rate is scaled by
// the part that is known, which is the share of the budget that was really seen
// to burn. An outage of everything is still found as soon as it has cost what
// the window allows: after 52 s at 99.9 % and 2 %.
//
// No traffic is no data, and so are too few events: they raise nothing. An
// alarm that was raised, though, does not heal for want of traffic: while its
// long window still burns and its short window holds no event at all, the
// detector is blind. That ends when traffic returns, and at the latest when the
// failures have left the long window. Without an alarm it is never blind for
// want of traffic, so a quiet night wakes nobody.
//
// The finding has Key "", Value the burn rate over the long window, Limit the
// factor, Unit "x" and a summary such as "burn rate 36 is above 14.4 over 1h and
// 5m". It is that of the first alarm in the order of Windows.
func BurnRate(o BurnRateOptions) *Burn {
	if o.Period == 0 {
		o.Period = 30 * 24 * time.Hour
	}
	b := &Burn{
		read: o.Read, origin: time.Now(), budget: 1 - o.SLO,
		minAll: float64(atLeast(o.MinEvents, 30)), minBad: float64(atLeast(o.MinBad, 3)),
	}
	b.problem = o.problem()
	windows := o.Windows
	if windows == nil {
		windows = defaultBurnWindows(o)
	}
	for _, w := range windows {
		if w.Short == 0 {
			w.Short = w.Long / 12
		}
		b.alarms = append(b.alarms, burnAlarm{
			window: w,
			factor: w.Factor(o.Period),
			name:   "over " + shortSpan(w.Long) + " and " + shortSpan(w.Short),
			long:   history{window: w.Long},
			short:  history{window: w.Short},
		})
	}
	return b
}

func atLeast(n, zero int) int {
	switch {
	case n == 0:
		return zero
	case n < 0:
		return 1
	}
	return n
}

func defaultBurnWindows(o BurnRateOptions) []BurnWindow {
	const day = 24 * time.Hour
	var windows []BurnWindow
	for _, w := range []BurnWindow{
		{Long: time.Hour, Budget: 0.02, Severity: Critical},
		{Long: 6 * time.Hour, Budget: 0.05, Severity: Critical},
		{Long: day, Budget: 0.10},
		{Long: 3 * day, Budget: 0.10},
	} {
		if w.Long <= o.Period && w.Factor(o.Period)*(1-o.SLO) < 1 {
			windows = append(windows, w)
		}
	}
	return windows
}

func (o *BurnRateOptions) problem() error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf("detect: "+format, args...)) }
	switch {
	case o.SLO == 1:
		say("an SLO of 100 %% leaves no error budget: promise less than 1")
	case !(o.SLO > 0 && o.SLO < 1): // also NaN
		say("the SLO is %v: give the share that must go well, 0.999 for 99.9 %%", o.SLO)
	}
	if o.Period < 0 {
		say("the period of the SLO is %v: use a positive time", o.Period)
	}
	if o.MinEvents < -1 {
		say("MinEvents of BurnRate is %d: use a positive number, or -1", o.MinEvents)
	}
	if o.MinBad < -1 {
		say("MinBad of BurnRate is %d: use a positive number, or -1", o.MinBad)
	}
	if o.Windows != nil && len(o.Windows) == 0 {
		say("BurnRate has no windows: leave Windows nil for the usual ones")
	}
	for i, w := range o.Windows {
		short := w.Short
		if short == 0 {
			short = w.Long / 12
		}
		switch factor := w.Factor(o.Period); {
		case short < time.Second || w.Long <= short:
			say("window %d of BurnRate is %v with %v: use a long one, and a shorter one of a second or more", i+1, w.Long, short)
		case !(w.Budget > 0 && w.Budget <= 1):
			say("window %d of BurnRate burns %v of the budget: use a share above 0, at most 1", i+1, w.Budget)
		case o.SLO > 0 && factor*(1-o.SLO) >= 1:
			say("window %d of BurnRate is never reached: even if everything fails the burn rate is %.4g, not above %.4g: allow a smaller share of the budget", i+1, 1/(1-o.SLO), factor)
		}
	}
	return errors.Join(errs...)
}

// Validate reports an SLO that leaves no budget or is no share, and windows that
// are empty, out of order or can never be reached.
func (b *Burn) Validate() error { return b.problem }

// Record counts one event. It costs an atomic addition or two and allocates
// nothing.
func (b *Burn) Record(ok bool) {
	b.recorded.Add(1) // first: a look that sees the failure then sees its event
	if !ok {
		b.bad.Add(1)
	}
}

// Detect takes the counters and judges every alarm.
func (b *Burn) Detect(ctx context.Context) ([]Finding, error) {
	if b.problem != nil {
		return nil, b.problem
	}
	began := b.began()
	var e Events
	if b.read != nil {
		var err error
		if e, err = b.read(ctx); err != nil {
			return nil, err
		}
	}
	var own totals
	own.b = float64(b.bad.Load()) // before the total, as Events asks of others
	own.a = float64(b.recorded.Load())
	return b.judge(began, e, own)
}

func (b *Burn) began() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken
}

var errNoTraffic = errors.New("detect: the error budget was burning and there is no traffic now to tell whether it still is: wait for traffic, or send some")

func (b *Burn) judge(began uint64, e Events, own totals) ([]Finding, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := totals{at: time.Since(b.origin)}
	learn := began == b.taken // else another reading was learned meanwhile, and this may be the older
	if learn {
		b.taken++
		if float64(e.Total) < b.total.last { // both restarted, though the failures may not show it
			b.failed.last = 0
		}
		b.total.add(float64(e.Total))
		b.failed.add(float64(e.Bad))
	}
	now.a, now.b = own.a+b.total.total, own.b+b.failed.total

	var sick *burnAlarm
	blind := false
	for i := range b.alarms {
		a := &b.alarms[i]
		if learn {
			a.long.add(now)
			a.short.add(now)
		}
		switch a.judge(now, b) {
		case burning:
			if sick == nil {
				sick = a
			}
		case unknowable:
			blind = true
		}
	}
	switch {
	case sick != nil:
		return b.report(sick), nil
	case blind:
		return nil, errNoTraffic
	}
	return nil, nil
}

func (b *Burn) report(a *burnAlarm) []Finding {
	summary := appendTenths(append(make([]byte, 0, 64), "burn rate "...), a.burn, a.factor)
	summary = append(summary, " is above "...)
	summary = appendFloat(summary, a.factor, a.factor)
	summary = append(append(summary, ' '), a.name...)
	if b.last != nil && b.last[0].Value == a.burn && b.last[0].Summary == string(summary) {
		return b.last[:]
	}
	b.last = &[1]Finding{{
		Severity: a.window.Severity,
		Summary:  string(summary),
		Value:    a.burn,
		Limit:    a.factor,
		Unit:     "x",
		Evidence: []slog.Attr{
			slog.Float64("bad", a.bad),
			slog.Float64("events", a.all),
			slog.Float64("burn_rate_short", a.burnShort),
		},
	}}
	return b.last[:]
}
