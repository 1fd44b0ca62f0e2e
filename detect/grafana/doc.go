// Package grafana turns alerts of Grafana Alerting into detectors: an HTTP
// handler that takes the webhook of a contact point, by POST or PUT, and hands
// out a detector for each alert that a watch is about.
//
//	g, err := grafana.New(grafana.Config{HMACSecret: secret, HMACTimestampHeader: "X-Grafana-Timestamp"})
//	…
//	mux.Handle("/alerts", g)
//	heal.Watch(selfheal.Watch{Name: "disk-full", Detector: g.Alerts("Disk is full"), Playbook: …})
//
// In the contact point set the same HMAC secret and, better, a timestamp header:
// then a body that was overheard cannot be used again. Basic authentication, a
// bearer token and client certificates are understood too. Leave "disable
// resolved message" off.
//
// # Levels
//
// Each alert is a level under its own fingerprint: it fires until Grafana says
// that it is resolved. A repeated body only restates it, and what is older never
// overrides what is newer. Grafana tries a body once: a level that got lost comes
// with the next repeat.
//
// Where a rule has no data, or fails, Grafana sends an alert of its own, named
// DatasourceNoData or DatasourceError, with the rule's name in the label
// rulename. It starts nothing here: while it fires, the detectors of that rule's
// name are blind, with a [detect.StaleError].
//
// An alert that was neither restated nor resolved for Config.Expiry, and one
// that was restored after a restart, is stale as well. A receiver that has heard
// nothing at all, and restored nothing, is blind.
//
// # What is counted
//
// [Receiver.Stats] counts refused requests by method, too large, unreadable,
// encoded, no proof, wrong proof, outside window; ignored ones by malformed,
// other version (than 1), legacy form (of Grafana before 9), no alerts; ignored
// alerts by test (the button of the contact point), other status, unidentified,
// undated, oversized (more than 64 KiB of labels), older, no room; and groups
// that were truncated. Failed requests are not stored, busy, panic. The first of
// each is logged.
package grafana
