//go:build !linux

package disk

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

var errSystem = fmt.Errorf("disk: not supported on %s, only on Linux: %w", runtime.GOOS, errors.ErrUnsupported)

func reader(string) func(*usage) error { return func(*usage) error { return errSystem } }

func readUsage(string) (usage, error) { return usage{}, errSystem }

func readDeleted(context.Context, string) (deleted, error) { return deleted{}, errSystem }

func (j *Janitor) run(context.Context, task) (Report, error) { return Report{}, errSystem }

func (l *Logs) rotate(context.Context) (int, error) { return 0, errSystem }

func (b *Ballast) create(context.Context) error { return errSystem }

func (b *Ballast) release() error { return errSystem }

func sizeOf(context.Context, string) (all sum, whole bool, err error) { return all, false, errSystem }
