// Package redact hides credentials in whatever leaves the process: logs, errors,
// notices, evidence, the journal and the console.
//
// A [Redactor] knows secrets by their value, and credentials that nobody told it
// about by the company they keep:
//
//   - known secrets, also where they are escaped for an address, JSON or HTML, in
//     base64 or in hexadecimal, and line by line where they have several lines;
//   - values under a name such as password, token or authorization, in
//     key=value, key: value, JSON, headers, XML, flags, query strings and what fmt
//     prints of maps and structs;
//   - user info of addresses, paths that are a credential (of chat webhooks, say),
//     and parts of a path that look like a token;
//   - tokens with a shape of their own: of AWS, GitHub, GitLab, Slack, Stripe,
//     Google and others, JWT, private keys in PEM, Bearer and Basic.
//
// Each becomes [Mask] and the text around it stays. Hashes, UUIDs, ids, stacks,
// paths, host:port, numbers and durations are no secrets: a person has to read
// what is left.
//
// Rules are a net, not a wall. A short password in free text is not found unless
// it is known, so a service should name its secrets. Redact before cutting a text
// to a size: half a secret is not recognised.
//
// Time is linear in the length of the text, and a text with nothing to hide is
// returned as it is, without allocation.
//
// It is a leaf: it imports the standard library only, and every room may use it.
package redact
