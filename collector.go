package selfheal

import "github.com/prometheus/client_golang/prometheus"

// Collector returns a collector of the supervisor's metrics. It is handed out,
// never registered: register it where the service registers its own. Collecting
// takes one Status.
func (s *Supervisor) Collector() prometheus.Collector { return &collector{s} }

type collector struct{ s *Supervisor }

// Metric names are API: see STABILITY.md.
var (
	descWatches   = desc("watches", "Watches by state: healthy, sick, blind, unknown, off, invalid or removing.", "state")
	descIncidents = desc("incidents", "Incidents under way, by watch; those that are still pending included.", "watch")
	descBlind     = desc("watch_blind", "1 where the detector of the watch cannot see.", "watch")
	descOpened    = desc("incidents_opened_total", "Incidents that were opened.")
	descClosed    = desc("incidents_closed_total", "Incidents that were closed.")
	descHealed    = desc("incidents_healed_total", "Incidents that a step healed and nobody was called for: pages avoided.")
	descAttempts  = desc("attempts_total", "Attempts by outcome.", "outcome")
	descHeld      = desc("held_total", "Decisions not to act, by rail.", "rail")
	descPaged     = desc("pages_total", "Times that people were told.")
	descOwed      = desc("notifications_owed", "Notifications that are not delivered yet.")
	descLost      = desc("notifications_undeliverable_total", "Notifications that did not reach their target.")
	descNobody    = desc("incidents_undeliverable", "Open incidents of which nobody could be reached.")
	descDown      = desc("notifiers_down", "Notifiers that do not answer, so that others are told in their place.")
	descUndos     = desc("undos_owed", "Temporary measures that are in force.")
	descAbandoned = desc("abandoned_calls", "Calls of user code that ignored their context and still run.")
	descPanics    = desc("panics_total", "Panics of user code that were recovered.")
	descHalted    = desc("halted", "1 while healing is halted.")
	descStorm     = desc("storm", "1 while steps above safe are stopped because many are sick at once.")
	descTilt      = desc("tilt", "1 while the supervisor does not trust its own readings.")
	descLate      = desc("late_max_seconds", "How late the supervisor has woken up at worst.")
	descDropped   = desc("events_dropped_total", "Events that a slow logger or observer missed.")
	allDescs      = []*prometheus.Desc{descWatches, descIncidents, descBlind, descOpened, descClosed, descHealed, descAttempts, descHeld, descPaged, descOwed, descLost, descNobody, descDown, descUndos, descAbandoned, descPanics, descHalted, descStorm, descTilt, descLate, descDropped}
	watchStates   = []string{"healthy", "sick", "blind", "unknown", "off", "invalid", "removing"}
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("selfheal_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range allDescs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	st := c.s.Status()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	flag := func(d *prometheus.Desc, on bool, labels ...string) {
		if on {
			gauge(d, 1, labels...)
		} else {
			gauge(d, 0, labels...)
		}
	}
	states := map[string]int{}
	for i := range st.Watches {
		w := &st.Watches[i]
		states[w.State]++
		gauge(descIncidents, float64(len(w.Incidents)), w.Name)
		flag(descBlind, w.Blind != "", w.Name)
	}
	for _, state := range watchStates {
		gauge(descWatches, float64(states[state]), state)
	}
	n := &st.Counts
	for outcome, v := range n.Outcomes {
		counter(descAttempts, v, outcome)
	}
	for rail, v := range n.Held {
		counter(descHeld, v, rail)
	}
	counter(descOpened, n.Opened)
	counter(descClosed, n.Closed)
	counter(descHealed, n.Healed)
	counter(descPaged, n.Paged)
	counter(descLost, n.Undeliverable)
	counter(descPanics, n.Panics)
	counter(descDropped, n.Dropped)
	gauge(descOwed, float64(len(st.Owed)))
	gauge(descNobody, float64(st.Undeliverable))
	down := 0
	for _, t := range st.Targets {
		if t.Down {
			down++
		}
	}
	gauge(descDown, float64(down))
	gauge(descUndos, float64(st.OwedUndos))
	gauge(descAbandoned, float64(st.Abandoned))
	flag(descHalted, st.Halted != nil)
	flag(descStorm, st.Storm)
	flag(descTilt, st.Tilt != "")
	gauge(descLate, st.Late.Seconds())
}
