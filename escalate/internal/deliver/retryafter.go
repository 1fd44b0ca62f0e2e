package deliver

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longestWait bounds what a provider may ask for: asking again once an hour
// burdens nobody, and a broken clock at the other end must not silence us for a
// year.
const longestWait = time.Hour

// RetryAfter is how long an answer asks to be left alone: the Retry-After header
// in seconds or as a date (RFC 9110, section 10.2.3), at most 1 h. A date is read
// off the clock of the provider where the answer has a Date, else off now. 0 means
// that it does not say.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if strings.Trim(v, "0123456789") == "" {
		return Seconds(v)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), longestWait)
}

// Seconds reads a count of seconds, at most 1 h of them; 0 when it is none.
func Seconds(v string) time.Duration {
	n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 64)
	if err != nil && n == 0 { // else it is out of range, and n the largest
		return 0
	}
	return time.Duration(min(n, uint64(longestWait/time.Second))) * time.Second
}
