// Package trial is how the test kit tells a supervisor that it runs in a trial,
// without a public option that services could set.
package trial

import "context"

type key struct{}

// With marks the context of a Run: every watch looks at half its interval, so
// that a change at a whole second never races a look.
func With(ctx context.Context) context.Context { return context.WithValue(ctx, key{}, true) }

// Is says whether ctx was marked.
func Is(ctx context.Context) bool { return ctx.Value(key{}) != nil }
