package selfheal

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// Collector returns a collector of the supervisor's metrics. It is handed out,
// never registered: register it where the service registers its own, once. It may
// be collected at any time and from anywhere; it never waits for user code.
//
// docs/telemetry.md lists the metrics. Labels are bounded: watch has at most
// 10,000 values, beyond which the watches that come last by name are added up as
// "(more)"; every other label is one of a few words, each of which is there from
// the first collection. Where Options.Tracer samples, the histograms carry
// exemplars with the label trace_id.
func (s *Supervisor) Collector() prometheus.Collector { return &collector{s} }

type collector struct{ s *Supervisor }

const (
	maxWatchSeries = 10_000
	moreWatches    = "(more)"
)

// Metric names are API: see docs/telemetry.md, which is made from them.
var (
	descRunning   = desc("running", "1 while Run watches.")
	descWatches   = desc("watches", "Watches by state.", "state")
	descIncidents = desc("incidents", "Incidents under way, by watch; those that are still pending included.", "watch")
	descBlind     = desc("watch_blind", "1 where the detector of the watch cannot see.", "watch")
	descBlindTime = desc("watch_blind_seconds_total", "How long the detector of the watch could not see.", "watch")
	descBreaker   = desc("watch_breaker_open", "1 where the breaker of the watch is open: its ladders keep failing.", "watch")
	descHeldNow   = desc("incidents_held", "Incidents in which a rail forbids acting now.", "rail")
	descOpened    = desc("incidents_opened_total", "Incidents that were opened.")
	descClosed    = desc("incidents_closed_total", "Incidents that were closed.")
	descHealed    = desc("incidents_healed_total", "Incidents that a step healed and nobody was called for: pages avoided.")
	descBlips     = desc("blips_total", "Findings that vanished before an incident opened.")
	descRelapses  = desc("relapses_total", "Fixes that did not hold: the same key fell sick again before its incident closed, or within 24 h after.")
	descDetect    = desc("detect_seconds", "Time to detect, at worst: from the last look before the first finding, one interval earlier, to the opening of the incident.")
	descHeal      = desc("heal_seconds", "Time to heal: from the first finding to the proof that a step healed it, of incidents that closed so.")
	descAttempts  = desc("attempts_total", "Attempts by outcome.", "outcome")
	descHeld      = desc("held_total", "Decisions not to act, by rail.", "rail")
	descOff       = desc("off_seconds_total", "How long healing was off, for at least one watch.", "why")
	descPaged     = desc("pages_total", "Times that people were told.", "reason")
	descOwed      = desc("notifications_owed", "Notifications that are not delivered yet.")
	descOwedAge   = desc("notifications_owed_age_seconds", "Age of the oldest notification that is not delivered yet; 0 when none is owed.")
	descLost      = desc("notifications_undeliverable_total", "Notifications that did not reach their target.")
	descNobody    = desc("incidents_undeliverable", "Open incidents of which nobody could be reached.")
	descDown      = desc("notifiers_down", "Notifiers that do not answer, so that others are told in their place.")
	descSilent    = desc("dead_man_failing", "1 while the last sign of life of the dead man's switch did not arrive.")
	descUndos     = desc("undos_owed", "Temporary measures that are in force.")
	descAbandoned = desc("abandoned_calls", "Calls of user code that ignored their context and still run.")
	descGivenUp   = desc("calls_abandoned_total", "Calls of user code that ignored their context.")
	descPanics    = desc("panics_total", "Panics of user code that were recovered.")
	descHalted    = desc("halted", "1 while healing is halted.")
	descStorm     = desc("storm", "1 while steps above safe are stopped because many are sick at once.")
	descTilt      = desc("tilt", "1 while the supervisor does not trust its own readings.")
	descSafeMode  = desc("safe_mode", "1 while it only observes because the process restarts again and again.")
	descJournal   = desc("journal_degraded", "1 while the journal takes no records.")
	descLag       = desc("loop_lag_seconds", "How long the supervisor's loop has owed a turn when it was last asked for one; more than a moment means that it is stuck.")
	descBusy      = desc("loop_busy_seconds_total", "Time that the loop spent deciding. It never waits, so on a machine with time to spare this is its CPU time.")
	descChecks    = desc("checks_total", "Looks of detectors that ended.")
	descLate      = desc("late_max_seconds", "How late the supervisor has woken up at worst.")
	descLateStart = desc("check_late_max_seconds", "How late a look has begun at worst.")
	descLateWakes = desc("late_wakeups_total", "Times that the supervisor woke up more than a second late.")
	descDropped   = desc("events_dropped_total", "Events that a slow logger, tracer or observer missed.")

	allDescs = []*prometheus.Desc{
		descRunning, descWatches, descIncidents, descBlind, descBlindTime, descBreaker, descHeldNow, descOpened, descClosed, descHealed,
		descBlips, descRelapses, descDetect, descHeal, descAttempts, descHeld, descOff, descPaged, descOwed, descOwedAge, descLost,
		descNobody, descDown, descSilent, descUndos, descAbandoned, descGivenUp, descPanics, descHalted, descStorm, descTilt,
		descSafeMode, descJournal, descLag, descBusy, descChecks, descLate, descLateStart, descLateWakes, descDropped,
	}
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("selfheal_"+name, help, labels, nil)
}

