// Package slack tells people in a Slack channel, through an incoming webhook.
//
//	channel, err := slack.New(slack.Config{URL: webhook})
//	...
//	escalate.Policy{Levels: …, Inform: []escalate.Notifier{escalate.Named("channel", channel)}}
//
// The address of the webhook is the credential: whoever has it can write in the
// channel. It is an [escalate.Secret], and no error shows it or a part of it.
//
// # What is sent
//
// Each notification is one message: a title, the diagnosis, links to runbook,
// evidence and what the notification links to, and the ids of incident and
// notification. The text before the blocks is what phones show. A webhook cannot
// change, thread or withdraw a message, so an Update and a Resolve are messages of
// their own; it cannot tell people's acknowledgements, and it cannot tell a
// repetition: a notification whose answer was lost may appear twice, both times
// with the same id.
//
// # Its rules
//
// 200 with the body "ok" is acceptance and nothing else is: another 200 comes from
// a proxy and is tried again. 400, 403, 404 and 410 are final, 429 and 5xx are
// tried again, at the earliest after Retry-After. A channel takes about one message
// a second, see [Notifier.Rate]; whoever goes on after a 429 may have the app
// switched off.
//
// A message has at most 50 blocks, 150 characters in the title, 3,000 in a section
// and about 13,200 in all; the diagnosis is cut to that, and says so. The characters
// & < > of what comes from outside are escaped, so that nobody can mention a channel
// or hide a link by a finding's text.
//
// Sources: Slack's developer documentation, "Sending messages using incoming
// webhooks", "Improving error conditions for Incoming Webhooks", "Rate limits",
// "Formatting text for app surfaces" and "Block Kit: Blocks"; for the total,
// slackapi/bolt-js issue 2509.
package slack
