package sqlpool

import (
	"context"
	"time"

	"github.com/selfheal-go/selfheal/remediate"
)

// QuickRebuild is Rebuild that takes less of the test's time.
func QuickRebuild(o Options, d time.Duration) remediate.Step {
	p := newPack(o)
	p.rebuildFor = d
	return p.rebuild()
}

var (
	KindOf    = kindOf
	Printable = printable
)

// CloseTracker lets t believe that its database was closed.
func CloseTracker(t *Tracker) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// Renew is a rebuild that is stopped at once.
func Renew(t *Tracker) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	t.renew(ctx)
}
