package main

import (
	"context"
	"time"

	"github.com/selfheal-go/selfheal/examples/orders/shop"
)

// fault is something real that goes wrong.
type fault struct {
	name   string
	says   string
	cause  func(context.Context, *stage) error
	mended string       // what it says when it is over; "" when only the healing ends it
	mend   func(*stage) // nil likewise
}

func faults() []fault {
	return []fault{
		{
			name: "slow-bank", says: "the bank takes 70ms for a call, not 5ms, and still serves 4 at once",
			cause:  func(_ context.Context, s *stage) error { s.bank.latency.Store(int64(bankSlow)); return nil },
			mended: "the bank is quick again",
			mend:   func(s *stage) { s.bank.latency.Store(int64(bankQuick)) },
		},
		{
			name: "bad-address", says: "an order comes whose mail address is no address",
			cause: func(ctx context.Context, s *stage) error {
				return s.customers.insist(ctx, shop.Order{Customer: "nobody", Cents: 990})
			},
		},
		{
			name: "wholesale", says: "40 wholesale orders come, each with a receipt of 38 KiB",
			cause: func(ctx context.Context, s *stage) error {
				for range 40 {
					if err := s.customers.insist(ctx, shop.Order{Customer: "wholesale@example.com", Cents: 99_000, Lines: 640}); err != nil {
						return err
					}
					wait(ctx, 10*time.Millisecond)
				}
				return nil
			},
		},
		{
			name: "gift", says: "an order for a gift comes, and its worker locks a mutex that it holds",
			cause: func(ctx context.Context, s *stage) error {
				return s.customers.insist(ctx, shop.Order{Customer: "ada@example.com", Cents: 990, Gift: true})
			},
		},
		{
			name: "revoked-key", says: "the bank revokes our key",
			cause:  func(_ context.Context, s *stage) error { s.bank.revoked.Store(true); return nil },
			mended: "the person who was called gets the key accepted again",
			mend:   func(s *stage) { s.bank.revoked.Store(false) },
		},
		{
			name: "dead-gateway", says: "the gateway to all eight partners hangs up on every call",
			cause:  func(_ context.Context, s *stage) error { s.gateway.cut.Store(true); return nil },
			mended: "the person who was called mends the gateway",
			mend:   func(s *stage) { s.gateway.cut.Store(false) },
		},
	}
}

func findFault(name string) (fault, bool) {
	for _, f := range faults() {
		if f.name == name {
			return f, true
		}
	}
	return fault{}, false
}
