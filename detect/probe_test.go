package detect_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

func TestProbeErrorIsAFinding(t *testing.T) {
	var err error
	d := detect.Probe(func(context.Context) error { return err })
	assert.Empty(t, summaries(t, d))
	err = errors.New("connection refused")
	assert.Equal(t, detect.Finding{Summary: "connection refused"}, one(t, d))
	err = errors.Join(errors.New("no leader"), errors.New("disk full"))
	assert.Equal(t, []string{"no leader; disk full"}, summaries(t, d))
	err = errors.New("")
	assert.NotEmpty(t, summaries(t, d)[0])
	err = errors.New(strings.Repeat("é", 5000))
	assert.Less(t, len(summaries(t, d)[0]), 600)
	err = nil
	assert.Empty(t, summaries(t, d))
}

func TestProbeTellsItsOwnTimeoutFromAStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := detect.Probe(func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("ping: %w", ctx.Err())
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		found, err := hangs.Detect(ctx)
		require.NoError(t, err)
		require.Len(t, found, 1)
		assert.Equal(t, "no answer within 10s", found[0].Summary)
		assert.Equal(t, "ping: context deadline exceeded", found[0].Evidence[0].Value.String())

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		found, err = hangs.Detect(ctx)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Empty(t, found, "a look that was stopped accuses nobody")

		// Drivers do not always say that they were cancelled.
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		found, err = detect.Probe(func(context.Context) error { return errors.New("bad connection") }).Detect(ctx)
		assert.Error(t, err)
		assert.Empty(t, found)

		// A context of the check's own is the check's affair.
		for _, own := range []error{context.DeadlineExceeded, context.Canceled} {
			assert.Equal(t, []string{own.Error()}, summaries(t, detect.Probe(func(context.Context) error { return own })))
		}
	})
}

func TestProbeNil(t *testing.T) {
	assert.Contains(t, invalid(t, detect.Probe(nil)), "no check function")
}

func TestFuncNil(t *testing.T) {
	assert.Error(t, detect.Func(nil).Validate())
	assert.NoError(t, detect.Func(func(context.Context) ([]detect.Finding, error) { return nil, nil }).Validate())
}

func TestProbePanicPassesThrough(t *testing.T) {
	d := detect.Probe(func(context.Context) error { panic("boom") })
	assert.PanicsWithValue(t, "boom", func() { _, _ = d.Detect(context.Background()) })
}
