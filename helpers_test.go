package selfheal_test

import (
	"context"
	"log/slog"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// do is an action that always works.
func do(f func()) remediate.Action {
	return func(context.Context, remediate.Request) error { f(); return nil }
}

var quiet = slog.New(slog.DiscardHandler)

var nobody = escalate.To(escalate.NotifierFunc(func(context.Context, escalate.Notification) error { return nil }))