// The values of the labels other than watch. A series that is there from the
// first collection, with 0, loses nothing of what rate() and increase() count.
var (
	watchStates = []string{"healthy", "sick", "blind", "unknown", "off", "invalid", "removing"}
	allOutcomes = []remediate.Outcome{
		remediate.Healed, remediate.NoEffect, remediate.Moved, remediate.Worse, remediate.Failed,
		remediate.Skipped, remediate.Unverified, remediate.InForce,
	}
	allRails = []remediate.Rail{
		remediate.RailBlind, remediate.RailExclusive, remediate.RailConcurrency, remediate.RailBudget, remediate.RailCooldown,
		remediate.RailBreaker, remediate.RailMasking, remediate.RailStorm, remediate.RailTilt, remediate.RailCause,
		remediate.RailRisk, remediate.RailMode, remediate.RailScope, remediate.RailGate, remediate.RailFlapping,
		remediate.RailHalt, remediate.RailSilence, remediate.RailSafeMode, remediate.RailJournal, remediate.RailGrace,
		remediate.RailStale, remediate.RailCardinality,
	}
	allReasons = []escalate.Reason{
		escalate.Exhausted, escalate.BreakerOpen, escalate.Blind, escalate.Worse, escalate.Unverified, escalate.HeldTooLong,
		escalate.Storm, escalate.Escalated, escalate.Masking, escalate.Halted, escalate.SafeMode, escalate.Wedged,
		escalate.Degraded, escalate.Scope, escalate.Rejected, escalate.NoAnswer, escalate.Abandoned, escalate.UndoFailed,
		escalate.UndoOwed, escalate.NobodyTold, escalate.TooManyKeys, escalate.Invalid,
	}
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range allDescs {
		ch <- d
	}
}

// sink makes metrics of numbers.
type sink chan<- prometheus.Metric

func (ch sink) add(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
	m, err := prometheus.NewConstMetric(d, t, v, labels...)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	ch <- m
}

func (ch sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	ch.add(d, prometheus.GaugeValue, v, labels...)
}

func (ch sink) counter(d *prometheus.Desc, v uint64, labels ...string) {
	ch.add(d, prometheus.CounterValue, float64(v), labels...)
}

func (ch sink) seconds(d *prometheus.Desc, v time.Duration, labels ...string) {
	ch.add(d, prometheus.CounterValue, v.Seconds(), labels...)
}

func (ch sink) flag(d *prometheus.Desc, on bool, labels ...string) {
	ch.gauge(d, float64(bit(on)), labels...)
}

func (ch sink) histogram(d *prometheus.Desc, h *histogram) {
	m, err := h.metric(d)
	if err != nil {
		m = prometheus.NewInvalidMetric(d, err)
	}
	ch <- m
}

func bit(on bool) int {
	if on {
		return 1
	}
	return 0
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	r := c.s.read()
	ch := sink(metrics)
	ch.flag(descRunning, r.running)
	collectWatches(ch, &r)
	collectIncidents(ch, &r)
	ch.histogram(descDetect, c.s.meter.detect)
	ch.histogram(descHeal, c.s.meter.heal)
	collectPeople(ch, &r)
	collectOwn(ch, &r)
}

// watchSeries is what a value of the label watch shows.
type watchSeries struct {
	name                   string
	incidents, blind, open int
	unseen                 time.Duration
}

