package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/selfheal-go/selfheal/remediate"
)

// BallastOptions configure a [Ballast].
type BallastOptions struct {
	// Path is the file, absolute and without symbolic links; its directory exists.
	// Required.
	Path string
	// Bytes is how much room it takes. 0: 256 MiB (S). It should last for the time
	// that a person needs to come.
	Bytes int64
}

const (
	defaultBallast = 256 << 20
	leastBallast   = 1 << 16
)

// ballastTag is at the beginning of every ballast file: what does not carry it is
// not ours, whatever Options.Path says.
const ballastTag = "selfheal ballast, may be emptied at any time\n"

// Ballast is a file that only takes up room, to be given up when the disk is
// full and to be taken again when it is not. A service calls Create when it
// starts, while there is room.
//
// Giving up cuts the file down to its tag, through a descriptor on which the tag
// was read just before: it cannot hit a file that merely has the name. Methods are
// safe for concurrent use. Linux only.
type Ballast struct {
	o       BallastOptions
	problem error
	// roomy says whether there is room enough to take it again; nil: there is.
	roomy func() (bool, error)
}

// NewBallast returns the ballast of a path. Mistakes are returned by
// [Ballast.Validate] and by every call.
func NewBallast(o BallastOptions) *Ballast {
	b := &Ballast{o: o, problem: o.problem()}
	if o.Path == "" {
		b.problem = errors.Join(b.problem, errors.New("disk: a ballast has no Path: name its file"))
	}
	if o.Bytes == 0 {
		b.o.Bytes = defaultBallast
	}
	return b
}

func (o *BallastOptions) problem() error {
	var errs []error
	if o.Path != "" {
		if why := badPath(o.Path); why != "" {
			errs = append(errs, fmt.Errorf("disk: ballast: Path is %q, which %s", o.Path, why))
		}
	}
	if o.Bytes != 0 && o.Bytes < leastBallast {
		errs = append(errs, fmt.Errorf("disk: ballast: Bytes is %d: use %d or more, or 0 for %d", o.Bytes, leastBallast, defaultBallast))
	}
	return errors.Join(errs...)
}

// Validate reports everything that is wrong with the options.
func (b *Ballast) Validate() error { return b.problem }

// Create takes the room, in real blocks, unless it is taken. It fails where there
// is not enough, and then leaves no more than the tag.
func (b *Ballast) Create(ctx context.Context) error {
	if b.problem != nil {
		return b.problem
	}
	if ctx.Err() != nil {
		return fmt.Errorf("disk: ballast: %w", context.Cause(ctx))
	}
	if err := b.create(ctx); err != nil {
		return fmt.Errorf("disk: ballast: %w", err)
	}
	return nil
}

// Release is a [remediate.Action]: it gives the room up. It returns
// remediate.ErrSkip where the file does not exist. Room that was given up before,
// by a try that was cut short, is no reason to skip: a skip owes no undo.
func (b *Ballast) Release(ctx context.Context, _ remediate.Request) error {
	if b.problem != nil {
		return b.problem
	}
	if ctx.Err() != nil {
		return fmt.Errorf("disk: ballast: %w", context.Cause(ctx))
	}
	switch err := b.release(); {
	case errors.Is(err, errNoBallast):
		return fmt.Errorf("%w: %w", err, remediate.ErrSkip)
	case err != nil:
		return fmt.Errorf("disk: ballast: %w", err)
	}
	return nil
}

var errNoBallast = errors.New("disk: there is no ballast to release: call Create while there is room")

// Restore is a [remediate.Action], the undo of Release: it takes the room again.
// Where the file does not exist there is nothing to put back. In a module it fails
// where taking the room would make the disk full again, so that a person learns
// that there is no ballast.
func (b *Ballast) Restore(ctx context.Context, _ remediate.Request) error {
	if b.problem != nil {
		return b.problem
	}
	if ctx.Err() != nil {
		return fmt.Errorf("disk: ballast: %w", context.Cause(ctx))
	}
	switch there, err := b.exists(); {
	case err != nil:
		return fmt.Errorf("disk: ballast: %w", err)
	case !there:
		return nil
	}
	if b.roomy != nil {
		if ok, err := b.roomy(); err != nil {
			return err
		} else if !ok {
			return fmt.Errorf("disk: there is not room enough to take the ballast of %s again: grow the volume, or make room", size(uint64(b.o.Bytes)))
		}
	}
	return b.Create(ctx)
}

// exists says whether there is a file at the path, of whatever kind.
func (b *Ballast) exists() (bool, error) {
	switch _, err := os.Lstat(b.o.Path); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, err
	}
}
