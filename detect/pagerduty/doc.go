// Package pagerduty takes what people do with our incidents in PagerDuty, and
// hands it to whoever minds them: an HTTP handler that is a generic webhook
// (version 3). It finds nothing that is wrong, so it hands out no detectors.
//
//	pd, err := pagerduty.New(pagerduty.Config{
//		Secrets: []detect.Secret{secret},
//		OnAcknowledgement: func(ctx context.Context, a pagerduty.Acknowledgement) error {
//			…
//		},
//	})
//	…
//	mux.Handle("POST /pagerduty", pd)
//
// Subscribe a webhook to the service's incident.acknowledged,
// incident.unacknowledged, incident.resolved and incident.reopened, and set its
// secret here.
//
// # Proof of origin
//
// PagerDuty signs the body: X-PagerDuty-Signature has v1=<hexadecimal
// HMAC-SHA256>, several during a rotation. One that holds suffices. The time of
// the event is part of the body, so an event that is older than PagerDuty keeps
// trying, 48 h, is a replay and refused.
//
// # Once and in order
//
// What happened to an incident earlier never follows what happened later, and an
// event that was handled is not handled again, by its id. Events of one dedup key
// are handled one after the other. A call that fails is repeated by PagerDuty, in
// order, for up to 48 h; so it must bear being repeated, and return nil for a
// dedup key that it does not know. With a Store this holds across restarts.
//
// # What is counted
//
// [Receiver.Stats] counts refused requests by method, too large, unreadable,
// encoded, no proof, wrong proof, outside window; ignored ones by malformed,
// other event, no incident key, undated, repeated, older. Failed requests are
// callback, busy, not stored, panic. The first of each is logged.
package pagerduty
