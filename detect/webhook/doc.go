// Package webhook turns alerts of whatever can post JSON into detectors: an HTTP
// handler for one's own monitoring, scripts and services.
//
//	hook, err := webhook.New(webhook.Config{Secrets: []detect.Secret{"whsec_…"}})
//	…
//	mux.Handle("POST /alerts", hook)
//	heal.Watch(selfheal.Watch{Name: "stuck", Detector: hook.Alerts("QueueStuck"), Playbook: …})
//
// # Proof of origin
//
// With Secrets or HMACSecret, bodies are signed as Standard Webhooks has it:
// webhook-signature is "v1," and the base64 HMAC-SHA256 of webhook-id,
// webhook-timestamp and the body, parted by dots. Several, parted by spaces, are
// allowed. The time that is signed must be at most Config.ReplayWindow old. With
// HMACHeader set the signature is a hexadecimal HMAC-SHA256 of the body in that
// header instead, of "<time>:<body>" where HMACTimestampHeader is set too. Bearer,
// basic authentication and client certificates are there as well.
//
// # Body
//
// One alert, or {"alerts": [ … ]}, or a list, or a CloudEvents 1.0 envelope in
// structured JSON whose data is one of these:
//
//	{
//	  "name": "QueueStuck",           what Alerts is asked for
//	  "status": "firing",             or "resolved", or "no data"
//	  "at": "2026-03-01T12:00:00Z",   since when that is so, RFC 3339
//	  "key": "orders",                identity; without, name and labels
//	  "severity": "critical",         else a warning
//	  "summary": "nothing moved for 5 minutes",
//	  "labels": {"queue": "orders"},
//	  "value": 9000, "limit": 5000, "unit": "jobs"
//	}
//
// Fields of Alertmanager's alerts are understood too: labels.alertname for the
// name, fingerprint for the key, annotations.summary, startsAt and endsAt.
//
// Without "at", the time of a CloudEvent or of the signature counts. An alert
// without any time is ignored: told again, it could not be told from a new one.
//
// # Levels
//
// An alert fires until it is resolved. Told again, it is restated; what is
// earlier never overrides what is later. "no data" starts nothing: detectors of
// that name are then blind, with a [detect.StaleError]. An alert that was neither
// restated nor resolved for Config.Expiry, 24 h unless set, is stale too; so is
// one that was restored after a restart. A receiver that has heard nothing at
// all, and restored nothing, is blind.
//
// # What is counted
//
// [Receiver.Stats] counts refused requests by method, too large, unreadable,
// encoded, no proof, wrong proof, outside window; ignored ones by malformed, no
// alerts; ignored alerts by other status, unidentified, undated, oversized,
// older, no room. Failed requests are not stored, busy, panic. The first of each
// is logged.
package webhook
