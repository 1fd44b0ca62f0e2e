package alertmanager

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
)

// batchSize bounds a request of Run.
const batchSize = 100

// Run sends every open alert again to all members each [Config.Resend], and what
// ended for 5 min, until ctx ends; then it returns nil. Alertmanager keeps alerts in
// memory alone and does not pass them on: without Run, a member that was started
// again, or down at the first sending, does not know of an open alert before the
// policy repeats it.
//
// Failures are logged and made good by the next round. Run is safe beside Notify;
// one Run is enough.
func (n *Notifier) Run(ctx context.Context) error {
	if n == nil || n.sender == nil {
		return deliver.Unmade(provider)
	}
	for deliver.Pause(ctx, n.cfg.Resend) {
		n.resend(ctx, time.Now())
	}
	return nil
}

func (n *Notifier) resend(ctx context.Context, now time.Time) {
	n.sweep(now)
	n.mu.Lock()
	ids := slices.Sorted(maps.Keys(n.live))
	n.mu.Unlock()
	for part := range slices.Chunk(ids, batchSize) {
		// What changes while it is under way may arrive before it: it is said
		// again until nothing changes.
		for len(part) > 0 && ctx.Err() == nil {
			batch, as := n.renew(part, now)
			if len(batch) == 0 {
				break
			}
			if err := n.post(ctx, batch); err != nil {
				if ctx.Err() == nil {
					n.warn("open alerts could not be sent again", "alerts", len(batch), "error", err)
				}
				break
			}
			part = n.changed(as)
		}
	}
}

// renew is what the members are to have now of some alerts, and what it was made
// from.
func (n *Notifier) renew(ids []string, now time.Time) (batch []*sent, as map[string]*sent) {
	n.mu.Lock()
	defer n.mu.Unlock()
	as = map[string]*sent{}
	for _, id := range ids {
		s := n.live[id]
		if s == nil || s.unsure {
			continue
		}
		as[id] = s
		copied := *s
		if !s.over {
			copied.alert = s.end(now.Add(n.cfg.Expire))
		}
		batch = append(batch, &copied)
	}
	return batch, as
}

// changed are the ids that are no longer as they were.
func (n *Notifier) changed(as map[string]*sent) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ids []string
	for id, s := range as {
		if n.live[id] != s {
			ids = append(ids, id)
		}
	}
	return ids
}
