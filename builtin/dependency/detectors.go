package dependency

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// downDetector finds the targets that are down, by their probe or by the breaker
// of their client: one finding a target, whichever of the two knows it.
type downDetector struct {
	p      *pack
	prober *prober

	mu   sync.Mutex
	said map[string]statement // what the witnesses said of a target, and when
}

type statement struct {
	at   time.Time
	says string
}

func (d *downDetector) Validate() error { return d.p.problem }

func (d *downDetector) Detect(ctx context.Context) ([]detect.Finding, error) {
	if d.p.problem != nil {
		return nil, d.p.problem
	}
	if err := d.prober.ask(ctx); err != nil {
		return nil, err
	}
	verdicts := d.prober.verdicts()
	var found []detect.Finding
	var errs []error
	for i := range d.p.o.Targets {
		t := &d.p.o.Targets[i]
		v := verdicts[t.Name]
		var h health
		if t.Client != nil {
			h = t.Client.health()
		}
		if v.blind != nil {
			errs = append(errs, fmt.Errorf("dependency: target %s: %w", t.Name, v.blind))
		}
		if v.sick || h.sick {
			found = append(found, finding(t, &v, &h))
		}
	}
	d.explain(ctx, found, len(d.p.o.Targets))
	return found, errors.Join(errs...)
}

// finding has neither Value nor Limit: probes that failed in a row grow while a
// step settles, and that says nothing about the step.
func finding(t *Target, v *verdict, h *health) detect.Finding {
	f := detect.Finding{Key: t.Name, Severity: detect.Critical}
	if v.sick {
		f.Summary = "it answered, and is not well for sure yet"
		if v.last != nil {
			f.Summary = reason(v.last)
		}
		f.Evidence = append(f.Evidence, slog.Int("probes_failed_in_a_row", v.row))
		if v.hung > 0 {
			f.Evidence = append(f.Evidence, slog.Duration("check_hangs_for", v.hung))
		}
	}
	if h.sick {
		if f.Summary != "" {
			f.Summary += "; "
		}
		f.Summary += h.why
	}
	if t.Client != nil {
		f.Evidence = append(f.Evidence, slog.String("client", t.Client.Status().String()))
	}
	return f
}

// explain adds what tells a sick dependency from a sick process: how many others
// are down here, and whether peers see the same.
func (d *downDetector) explain(ctx context.Context, found []detect.Finding, of int) {
	if len(found) == 0 {
		if d.p.o.Witness != nil {
			d.mu.Lock()
			clear(d.said)
			d.mu.Unlock()
		}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, witnessTime) // for all of them
	defer cancel()
	for i := range found {
		f := &found[i]
		f.Evidence = append(f.Evidence, slog.String("targets_down", fmt.Sprintf("%d of %d", len(found), of)))
		if d.p.o.Witness != nil {
			f.Evidence = append(f.Evidence, slog.String("witnesses", d.heard(ctx, f.Key)))
		}
	}
}

// heard is what the witnesses say, asked again when it has grown old.
func (d *downDetector) heard(ctx context.Context, target string) string {
	d.mu.Lock()
	last, asked := d.said[target]
	d.mu.Unlock()
	if asked && time.Since(last.at) < witnessEvery {
		return last.says
	}
	o, err := d.p.witness(ctx, target)
	says := fmt.Sprintf("%d of %d peers see it too", o.Sick, o.Asked)
	if err != nil {
		says = "nobody could be asked: " + reason(err)
	}
	d.mu.Lock()
	d.said[target] = statement{time.Now(), says}
	d.mu.Unlock()
	return says
}

// degradedDetector finds clients of which many calls fail or are slow though the
// breaker holds.
type degradedDetector struct{ p *pack }

func (d *degradedDetector) Validate() error { return d.p.problem }

func (d *degradedDetector) Detect(context.Context) ([]detect.Finding, error) {
	if d.p.problem != nil {
		return nil, d.p.problem
	}
	var found []detect.Finding
	for i := range d.p.o.Targets {
		t := &d.p.o.Targets[i]
		if t.Client == nil {
			continue
		}
		h := t.Client.health()
		worst, what := h.failed, "failed"
		if h.slow > worst {
			worst, what = h.slow, "were slow"
		}
		if !h.judged || worst < d.p.o.WarnRate {
			continue
		}
		found = append(found, detect.Finding{
			Key: t.Name, Summary: fmt.Sprintf("%.0f%% of %d calls %s", 100*worst, h.calls, what),
			Value: 100 * worst, Limit: 100 * d.p.o.WarnRate, Unit: "%",
		})
	}
	return found, nil
}

// relapseDetector finds dependencies that fall down again as their callers return.
type relapseDetector struct{ p *pack }

// relapsesToPage is PLAYBOOKS.md, XS-2: a person is called when a dependency drops
// again during the ramp twice.
const relapsesToPage = 2

func (d *relapseDetector) Validate() error { return d.p.problem }

func (d *relapseDetector) Detect(context.Context) ([]detect.Finding, error) {
	if d.p.problem != nil {
		return nil, d.p.problem
	}
	var found []detect.Finding
	for i := range d.p.o.Targets {
		t := &d.p.o.Targets[i]
		if t.Client == nil {
			continue
		}
		if h := t.Client.health(); h.relapses >= relapsesToPage {
			found = append(found, detect.Finding{
				Key: t.Name, Severity: detect.Critical,
				Summary:  "it falls down again each time its callers return",
				Evidence: []slog.Attr{slog.Int("relapses", h.relapses), slog.String("last", h.why)},
			})
		}
	}
	return found, nil
}
