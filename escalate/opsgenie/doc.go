// Package opsgenie tells people by alerts in the form that Opsgenie and Jira
// Service Management share.
//
//	jsm, err := opsgenie.New(opsgenie.Config{
//		BaseURL: "https://api.atlassian.com/jsm/ops/integration",
//		Key:     key,
//	})
//
// The key is that of an API integration. Opsgenie itself ends on 2027-04-05; its
// successor takes the same requests under another address.
//
// # What is sent
//
// A Trigger creates an alert with the incident's key as alias; a repetition of it
// counts up at the open alert. An Update sets its message and priority, which would
// stay as first sent, and adds the diagnosis as a note; it creates the alert where
// there is none. A Resolve closes it; a Resolve of what nobody was told while it was
// open (see [escalate.Notification.BeganAndEnded]) creates and closes. An Ask has an
// alias of its own, because an alert that people have acknowledged calls nobody
// again; a Resolve closes the question too. [Notifier.Acknowledge] says there that
// somebody has acknowledged elsewhere.
//
// # Its rules
//
// 202 only says that a request is queued. The notifier asks for the result, so that
// a close does not overtake its create and a refusal is seen, for up to
// [Config.Confirm]; what is not processed by then counts as taken. To close or to
// acknowledge what is not open is no failure.
//
// A message has at most 130 characters, an alias 512 (a longer one becomes its
// beginning and a hash), a description 15,000, a note 25,000, all details together
// 8,000; there are at most 20 tags of 50. What is longer is cut and says so. 429 and
// 5xx are tried again, at the earliest after Retry-After or, where a limit was met,
// X-RateLimit-Period-In-Sec; 501 and other 4xx are final. How many requests are
// taken depends on the plan: see [Config.Rate].
//
// Sources: Opsgenie's developer documentation, "Alert API", "Alerts and alert
// fields" and "API rate limiting", "JSM Operations API", and the retries of
// opsgenie-go-sdk-v2.
package opsgenie
