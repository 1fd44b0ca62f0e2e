package remediate

import "time"

// The defaults of Step and Limits, as their fields document them.
const (
	defaultTimeout       = 30 * time.Second
	defaultCooldown      = 5 * time.Minute
	defaultFailures      = 3
	defaultBreakerWithin = time.Hour
	defaultOpenFor       = 30 * time.Minute
	defaultHeals         = 5
	defaultHealsWithin   = 24 * time.Hour
	minSettle            = time.Second
)

// Effective returns the step with its defaults filled in, for a watch that
// looks every so often. With every 0 a Settle that is not set stays 0, because
// only the watch knows it.
func (s Step) Effective(every time.Duration) Step {
	if s.Settle == 0 && every > 0 {
		s.Settle = max(2*every, minSettle)
	}
	if s.Timeout == 0 {
		s.Timeout = defaultTimeout
	}
	s.Retry = s.Retry.Effective()
	s.Risk = s.Risk.Level()
	return s
}

// Effective returns the limits with their defaults filled in. What is turned
// off stays -1.
func (l Limits) Effective() Limits {
	fill(&l.Cooldown, defaultCooldown)
	fill(&l.Breaker.Failures, defaultFailures)
	fill(&l.Breaker.Within, defaultBreakerWithin)
	fill(&l.Breaker.OpenFor, defaultOpenFor)
	fill(&l.Heals.N, defaultHeals)
	fill(&l.Heals.Within, defaultHealsWithin)
	return l
}

func fill[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}
