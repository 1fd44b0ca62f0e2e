package main

// panel is a chart with what it asks.
type panel struct {
	title, kind, unit string // kind: stat or timeseries; unit as Grafana names it
	what              string // the description
	queries           []query
	width             int // of 24
}

// query has a legend. $__range and $__rate_interval are Grafana's.
type query struct{ expr, legend string }

const (
	sel = `{job=~"$job",instance=~"$instance"}`
)

// row is a line of panels under a heading.
type row struct {
	title  string
	panels []panel
}

var rows = []row{
	{"What automation did", []panel{
		{"Automation rate", "stat", "percentunit", "Incidents healed without people, of those that closed.", []query{
			{`sum(increase(selfheal_incidents_healed_total` + sel + `[$__range])) / (sum(increase(selfheal_incidents_closed_total` + sel + `[$__range])) > 0)`, ""}}, 4},
		{"Pages avoided", "stat", "short", "Incidents that a step healed and nobody was called for.", []query{
			{`sum(increase(selfheal_incidents_healed_total` + sel + `[$__range]))`, ""}}, 4},
		{"Pages", "stat", "short", "Times that people were told.", []query{
			{`sum(increase(selfheal_pages_total` + sel + `[$__range]))`, ""}}, 4},
		{"Relapses", "stat", "percentunit", "Fixes that did not hold for a day, of all.", []query{
			{`sum(increase(selfheal_relapses_total` + sel + `[$__range])) / (sum(increase(selfheal_heal_seconds_count` + sel + `[$__range])) > 0)`, ""}}, 4},
		{"Open now", "stat", "short", "Incidents under way.", []query{
			{`sum(selfheal_incidents` + sel + `)`, ""}}, 4},
		{"Blind now", "stat", "short", "Watches whose detector cannot see.", []query{
			{`sum(selfheal_watch_blind` + sel + `)`, ""}}, 4},
	}},
	{"How fast", []panel{
		{"Time to detect", "timeseries", "s", "From the last look that could have found nothing to the opening. Dots are exemplars: they open the trace.", []query{
			{`histogram_quantile(0.5, sum by (le) (increase(selfheal_detect_seconds_bucket` + sel + `[$__range])))`, "p50"},
			{`histogram_quantile(0.9, sum by (le) (increase(selfheal_detect_seconds_bucket` + sel + `[$__range])))`, "p90"}}, 12},
		{"Time to heal", "timeseries", "s", "From the first finding to the proof that a step healed it. Dots are exemplars: they open the trace.", []query{
			{`histogram_quantile(0.5, sum by (le) (increase(selfheal_heal_seconds_bucket` + sel + `[$__range])))`, "p50"},
			{`histogram_quantile(0.9, sum by (le) (increase(selfheal_heal_seconds_bucket` + sel + `[$__range])))`, "p90"}}, 12},
	}},
	{"What it does, and what it does not", []panel{
		{"Incidents by watch", "timeseries", "short", "Under way.", []query{
			{`topk(20, sum by (watch) (selfheal_incidents` + sel + `) > 0)`, "{{watch}}"}}, 8},
		{"Attempts by outcome", "timeseries", "short", "", []query{
			{`sum by (outcome) (increase(selfheal_attempts_total` + sel + `[$__rate_interval]))`, "{{outcome}}"}}, 8},
		{"Decisions not to act", "timeseries", "short", "By rail.", []query{
			{`sum by (rail) (increase(selfheal_held_total` + sel + `[$__rate_interval]))`, "{{rail}}"}}, 8},
		{"Held now", "timeseries", "short", "Incidents that a rail holds.", []query{
			{`sum by (rail) (selfheal_incidents_held` + sel + `)`, "{{rail}}"}}, 8},
		{"Breakers open", "timeseries", "short", "", []query{
			{`sum by (watch) (selfheal_watch_breaker_open` + sel + `) > 0`, "{{watch}}"}}, 8},
		{"Blind", "timeseries", "percentunit", "Share of the time that a detector could not see.", []query{
			{`topk(20, sum by (watch) (rate(selfheal_watch_blind_seconds_total` + sel + `[$__rate_interval])) > 0)`, "{{watch}}"}}, 8},
		{"Healing was off", "timeseries", "percentunit", "Share of the time, for at least one watch.", []query{
			{`max by (why) (rate(selfheal_off_seconds_total` + sel + `[$__rate_interval]))`, "{{why}}"}}, 12},
		{"Measures in force", "timeseries", "short", "Temporary measures that are to be undone.", []query{
			{`sum by (instance) (selfheal_undos_owed` + sel + `)`, "{{instance}}"}}, 12},
	}},
	{"People", []panel{
		{"Pages by reason", "timeseries", "short", "", []query{
			{`sum by (reason) (increase(selfheal_pages_total` + sel + `[$__rate_interval])) > 0`, "{{reason}}"}}, 8},
		{"Notifications owed", "timeseries", "short", "And notifiers that do not answer.", []query{
			{`sum(selfheal_notifications_owed` + sel + `)`, "owed"},
			{`sum(selfheal_notifiers_down` + sel + `)`, "notifiers down"},
			{`sum(selfheal_incidents_undeliverable` + sel + `)`, "nobody reached"}}, 8},
		{"Oldest notification owed", "timeseries", "s", "", []query{
			{`max by (instance) (selfheal_notifications_owed_age_seconds` + sel + `)`, "{{instance}}"}}, 8},
	}},
	{"The healer itself", []panel{
		{"Running, and what holds all of it", "timeseries", "short", "", []query{
			{`sum(selfheal_running` + sel + `)`, "running"},
			{`sum(selfheal_halted` + sel + `)`, "halted"},
			{`sum(selfheal_storm` + sel + `)`, "storm"},
			{`sum(selfheal_tilt` + sel + `)`, "tilt"},
			{`sum(selfheal_safe_mode` + sel + `)`, "safe mode"},
			{`sum(selfheal_journal_degraded` + sel + `)`, "journal degraded"},
			{`sum(selfheal_dead_man_failing` + sel + `)`, "dead man failing"}}, 8},
		{"Watches", "timeseries", "short", "By state.", []query{
			{`sum by (state) (selfheal_watches` + sel + `)`, "{{state}}"}}, 8},
		{"Looks a second", "timeseries", "ops", "", []query{
			{`sum by (instance) (rate(selfheal_checks_total` + sel + `[$__rate_interval]))`, "{{instance}}"}}, 8},
		{"Loop busy", "timeseries", "percentunit", "Share of a core, where the machine has time to spare.", []query{
			{`sum by (instance) (rate(selfheal_loop_busy_seconds_total` + sel + `[$__rate_interval]))`, "{{instance}}"}}, 8},
		{"Lateness", "timeseries", "s", "", []query{
			{`max(selfheal_loop_lag_seconds` + sel + `)`, "loop lag"},
			{`max(selfheal_late_max_seconds` + sel + `)`, "latest wake-up"},
			{`max(selfheal_check_late_max_seconds` + sel + `)`, "latest look"}}, 8},
		{"User code that misbehaves", "timeseries", "short", "Calls that ignore their context, panics, events that were too slow to take.", []query{
			{`sum(selfheal_abandoned_calls` + sel + `)`, "abandoned, still running"},
			{`sum(increase(selfheal_calls_abandoned_total` + sel + `[$__rate_interval]))`, "abandoned"},
			{`sum(increase(selfheal_panics_total` + sel + `[$__rate_interval]))`, "panics"},
			{`sum(increase(selfheal_events_dropped_total` + sel + `[$__rate_interval]))`, "events dropped"},
			{`sum(increase(selfheal_late_wakeups_total` + sel + `[$__rate_interval]))`, "late wake-ups"}}, 8},
	}},
}
