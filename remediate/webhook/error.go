package webhook

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A StatusError is an answer other than 2xx.
type StatusError struct {
	Place  string // scheme and host that answered
	Status int
	// RetryAfter is how long the other side asks to wait, counted from its
	// answer, at most 24 h; 0 when it does not ask. The pauses of Step.Retry do
	// not follow it: it is for the log, and for actions that wrap this one.
	RetryAfter time.Duration
	// Answer is the body, up to Options.MaxResponse.
	Answer string
}

// Error is one line: who answered what, and what to do next.
func (e *StatusError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "webhook %s: answered %d %s", e.Place, e.Status, http.StatusText(e.Status))
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, ", retry after %v", e.RetryAfter)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(e.Answer), "\n")
	if r := []rune(first); len(r) > 200 {
		first = string(r[:200]) + "…"
	}
	if first != "" {
		fmt.Fprintf(&b, " %q", first)
	}
	switch {
	case e.Temporary():
		b.WriteString(": it may pass: give the step a Retry")
	case e.Status >= 300 && e.Status < 400:
		b.WriteString(": such redirects are not followed: set URL to the address that answers")
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		b.WriteString(": check the credentials")
	case e.Status == http.StatusNotFound || e.Status == http.StatusGone || e.Status == http.StatusMethodNotAllowed:
		b.WriteString(": check URL and Method")
	default:
		b.WriteString(": see its answer")
	}
	return b.String()
}

// Temporary says whether the same call may succeed later: 408, 425, 429 and 5xx.
func (e *StatusError) Temporary() bool {
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.Status >= 500
}

const maxRetryAfter = 24 * time.Hour

// retryAfter reads the header Retry-After: seconds, or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(v, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
