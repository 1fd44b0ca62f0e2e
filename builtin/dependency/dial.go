package dependency

import (
	"context"
	"fmt"
	"net"
)

// DialOptions are for [Client.Dialer]. The zero value is useful.
type DialOptions struct {
	// Dial makes a connection; let it do the handshake and the authentication too
	// where it can, so that those that fail count. nil: that of a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Parallel is how many dials may be under way at once; others wait for their
	// turn until their context ends. 0: 4 (our choice: a pool that grows seldom
	// needs more, and a fleet that returns at once is many times this). -1: no
	// bound.
	Parallel int
}

// Dialer returns a dial function that guards a dependency against the storm of
// those that reconnect to it at once (XS-2): for http.Transport.DialContext, for
// the dialer of a database or broker client, for anything of that form. Each dial
// is a call through c. So dials are refused while the breaker is open and return
// in its ramp; they are repeated with the pauses of ClientOptions.Retry, full
// jitter and all, from the budget of all callers; and no more than
// DialOptions.Parallel are under way at once. Whoever's context ended while it
// waited does not dial any more.
//
// Use a client of its own for dials, apart from the one of the calls that are made
// over the connections: they fail for different reasons, and its Status tells the
// dials of the window. Safe for concurrent use.
func (c *Client) Dialer(o DialOptions) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	var turns chan struct{}
	switch {
	case o.Parallel == 0:
		turns = make(chan struct{}, 4)
	case o.Parallel > 0:
		turns = make(chan struct{}, o.Parallel)
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		var conn net.Conn
		err := c.Do(ctx, func(ctx context.Context) (err error) {
			if turns != nil {
				select {
				case turns <- struct{}{}:
					defer func() { <-turns }()
				case <-ctx.Done():
					return waited(ctx)
				}
			}
			if ctx.Err() != nil {
				return waited(ctx)
			}
			conn, err = o.Dial(ctx, network, addr)
			return err
		})
		if err != nil {
			return nil, err
		}
		if conn == nil { // ClientOptions.Degraded served in its place, and cannot serve a connection
			return nil, ErrRefused
		}
		return conn, nil
	}
}

// waited is what ended a dial that was never made: it says nothing of the
// dependency, whatever ended the wait.
func waited(ctx context.Context) error {
	return fmt.Errorf("dependency: the dial waited for its turn until its context ended (%w): %w", context.Cause(ctx), context.Canceled)
}
