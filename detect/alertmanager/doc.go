// Package alertmanager turns alerts of Prometheus Alertmanager into detectors:
// an HTTP handler that takes its webhook, and hands out a detector for each
// alert that a watch is about.
//
//	am, err := alertmanager.New(alertmanager.Config{Bearer: token})
//	…
//	mux.Handle("POST /alerts", am)
//	heal.Watch(selfheal.Watch{
//		Name: "disk-full", Detector: am.Alerts("HostDiskFull", "severity=critical"), Playbook: …
//	})
//
// In Alertmanager's configuration:
//
//	receivers:
//	  - name: selfheal
//	    webhook_configs:
//	      - url: https://orders.example:8443/alerts
//	        send_resolved: true
//	        http_config: {authorization: {credentials_file: /etc/alertmanager/selfheal-token}}
//
// Alertmanager cannot sign what it sends, so the proof of origin is a bearer
// token, a basic password or a client certificate. Whoever has it can start what
// the alerts start.
//
// # Levels
//
// Each alert is a level under its own fingerprint: it fires until Alertmanager
// says that it is resolved. A repeated body only restates it; what is late or
// told again never overrides what is newer; an alert that is missing from a
// group, truncated or not, is not resolved by that: it may be silenced. A bout
// that was resolved can fire again only with a later startsAt. An alert whose
// resolve Alertmanager took back, because it lost sight of Prometheus for a
// while, is therefore believed again at the first repeat after Config.Expiry.
//
// An alert that was neither restated nor resolved for Config.Expiry, and one
// that was restored after a restart, is stale: see [detect.StaleError]. A
// receiver that has heard nothing at all, and restored nothing, is blind.
// An alert that always fires, routed to this receiver, shows that the way is
// open; so does any other.
//
// Each body reaches one process. Behind a balancer give every replica an address
// of its own in Alertmanager's configuration, or each knows a part.
//
// # What is counted
//
// [Receiver.Stats] counts refused requests by method, too large, unreadable,
// encoded, no proof, wrong proof; ignored ones by malformed, other version (than
// 4), no alerts; ignored alerts by other status, unidentified, undated,
// oversized (more than 64 KiB of labels), older, no room; and groups that were
// truncated. Failed requests are not stored, busy, panic. The first of each is
// logged.
package alertmanager
