// Package datadog turns alerts of Datadog monitors into detectors: an HTTP
// handler that takes the webhook of Datadog's integration, and hands out a
// detector for each monitor that a watch is about.
//
//	dd, err := datadog.New(datadog.Config{Bearer: token})
//	…
//	mux.Handle("POST /alerts", dd)
//	heal.Watch(selfheal.Watch{Name: "disk-full", Detector: dd.Alerts("Disk is full"), Playbook: …})
//
// In Datadog's webhooks integration make a webhook with the address of the
// handler, paste [Template] as its payload, and set the custom headers
//
//	{"Authorization": "Bearer <the token>"}
//
// or basic authentication. Then name it in the message of each monitor:
// @webhook-<name>. "Encode as form" may be on or off. Without the template the
// payload names neither the monitor nor the bout, and is ignored and counted.
//
// # Levels
//
// An alert is a monitor and the group that it alerts on: "1234{host:web-1}". It
// fires from Triggered or Warn until Recovered. What is late or told again never
// overrides what happened later by Datadog's clock. "No Data" starts nothing: the
// detectors of the monitor are then blind, with a [detect.StaleError], until
// Datadog knows more.
//
// Datadog restates an alert only where the monitor renotifies. Without, an alert
// is believed for Config.Expiry, 24 h unless set, and is stale after that; so is
// one that was restored after a restart. A receiver that has heard nothing at
// all, and restored nothing, is blind.
//
// # What is counted
//
// [Receiver.Stats] counts refused requests by method, too large, unreadable,
// encoded, no proof, wrong proof; ignored ones by malformed, other payload (than
// the template), other status (a transition that is unknown), unidentified,
// undated, oversized, older, no room. Failed requests are not stored, busy,
// panic. The first of each is logged.
package datadog
