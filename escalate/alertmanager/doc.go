// Package alertmanager tells people through Prometheus Alertmanager, by its API v2.
//
//	am, err := alertmanager.New(alertmanager.Config{URLs: []string{"http://am-0:9093", "http://am-1:9093"}})
//	...
//	group.Go(func() error { return am.Run(ctx) }) // beside the supervisor
//	escalate.To(escalate.Named("alertmanager", am))
//
// # What is sent
//
// A Trigger and an Update are a firing alert, a Resolve ends it. Labels are the
// alert's identity, so only what stays the same is among them: alertname (the
// watch), service, key (of the finding), severity, source="selfheal", and what
// [Config.Labels] and [Config.FindingLabels] name. No id of an incident and no time
// is: the same fault has one identity for ever. Where the severity changes, the alert
// of the former one is ended with the same request. All else is an annotation:
// summary, description, runbook_url, links (with the evidence), dedup_key and the
// parts of the diagnosis. A new annotation is not news to Alertmanager, so people
// hear of an Update at its next repeat_interval. An Ask is an alert of its own with
// the label question="approve", and a Resolve ends that too.
//
// Names of labels have characters other than letters, digits and _ replaced by _:
// Alertmanager 0.25 refuses service.name.
//
// # Its rules
//
// Every member of a cluster gets every alert, because members do not pass alerts
// on. One that takes it is enough; [Notifier.Run] makes good for the others. 200
// without a body is acceptance, 4xx except 408, 425 and 429 is final, everything
// else is tried again, at the earliest after Retry-After.
//
// An alert that nobody sends again ends by itself at its endsAt, [Config.Expire]
// after each sending. That is long by default: an alert that ends while its incident
// is open says that it is over. Run sends what is open again each minute, so that a
// member that was restarted and has forgotten it, or was down, has it again; and
// what has ended for 5 min.
//
// Alertmanager tells nobody of an alert that ended before its group was due. So an
// alert fires for [Config.Hold] at least, and its end may be told so much later.
// Nor does Alertmanager bring an end forward, unless to the past: what is to end is
// sent with an end 30 s ago, so that clocks may differ by that much. A
// Resolve of what nobody was told while it was open (see
// [escalate.Notification.BeganAndEnded]) fires for that time, with a summary that
// says that it began and ended.
//
// # Acknowledging
//
// Alertmanager has no acknowledgement: people make silences. [Notifier.Silenced]
// reads those that hold on our alerts, and [Feedback] tells of each that begins,
// changes or ends.
//
// Sources: Alertmanager's api/v2/openapi.yaml, docs/alerts_api.md and
// docs/high_availability.md; what 0.25 answers was tried against it.
package alertmanager
