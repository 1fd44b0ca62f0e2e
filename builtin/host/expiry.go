package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

const day = 24 * time.Hour

// fullLife is the life of a certificate for which the levels are meant; a shorter
// one shortens them.
const fullLife = 90 * day

func (o Options) expiryLevels() []time.Duration {
	if o.ExpiryLevels != nil {
		return o.ExpiryLevels
	}
	return []time.Duration{29 * day, 14 * day, 7 * day, day}
}

// expiry watches how long certificates are still good (LX-8).
type expiry struct {
	invalid error
	levels  []time.Duration
	all     []*expiring

	mu sync.Mutex
}

// expiring is one certificate: at most one notice is shown for each level that was
// crossed while it was watched, and for one that begins deep only the deepest.
type expiring struct {
	Certificate
	file  certFile
	shown []bool // by level
}

func newExpiry(o Options) *expiry {
	e := &expiry{invalid: o.certificatesProblem(), levels: o.expiryLevels()}
	for _, c := range o.Certificates {
		e.all = append(e.all, &expiring{Certificate: c, file: certFile{path: c.file()}, shown: make([]bool, len(e.levels))})
	}
	return e
}

func (e *expiry) Validate() error { return e.invalid }

func (e *expiry) Detect(ctx context.Context) ([]detect.Finding, error) {
	if e.invalid != nil {
		return nil, e.invalid
	}
	var found []detect.Finding
	var errs []error
	for _, c := range e.all {
		// What is presented is asked for without the lock.
		var shown chain
		var err error
		if c.serves() {
			shown, err = c.served(ctx)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		e.mu.Lock()
		inFile := chain(nil)
		if c.file.path != "" {
			var fileErr error
			if inFile, fileErr = c.file.read(); fileErr != nil {
				err = errors.Join(err, fileErr)
			}
		}
		found = append(found, c.judge(e.levels, time.Now(), inFile, shown, err == nil)...)
		e.mu.Unlock()
		if err != nil {
			errs = append(errs, err)
		}
	}
	return found, errors.Join(errs...)
}

// judge takes in what is in the file and what is presented; whole says that both are
// known where there are both, so that a level may be cleared.
func (c *expiring) judge(levels []time.Duration, now time.Time, inFile, presented chain, whole bool) []detect.Finding {
	var worst *ending
	for _, x := range []struct {
		where string
		chain chain
	}{{"served ", presented}, {"", inFile}} {
		if len(x.chain) == 0 {
			continue
		}
		if e := endingOf(x.chain, x.where, now); worst == nil || e.share() < worst.share() {
			worst = e
		}
	}
	if worst == nil {
		return nil
	}
	if len(inFile) > 0 && len(presented) > 0 && len(levels) > 0 {
		e := endingOf(inFile, "", now)
		worst.renewed = worst.where != "" && e.left >= e.level(levels[0])
	}
	deepest := -1
	for i, l := range levels {
		if worst.left < worst.level(l) {
			deepest = i
		}
	}
	if deepest >= 0 {
		c.shown[deepest] = true
	}
	if whole {
		clear(c.shown[deepest+1:])
	}
	var found []detect.Finding
	if worst.early > 0 {
		found = append(found, c.finding(worst, "not yet valid", detect.Critical,
			fmt.Sprintf("the %s of %s is not valid before %s, in %s", worst.role, c.name(), worst.from.UTC().Format(time.DateTime), roughly(worst.early)), 0))
	}
	for i, shown := range c.shown {
		if shown {
			found = append(found, c.levelFinding(worst, levels[i], i >= len(levels)-2))
		}
	}
	return found
}

func (c *expiring) levelFinding(e *ending, level time.Duration, grave bool) detect.Finding {
	severity := detect.Warning
	if grave {
		severity = detect.Critical
	}
	text := fmt.Sprintf("the %s of %s ends in %s, at %s", e.role, c.name(), roughly(e.left), e.until.UTC().Format(time.DateTime))
	if e.left <= 0 {
		text = fmt.Sprintf("the %s of %s ended %s ago, at %s", e.role, c.name(), roughly(-e.left), e.until.UTC().Format(time.DateTime))
	}
	return c.finding(e, roughly(level), severity, text, level)
}

func (c *expiring) finding(e *ending, key string, severity detect.Severity, text string, level time.Duration) detect.Finding {
	labels := map[string]string{certificateLabel: c.name()}
	if e.authority {
		labels[authorityLabel] = e.role
	}
	if e.renewed {
		labels[renewedLabel] = "in the file"
	}
	f := detect.Finding{
		Key: c.name() + ": " + key, Severity: severity, Summary: text, Labels: labels,
		Evidence: []slog.Attr{slog.String("serial", e.serial)},
	}
	if level > 0 {
		f.Value, f.Limit, f.Unit = e.left.Hours()/24, e.level(level).Hours()/24, "days"
	}
	return f
}

// ending is the certificate of a chain that ends first.
type ending struct {
	where, role string // "served " or "", and what it is
	serial      string
	authority   bool
	renewed     bool // the file has what is not short, what is served is
	from, until time.Time
	left, life  time.Duration
	early       time.Duration // until the chain is valid at all
}

func endingOf(c chain, where string, now time.Time) *ending {
	cert, role := c.first()
	e := &ending{
		where: where, role: where + role, serial: cert.SerialNumber.Text(16), authority: cert != c[0],
		from: cert.NotBefore, until: cert.NotAfter, left: cert.NotAfter.Sub(now), life: cert.NotAfter.Sub(cert.NotBefore),
	}
	for _, x := range c {
		if d := x.NotBefore.Sub(now); d > e.early {
			e.early, e.from = d, x.NotBefore
		}
	}
	return e
}

// level is l for a certificate that lives so long.
func (e *ending) level(l time.Duration) time.Duration {
	if e.life >= fullLife || e.life <= 0 {
		return l
	}
	return time.Duration(float64(l) * float64(e.life) / float64(fullLife))
}

// share is what is left, in comparison with others.
func (e *ending) share() float64 { return float64(e.left) / float64(e.level(fullLife)) }

// roughly writes a time as people do: 29d, 5h, 12m.
func roughly(d time.Duration) string {
	switch {
	case d >= 2*day || d >= day && d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d >= time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dm", d/time.Minute)
}

// staleness watches whether what is served is what is in the file.
type staleness struct {
	invalid error
	all     []*expiring
	mu      sync.Mutex
}

func newStale(o Options) *staleness {
	s := &staleness{invalid: o.certificatesProblem()}
	for _, c := range o.Certificates {
		if c.file() != "" && c.serves() {
			s.all = append(s.all, &expiring{Certificate: c, file: certFile{path: c.file()}})
		}
	}
	return s
}

func (s *staleness) Validate() error { return s.invalid }

func (s *staleness) Detect(ctx context.Context) ([]detect.Finding, error) {
	if s.invalid != nil {
		return nil, s.invalid
	}
	var found []detect.Finding
	var errs []error
	for _, c := range s.all {
		presented, err := c.served(ctx)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s.mu.Lock()
		inFile, fileErr := c.file.read()
		s.mu.Unlock()
		if err != nil || fileErr != nil {
			errs = append(errs, err, fileErr)
			continue
		}
		if presented.same(inFile) {
			continue
		}
		f := detect.Finding{
			Key: c.name(), Labels: map[string]string{certificateLabel: c.name()},
			Summary: fmt.Sprintf("%s serves a certificate until %s, and the file has one until %s", c.name(),
				presented[0].NotAfter.UTC().Format(time.DateTime), inFile[0].NotAfter.UTC().Format(time.DateTime)),
			Evidence: []slog.Attr{
				slog.String("served serial", presented[0].SerialNumber.Text(16)),
				slog.String("file serial", inFile[0].SerialNumber.Text(16)),
			},
		}
		found = append(found, f)
	}
	return found, errors.Join(errs...)
}
