// Package cloudwatch turns CloudWatch alarms, sent by Amazon SNS, into detectors:
// an HTTP handler that is an HTTPS subscription of SNS topics, and hands out a
// detector for each alarm that a watch is about.
//
//	cw, err := cloudwatch.New(cloudwatch.Config{Topics: []string{"arn:aws:sns:eu-west-1:123456789012:alarms"}})
//	…
//	mux.Handle("POST /alarms", cw)
//	heal.Watch(selfheal.Watch{Name: "disk-full", Detector: cw.Alerts("orders-disk-full"), Playbook: …})
//
// Subscribe the handler's address to the topic with protocol HTTPS, without raw
// message delivery, which is not signed and refused. Send the alarm and the OK
// action to the topic, and best the insufficient-data action too.
//
// # Proof of origin
//
// SNS signs every message with RSA. In this order: the type is known; the topic
// is one of Config.Topics; the certificate's address is https, without user or
// port, on sns.<region>.amazonaws.com or .com.cn, and ends in .pem; the
// certificate is fetched, 64 KiB and 3 s at most, or taken from a cache of the
// last 8; it is in force, and was issued as it should be (see
// Config.SigningRoots); the signature, version 1 (SHA-1, the default of a topic)
// or 2 (SHA-256), covers the fields of the message; its time is in the window.
// Nothing but that fetch leaves before the proof holds, and everything goes
// through Config.Client, without redirects. Then, for SubscriptionConfirmation
// alone, the SubscribeURL is visited after the same check of its host.
//
// # Levels
//
// An alarm, by its ARN, fires from ALARM until OK, metric alarms, metric math and
// composites alike. INSUFFICIENT_DATA is neither: it starts and resolves nothing,
// and the detectors of that alarm are then blind, with a [detect.StaleError].
// What happened earlier by StateChangeTime never overrides what happened later.
//
// CloudWatch never restates an alarm. One is believed for Config.Expiry, 24 h
// unless set, and is stale after that; so is one that was restored after a
// restart. Keep a Store. A receiver that has heard of no alarm at all, and
// restored none, is blind.
//
// # What is counted
//
// [Receiver.Stats] counts refused requests by method, too large, unreadable,
// encoded, raw delivery, malformed, other type, topic, certificate address,
// certificate, wrong proof, outside window; ignored ones by confirmed,
// unsubscribed, not an alarm, other status, unidentified, undated, oversized,
// older, no room. Failed requests are certificate fetch, confirm, not stored,
// busy, panic. The first of each is logged.
package cloudwatch
