package sqlpool

import (
	"context"
	"slices"

	"github.com/selfheal-go/selfheal/detect"
)

// churn finds a pool that keeps too few connections: under load each is closed when
// it is returned and opened again for the next caller.
type churn struct {
	p    *pack
	rate detect.Detector
}

func newChurn(p *pack) *churn {
	c := &churn{p: p}
	c.rate = detect.Rate(detect.RateOptions{
		Read:  func(context.Context) (float64, error) { return float64(p.o.DB.Stats().MaxIdleClosed), nil },
		Limit: max(p.o.MaxChurn, 0), Clear: clearShare * max(p.o.MaxChurn, 0), Unit: "connections",
	})
	return c
}

// Validate returns what is wrong with the options.
func (c *churn) Validate() error { return c.p.problem }

// Detect looks at the counter.
func (c *churn) Detect(ctx context.Context) ([]detect.Finding, error) {
	if _, err := c.p.see(ctx); err != nil {
		return nil, err
	}
	found, err := c.rate.Detect(ctx)
	if len(found) == 0 {
		return nil, err
	}
	found = slices.Clone(found)
	found[0].Summary = "connections are closed because no more idle ones are kept, and opened again: " + found[0].Summary +
		"; raise SetMaxIdleConns towards SetMaxOpenConns"
	return found, err
}
