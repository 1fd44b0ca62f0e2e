// Package webhook tells programs: it posts each notification as a signed webhook,
// in the form of Standard Webhooks with a CloudEvent as body.
//
//	hook, err := webhook.New(webhook.Config{URL: address, Secrets: []escalate.Secret{secret}})
//	...
//	escalate.Policy{Levels: …, Inform: []escalate.Notifier{escalate.Named("incidents", hook)}}
//
// # What is sent
//
// The body is a CloudEvent 1.0 in structured JSON (application/cloudevents+json).
// Its type is one of [Types]; its id is the notification's and the same for every
// try; its subject is the incident's dedup key; its data is the notification as
// [escalate.Notification.MarshalJSON] writes it, with runbook, links and evidence by
// address. The extensions severitytext and severitynumber are WARN 13 and ERROR 17,
// as OpenTelemetry counts, and a resolve is INFO 9. A resolve of what nobody was told
// while it was open says so in data.began_and_ended.
//
// The headers are webhook-id (the same id, made safe), webhook-timestamp (of this
// try) and webhook-signature: a v1 signature, HMAC-SHA256 in base64 over
// "id.timestamp.body", for each secret. During a rotation there are two secrets, and
// receivers may use either. [Sign] is for their tests.
//
// A webhook has no acknowledgement: a receiver that knows of one calls the
// console.
//
// # Its rules
//
// Any 2xx is acceptance. 410 switches the target off: that and every later
// notification of this notifier is a final failure, without a request. Everything
// else is tried again, at the earliest after Retry-After, because Standard Webhooks
// has no other final status: a 401 may be a rotation, a 404 a deployment. Redirects
// are not followed.
//
// A body has at most 64 KiB, which is what CloudEvents asks of every intermediary.
// What is longer is cut: texts first, then lists, and the extension cut is true.
//
// A receiver on plain http sees what is signed, and so does everybody between: use
// https beyond the own host.
//
// Sources: Standard Webhooks 1.0.0, "Signature scheme", "Webhook headers" and
// "Delivery success and failure"; CloudEvents 1.0.2, "Context Attributes", "Size
// Limits" and the JSON and HTTP bindings; OpenTelemetry, "Logs Data Model", severity
// fields.
package webhook