func collectWatches(ch sink, r *reading) {
	if len(r.watches) > maxWatchSeries {
		slices.SortFunc(r.watches, func(a, b watchReading) int { return cmp.Compare(a.name, b.name) })
	}
	states, more := map[string]int{}, watchSeries{name: moreWatches}
	for i := range r.watches {
		w := &r.watches[i]
		states[w.state]++
		x := watchSeries{label(w.name), w.incidents, bit(w.blind), bit(w.open), r.blind[w.name]}
		if i < maxWatchSeries {
			ch.watch(&x)
			continue
		}
		more.incidents += x.incidents
		more.blind += x.blind
		more.open += x.open
		more.unseen += x.unseen
	}
	if len(r.watches) > maxWatchSeries {
		ch.watch(&more)
	}
	for _, state := range watchStates {
		ch.gauge(descWatches, float64(states[state]), state)
	}
}

func (ch sink) watch(x *watchSeries) {
	ch.gauge(descIncidents, float64(x.incidents), x.name)
	ch.gauge(descBlind, float64(x.blind), x.name)
	ch.gauge(descBreaker, float64(x.open), x.name)
	ch.seconds(descBlindTime, x.unseen, x.name)
}

// label is a name that Prometheus takes, and no other name's: what it would not
// take is quoted, and so is what looks as if it had been.
func label(name string) string {
	if !utf8.ValidString(name) || strings.HasPrefix(name, `"`) || name == moreWatches {
		return strconv.QuoteToASCII(name)
	}
	return name
}

func collectIncidents(ch sink, r *reading) {
	n := &r.counts
	ch.counter(descOpened, n.Opened)
	ch.counter(descClosed, n.Closed)
	ch.counter(descHealed, n.Healed)
	ch.counter(descBlips, n.Blips)
	ch.counter(descRelapses, r.relapses)
	words(allOutcomes, n.Outcomes, remediate.Outcome.String, func(word string, v uint64) { ch.counter(descAttempts, v, word) })
	rail := func(r remediate.Rail) string { return string(r) }
	words(allRails, n.Held, rail, func(word string, v uint64) { ch.counter(descHeld, v, word) })
	words(allRails, r.held, rail, func(word string, v int) { ch.gauge(descHeldNow, float64(v), word) })
	for _, why := range offWhys {
		ch.seconds(descOff, r.off[why], why)
	}
	ch.gauge(descUndos, float64(r.whole.OwedUndos))
	ch.flag(descHalted, r.whole.Halted != nil)
	ch.flag(descStorm, r.whole.Storm)
	ch.flag(descTilt, r.whole.TiltSince >= 0)
	ch.flag(descSafeMode, r.whole.SafeMode)
}

// words shows a number for each word of a label, 0 included. What is counted under
// a word that is not among them is shown too.
func words[W any, N int | uint64](all []W, counts map[string]N, text func(W) string, show func(string, N)) {
	known := make(map[string]bool, len(all))
	for _, w := range all {
		word := text(w)
		known[word] = true
		show(word, counts[word])
	}
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		if !known[word] {
			show(word, counts[word])
		}
	}
}

func collectPeople(ch sink, r *reading) {
	reason := func(r escalate.Reason) string { return string(r) }
	words(allReasons, r.counts.Pages, reason, func(word string, v uint64) { ch.counter(descPaged, v, word) })
	ch.gauge(descOwed, float64(r.owed))
	ch.gauge(descOwedAge, r.oldest.Seconds())
	ch.counter(descLost, r.counts.Undeliverable)
	ch.gauge(descNobody, float64(r.box.Lost))
	ch.gauge(descDown, float64(r.down))
	ch.flag(descSilent, r.silent)
}

func collectOwn(ch sink, r *reading) {
	ch.gauge(descAbandoned, float64(r.stuck))
	ch.counter(descGivenUp, r.counts.Abandoned)
	ch.counter(descPanics, r.counts.Panics)
	ch.flag(descJournal, r.whole.Degraded)
	ch.gauge(descLag, r.lag.Seconds())
	ch.seconds(descBusy, r.busy)
	ch.counter(descChecks, r.sched.Runs)
	ch.gauge(descLate, r.sched.LateMax.Seconds())
	ch.gauge(descLateStart, r.sched.StartLateMax.Seconds())
	ch.counter(descLateWakes, r.sched.Late)
	ch.counter(descDropped, r.counts.Dropped)
}
