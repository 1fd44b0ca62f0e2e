package escalate

import (
	"errors"
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// A Secret is a token, a password or an address that is a credential; it prints
// as "***".
type Secret = detect.Secret

// A Failure is an error of a [Notifier] that says what to do next. An error that
// has none in its chain is passing: the notification is tried again, later and
// later, until it is too old.
type Failure struct {
	// Err is what went wrong. It holds no credential.
	Err error
	// Permanent says that no other try of this notification can succeed: the
	// next target is told instead.
	Permanent bool
	// RetryAfter is how long the provider asks to be left alone: nothing is sent
	// to this target before. 0: it did not say.
	RetryAfter time.Duration
}

// Error is the text of Err, with how long to wait where the provider said.
func (f *Failure) Error() string {
	if f.RetryAfter > 0 {
		return fmt.Sprintf("%v (retry after %v)", f.Err, f.RetryAfter)
	}
	return f.Err.Error()
}

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// Permanent marks an error as final: trying again would fail in the same way.
// A nil error stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &Failure{Err: err, Permanent: true}
}

// RetryAfter marks an error as passing, with how long the provider asks to wait.
// A nil error stays nil; a negative wait counts as none.
func RetryAfter(err error, wait time.Duration) error {
	if err == nil {
		return nil
	}
	return &Failure{Err: err, RetryAfter: max(wait, 0)}
}

// IsPermanent says whether err, or one that it wraps, is final.
func IsPermanent(err error) bool {
	var f *Failure
	return errors.As(err, &f) && f.Permanent
}

// A Rate is how many calls a provider takes within a time. The zero value is no
// bound.
type Rate struct {
	N   int
	Per time.Duration
}

// Limited is implemented by a [Notifier] that knows how often its provider may
// be called. The supervisor keeps to it, and lets new incidents and resolves go
// before repeats.
type Limited interface{ Rate() Rate }

// RateOf returns the rate of n, if it has one, or that which [Limit] set.
func RateOf(n Notifier) Rate {
	if l, ok := n.(Limited); ok {
		return l.Rate()
	}
	return Rate{}
}
