package evidence

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"

	"github.com/selfheal-go/selfheal/escalate"
)

// IncidentFile is incident.json: the incident as notifications have it.
func IncidentFile() Part {
	return Part{Name: "incident.json", Type: JSONType, Write: func(_ context.Context, in escalate.Incident, w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "\t")
		return e.Encode(in)
	}}
}

// Metrics is metrics.txt: all of runtime/metrics, by name. Of a histogram it has
// the count, and upper bounds of its quantiles.
func Metrics() Part {
	return Part{Name: "metrics.txt", Type: TextType, Write: func(_ context.Context, _ escalate.Incident, w io.Writer) error {
		all := metrics.All()
		samples := make([]metrics.Sample, len(all))
		for i := range all {
			samples[i].Name = all[i].Name
		}
		metrics.Read(samples)
		b := bufio.NewWriter(w)
		for _, s := range samples {
			switch s.Value.Kind() {
			case metrics.KindUint64:
				fmt.Fprintf(b, "%s %d\n", s.Name, s.Value.Uint64())
			case metrics.KindFloat64:
				fmt.Fprintf(b, "%s %g\n", s.Name, s.Value.Float64())
			case metrics.KindFloat64Histogram:
				fmt.Fprintf(b, "%s %s\n", s.Name, quantiles(s.Value.Float64Histogram()))
			}
		}
		return b.Flush()
	}}
}

func quantiles(h *metrics.Float64Histogram) string {
	var count uint64
	for _, n := range h.Counts {
		count += n
	}
	text := fmt.Sprintf("count=%d", count)
	if count == 0 {
		return text
	}
	for _, q := range []struct {
		name string
		of   float64
	}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}} {
		text += fmt.Sprintf(" %s<=%g", q.name, quantile(h, uint64(math.Ceil(q.of*float64(count)))))
	}
	return text
}

// quantile is the upper bound of the bucket with the rank-th value, or its lower
// bound where the upper one is infinite.
func quantile(h *metrics.Float64Histogram, rank uint64) float64 {
	var seen uint64
	for i, n := range h.Counts {
		seen += n
		if seen >= rank {
			if top := h.Buckets[i+1]; !math.IsInf(top, 1) {
				return top
			}
			return h.Buckets[i]
		}
	}
	return math.NaN()
}

// Build is build.txt: which program this is. Linker flags are left out, because
// -X can hold values that nobody should see.
func Build() Part {
	return Part{Name: "build.txt", Type: TextType, Write: func(_ context.Context, _ escalate.Incident, w io.Writer) error {
		text := fmt.Sprintf("%s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
		if info, ok := debug.ReadBuildInfo(); ok {
			text += buildText(info)
		}
		_, err := io.WriteString(w, text)
		return err
	}}
}

func buildText(info *debug.BuildInfo) string {
	var b strings.Builder
	for line := range strings.Lines(info.String()) {
		if !strings.HasPrefix(line, "build\t-ldflags=") {
			b.WriteString(line)
		}
	}
	return b.String()
}
