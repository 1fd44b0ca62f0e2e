// Package webhook is a ready action that calls a service over HTTP.
//
// The address is fixed in code. The request is one of POST, PUT or PATCH with the
// JSON of [remediate.Request.MarshalJSON] as its body and the header
// Idempotency-Key: the same for every try of an attempt and after a crash, so
// that a receiver that knows keys does the work once. What a finding says is in
// the body alone, never in the address or in the name of a header.
//
// Any 2xx is success, everything else an error. Redirects are followed only with
// 307 and 308, only to the same scheme, host and port, and three times at most:
// any other would hand finding and credentials to somebody else.
//
// The answer is read up to a bound. Errors and logs name scheme and host of the
// address alone, because secrets live in user info, queries and, with many
// services, in paths.
package webhook
