// Package pagerduty tells people through PagerDuty, by its Events API v2.
//
//	oncall, err := pagerduty.New(pagerduty.Config{RoutingKey: key})
//	...
//	escalate.To(escalate.Named("oncall", oncall))
//
// The key is that of an "Events API v2" integration of a PagerDuty service.
//
// # What is sent
//
// A Trigger and an Update are a trigger event under the incident's key, a Resolve
// is a resolve event. A Resolve of what nobody was told while it was open (see
// [escalate.Notification.BeganAndEnded]) is both, in this order: PagerDuty drops a
// resolve without a trigger. An Ask has a key of its own, because where people
// have acknowledged an alert, another trigger under its key calls nobody; a
// Resolve ends the question too. [Notifier.Acknowledge] says at PagerDuty that
// somebody has acknowledged elsewhere.
//
// Whatever PagerDuty has no place for is in custom_details: the diagnosis as text,
// and its parts by name. Runbook, evidence and the notification's links are links,
// and evidence that is an image under https an image.
//
// # Its rules
//
// A dedup key has at most 255 characters, a longer one becomes its beginning and a
// hash. The summary is cut at 1,024 characters. An event has at most 512 KB;
// custom_details are cut until it has, and say so. 202 is acceptance; 408, 429, 5xx
// and what never answered are tried again, at the earliest after Retry-After;
// other statuses are final. An integration takes about 120 events a minute, see
// [Notifier.Rate].
//
// A notification that fails between its two events goes on with the second one
// when it is tried again, as long as the notifier lives.
//
// Sources: PagerDuty's developer documentation, "Events API v2 Overview", "Send an
// Event" and "Rate Limits"; for 408, the retries of go-pagerduty.
package pagerduty
