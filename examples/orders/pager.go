package main

import (
	"context"
	"sync/atomic"

	"github.com/selfheal-go/selfheal/escalate"
)

// pager is the phone that rings. It keeps what it was told until it is printed.
type pager struct {
	calls    chan escalate.Notification
	rang     atomic.Int64
	resolved atomic.Int64
}

func newPager() *pager { return &pager{calls: make(chan escalate.Notification, 100)} }

// Notify is called by the supervisor's outbox.
func (p *pager) Notify(_ context.Context, n escalate.Notification) error {
	switch n.Kind {
	case escalate.Resolve:
		p.resolved.Add(1)
		return nil
	case escalate.Trigger, escalate.Ask:
		p.rang.Add(1) // an update shows on the screen of the phone and does not ring
	}
	select {
	case p.calls <- n:
	default: // counted; a hundred pages are not read by anybody
	}
	return nil
}

// called is how often it rang.
func (p *pager) called() int { return int(p.rang.Load()) }

// next returns the next call about an incident, which may be a moment behind the
// event that says so.
func (p *pager) next(ctx context.Context, incident string) (escalate.Notification, bool) {
	for {
		select {
		case n := <-p.calls:
			if n.DedupKey == incident {
				return n, true
			}
		case <-ctx.Done():
			return escalate.Notification{}, false
		}
	}
}
