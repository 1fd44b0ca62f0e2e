package main

import "time"

// record is a recording rule. All are sums over the instances of a job.
type record struct{ name, expr string }

var records = []record{
	{"job:selfheal_automation:ratio7d", `sum by (job) (increase(selfheal_incidents_healed_total[7d])) / (sum by (job) (increase(selfheal_incidents_closed_total[7d])) > 0)`},
	{"job:selfheal_pages_avoided:increase7d", `sum by (job) (increase(selfheal_incidents_healed_total[7d]))`},
	{"job:selfheal_pages:increase7d", `sum by (job) (increase(selfheal_pages_total[7d]))`},
	{"job:selfheal_relapse:ratio7d", `sum by (job) (increase(selfheal_relapses_total[7d])) / (sum by (job) (increase(selfheal_heal_seconds_count[7d])) > 0)`},
	{"job:selfheal_detect_seconds:p90_7d", `histogram_quantile(0.9, sum by (job, le) (increase(selfheal_detect_seconds_bucket[7d])))`},
	{"job:selfheal_heal_seconds:p50_7d", `histogram_quantile(0.5, sum by (job, le) (increase(selfheal_heal_seconds_bucket[7d])))`},
	{"job:selfheal_heal_seconds:p90_7d", `histogram_quantile(0.9, sum by (job, le) (increase(selfheal_heal_seconds_bucket[7d])))`},
	{"job_why:selfheal_off:ratio1d", `max by (job, why) (rate(selfheal_off_seconds_total[1d]))`},
	{"job:selfheal_loop_busy:rate5m", `sum by (job) (rate(selfheal_loop_busy_seconds_total[5m]))`},
}

// alert is an alert rule: its query beyond its threshold for so long.
type alert struct {
	name     string
	query    string // returns data also while all is well
	beyond   string
	lasts    time.Duration
	severity string // page, or ticket
	summary  string
	then     string // what to do next

	// For its unit test: a series with its labels, and its values a minute in
	// sickness and in health, in promtool's notation.
	series, sick, well string
	at                 time.Duration // when it must fire
}

