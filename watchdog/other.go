//go:build !linux

package watchdog

import (
	"context"

	"github.com/selfheal-go/selfheal/escalate"
)

// Main does nothing on this system.
func Main(func(config []byte) (escalate.Notifier, error)) {}

// Start returns [ErrUnsupported] on this system.
func Start(_ context.Context, o Options) (*Watchdog, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return nil, ErrUnsupported
}

func (w *Watchdog) forgetCrash() {}
