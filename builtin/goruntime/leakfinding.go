package goruntime

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// The values of the label "verdict" of a leak.
const (
	Proven    = "proven"    // the runtime showed that nothing can ever wake them
	Suspected = "suspected" // their number only ever rises
)

// leak is one line of the verdict.
type leak struct {
	at      *site
	verdict string
	count   float64
	growth  float64
	over    time.Duration
	limit   float64
	stack   []uintptr
}

// nobody is the site of a rise that cannot be told apart.
func (s *sites) nobody() *site {
	const key = ""
	if s.byKey[key] == nil {
		s.byKey[key] = &site{key: key}
	}
	return s.byKey[key]
}

// findings reports proofs, and suspicions of sites of which there is no proof.
func (d *LeakDetector) findings(now time.Duration) []detect.Finding {
	var leaks []leak
	for at, x := range d.proofs.found {
		if d.proofs.proven(x) {
			leaks = append(leaks, leak{
				at: at, verdict: Proven, count: float64(x.count),
				growth: float64(x.count - x.first), over: d.proofs.last - x.since, stack: x.stack,
			})
		}
	}
	for at, s := range d.suspects {
		if x := d.proofs.found[at]; x != nil && d.proofs.proven(x) {
			i := slices.IndexFunc(leaks, func(l leak) bool { return l.at == at })
			// The envelope has watched for longer than the proof.
			if grown := s.count - s.baseline; grown > leaks[i].growth {
				leaks[i].growth, leaks[i].over = grown, now-s.since
			}
			continue
		}
		leaks = append(leaks, leak{
			at: at, verdict: Suspected, count: s.count, growth: s.count - s.baseline,
			over: now - s.since, limit: s.baseline, stack: s.stack,
		})
	}
	slices.SortFunc(leaks, func(a, b leak) int {
		return cmp.Or(strings.Compare(a.verdict, b.verdict), cmp.Compare(b.count, a.count), strings.Compare(a.at.key, b.at.key))
	})
	findings := make([]detect.Finding, len(leaks))
	for i, l := range leaks {
		findings[i] = d.finding(l)
	}
	return findings
}

func (d *LeakDetector) finding(l leak) detect.Finding {
	var b strings.Builder
	fmt.Fprintf(&b, "%s goroutine leak: %s", l.verdict, counted(l.count))
	labels := map[string]string{"verdict": l.verdict}
	var evidence []slog.Attr
	if l.at.key == "" {
		b.WriteString(" in all, more than are grouped")
	} else {
		fmt.Fprintf(&b, " started at %s", l.at.key)
		labels["function"] = l.at.function
		labels["file"] = fmt.Sprintf("%s:%d", l.at.file, l.at.line)
	}
	over := l.over.Round(time.Second)
	if over < time.Second {
		over = l.over.Round(time.Millisecond)
	}
	perMinute := 0.0
	if l.over > 0 {
		perMinute = l.growth / l.over.Minutes()
	}
	switch {
	case l.growth > 0:
		fmt.Fprintf(&b, ", %.0f more in %v", l.growth, over)
	case l.verdict == Proven:
		b.WriteString(", not growing")
	}
	waits := d.names.where(l.stack)
	if waits != "" {
		fmt.Fprintf(&b, ", most at %s", waits)
	}
	evidence = append(evidence,
		slog.Float64("goroutines", l.count),
		slog.Float64("growth", l.growth),
		slog.Float64("growth_per_minute", perMinute),
		slog.Duration("over", l.over),
		slog.String("waits_at", waits),
		slog.String("stack", text(l.stack)),
	)
	f := detect.Finding{
		Key: l.at.key, Summary: b.String(), Value: l.count, Limit: l.limit, Unit: "goroutines",
		Labels: labels, Evidence: evidence,
	}
	if d.o.Critical >= 0 && l.count >= float64(d.o.Critical) {
		f.Severity = detect.Critical
	}
	return f
}

func counted(n float64) string {
	if n == 1 {
		return "1 goroutine"
	}
	return fmt.Sprintf("%.0f goroutines", n)
}
