package goruntime

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// Caches is a list of what an application can give up when memory is short. The
// zero value is ready; all methods are safe for concurrent use.
//
// It is a value that the application owns and hands to Options.Caches rather than
// a function of this package: a registry of the package would be one for all
// supervisors, tests and libraries of the process. And it is a value rather than a
// list in Options, because caches come and go after the module was made.
type Caches struct {
	mu   sync.Mutex
	list []*cache
}

type cache struct {
	name   string
	shrink func(ctx context.Context, p Pressure) error
}

// Pressure says why a cache is asked to shrink.
type Pressure struct {
	// Severity is Warning where dropping what is old will do, and Critical where
	// everything that can be had again should go.
	Severity detect.Severity
	// Finding is what was found.
	Finding detect.Finding
}

// OnPressure adds a function that gives memory up; the returned one takes it off
// the list. Functions are called one after the other, in the order in which they
// were added, with a context that ends at the timeout of the step. A panic is an
// error of the step and does not keep the others from being called.
func (c *Caches) OnPressure(name string, shrink func(ctx context.Context, p Pressure) error) (remove func()) {
	x := &cache{name, shrink}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, x)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.list = slices.DeleteFunc(slices.Clone(c.list), func(y *cache) bool { return x == y })
	}
}

// Shrink asks every cache to shrink. It is a [remediate.Action]: it skips where
// there is none, or none that has anything to give because it returned
// [remediate.ErrSkip], and returns every other error joined.
func (c *Caches) Shrink(ctx context.Context, req remediate.Request) error {
	var list []*cache
	if c != nil {
		c.mu.Lock()
		list = c.list
		c.mu.Unlock()
	}
	if len(list) == 0 {
		return fmt.Errorf("goruntime: no caches to shrink: %w", remediate.ErrSkip)
	}
	p := Pressure{Severity: req.Finding.Severity, Finding: req.Finding}
	var errs []error
	skipped := 0
	for _, x := range list {
		if ctx.Err() != nil {
			errs = append(errs, fmt.Errorf("goruntime: cache %s: not asked: %w", x.name, context.Cause(ctx)))
			break
		}
		switch err := x.call(ctx, p); {
		case errors.Is(err, remediate.ErrSkip):
			skipped++
		case err != nil:
			errs = append(errs, fmt.Errorf("goruntime: cache %s: %w", x.name, err))
		}
	}
	if skipped == len(list) {
		return fmt.Errorf("goruntime: none of %d caches has anything to give: %w", skipped, remediate.ErrSkip)
	}
	return errors.Join(errs...)
}

func (x *cache) call(ctx context.Context, p Pressure) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &remediate.PanicError{Where: "the shrinking of cache " + x.name, Value: v, Stack: debug.Stack()}
		}
	}()
	if x.shrink == nil {
		return errors.New("its function is nil: give OnPressure one that shrinks")
	}
	return x.shrink(ctx, p)
}
