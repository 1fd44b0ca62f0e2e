package detect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Probe adapts a health check. An error of check is a finding with Key "" and
// the text of the error, folded into one line, as its summary.
//
// Two errors of the context are told apart from what the check found. When ctx,
// the context of the look, reached its deadline, the silence is the answer: the
// finding reads "no answer within 10s" and the error is its evidence. When ctx
// was cancelled, somebody stopped the look, and whatever check returned says
// nothing about health: that is blind. A context error while ctx is alive came
// from a context of the check's own, and is a finding like any other.
//
// A panic of check is not recovered here. The detector is safe for concurrent
// use if check is.
func Probe(check func(context.Context) error) Detector { return &probe{check: check} }

type probe struct {
	check func(context.Context) error
	last  atomic.Pointer[[1]Finding] // a check that fails the same way again needs no new finding
}

func (p *probe) Validate() error {
	if p.check == nil {
		return errors.New("detect: Probe has no check function: give it one")
	}
	return nil
}

func (p *probe) Detect(ctx context.Context) ([]Finding, error) {
	if p.check == nil {
		return nil, p.Validate()
	}
	began := time.Now()
	err := p.check(ctx)
	if err == nil {
		return nil, nil
	}
	switch ended := ctx.Err(); {
	case errors.Is(ended, context.Canceled):
		return nil, fmt.Errorf("detect: the probe was stopped: %w", err)
	case ended != nil && errors.Is(err, ended):
		f := Finding{Summary: "no answer in time", Evidence: []slog.Attr{slog.String("error", err.Error())}}
		if deadline, ok := ctx.Deadline(); ok {
			within := deadline.Sub(began)
			// The look began a moment after its timeout did.
			if round := within.Round(10 * time.Millisecond); round > 0 {
				within = round
			}
			f.Summary = "no answer within " + within.String()
		}
		return p.report(f), nil
	}
	text := oneLine(err.Error())
	if text == "" {
		text = "the probe failed without saying why"
	}
	return p.report(Finding{Summary: text}), nil
}

func (p *probe) report(f Finding) []Finding {
	if last := p.last.Load(); last != nil && last[0].Summary == f.Summary && sameEvidence(last[0].Evidence, f.Evidence) {
		return last[:]
	}
	out := &[1]Finding{f}
	p.last.Store(out)
	return out[:]
}