var alerts = []alert{
	{
		name: "SelfhealStuck", query: `selfheal_loop_lag_seconds`, beyond: "> 30", lasts: time.Minute, severity: "page",
		summary: "The supervisor of {{ $labels.instance }} does not turn",
		then:    "Nothing is healed and nobody is told by it. Take a goroutine dump and restart the process.",
		series:  `selfheal_loop_lag_seconds{job="shop",instance="a"}`, sick: "0 15+60x20", well: "0x20", at: 5 * time.Minute,
	},
	{
		name: "SelfhealNotRunning", query: `selfheal_running`, beyond: "== 0", lasts: 5 * time.Minute, severity: "ticket",
		summary: "The supervisor of {{ $labels.instance }} does not run",
		then:    "Its Run has not begun, or has returned while the process goes on: look for its error.",
		series:  `selfheal_running{job="shop",instance="a"}`, sick: "1x5 0x20", well: "0x3 1x20", at: 15 * time.Minute,
	},
	{
		name: "SelfhealTilted", query: `selfheal_tilt`, beyond: "== 1", lasts: 10 * time.Minute, severity: "ticket",
		summary: "The supervisor of {{ $labels.instance }} does not trust its own readings",
		then:    "The process starves or its clock steps: look at CPU throttling, memory pressure and the time service.",
		series:  `selfheal_tilt{job="shop",instance="a"}`, sick: "1x20", well: "1x5 0x20", at: 15 * time.Minute,
	},
	{
		name: "SelfhealBlind", query: `selfheal_watch_blind`, beyond: "== 1", lasts: 15 * time.Minute, severity: "ticket",
		summary: "Watch {{ $labels.watch }} of {{ $labels.instance }} cannot see",
		then:    "Its detector fails, so nothing it watches is healed: mend the detector; Status has its error.",
		series:  `selfheal_watch_blind{job="shop",instance="a",watch="queue"}`, sick: "1x30", well: "1x10 0 1x10", at: 20 * time.Minute,
	},
	{
		name: "SelfhealUndeliverable", query: `selfheal_incidents_undeliverable`, beyond: "> 0", lasts: time.Minute, severity: "page",
		summary: "{{ $labels.instance }} has open incidents of which nobody could be reached",
		then:    "Look at the incidents in the console now, then mend the notifiers.",
		series:  `selfheal_incidents_undeliverable{job="shop",instance="a"}`, sick: "2x20", well: "0x20", at: 5 * time.Minute,
	},
	{
		name: "SelfhealNoticesOwed", query: `selfheal_notifications_owed_age_seconds`, beyond: "> 900", lasts: time.Minute, severity: "page",
		summary: "A notification of {{ $labels.instance }} has not been delivered for long",
		then:    "A notifier does not answer: Status has its name and its error.",
		series:  `selfheal_notifications_owed_age_seconds{job="shop",instance="a"}`, sick: "0+60x30", well: "0 60 120 0x20", at: 20 * time.Minute,
	},
	{
		name: "SelfhealDeadManFailing", query: `selfheal_dead_man_failing`, beyond: "== 1", lasts: 10 * time.Minute, severity: "ticket",
		summary: "The dead man's switch of {{ $labels.instance }} does not hear its signs of life",
		then:    "It will call people soon, or never again: look at Options.DeadMan and the network.",
		series:  `selfheal_dead_man_failing{job="shop",instance="a"}`, sick: "1x20", well: "1x5 0x20", at: 15 * time.Minute,
	},
	{
		name: "SelfhealBreakerOpen", query: `selfheal_watch_breaker_open`, beyond: "== 1", lasts: time.Minute, severity: "ticket",
		summary: "The breaker of watch {{ $labels.watch }} of {{ $labels.instance }} is open",
		then:    "Its steps failed again and again and are not tried for now: find the cause, and mend the playbook.",
		series:  `selfheal_watch_breaker_open{job="shop",instance="a",watch="queue"}`, sick: "1x20", well: "0x20", at: 5 * time.Minute,
	},
	{
		name: "SelfhealMasking", query: `increase(selfheal_pages_total{reason="masking"}[6h])`, beyond: "> 0", severity: "ticket",
		summary: "A fix of {{ $labels.instance }} only hides a bug",
		then:    "The same key was healed again and again: the notice has the evidence; mend the bug.",
		series:  `selfheal_pages_total{job="shop",instance="a",reason="masking"}`, sick: "0x5 1x20", well: "3x30", at: 15 * time.Minute,
	},
	{
		name: "SelfhealHaltedForADay", query: `max_over_time(selfheal_halted[15m])`, beyond: "== 1", lasts: 24 * time.Hour, severity: "ticket",
		summary: "Healing of {{ $labels.instance }} has been halted for a day",
		then:    "Ask who halted it, which Status says, and resume.",
		series:  `selfheal_halted{job="shop",instance="a"}`, sick: "1x600 0x5 1x1000", well: "1x600 0x30 1x800", at: 24*time.Hour + 10*time.Minute,
	},
	{
		name: "SelfhealJournalDegraded", query: `selfheal_journal_degraded`, beyond: "== 1", lasts: 5 * time.Minute, severity: "page",
		summary: "The journal of {{ $labels.instance }} takes no records",
		then:    "A crash now would forget limits, halts and what is owed: look at the disk of the journal.",
		series:  `selfheal_journal_degraded{job="shop",instance="a"}`, sick: "1x20", well: "1x3 0x20", at: 10 * time.Minute,
	},
	{
		name: "SelfhealCallsAbandoned", query: `selfheal_abandoned_calls`, beyond: "> 0", lasts: 10 * time.Minute, severity: "ticket",
		summary: "Calls of {{ $labels.instance }} ignore their context and still run",
		then:    "What they do keeps its key and its Exclusive: the log has their names; make them return.",
		series:  `selfheal_abandoned_calls{job="shop",instance="a"}`, sick: "1x20", well: "0x20", at: 15 * time.Minute,
	},
}
