package selfheal

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// histogram counts durations in fixed buckets. What is observed and the exemplars
// come from different goroutines: the tracer, which knows the trace, may be late or
// drop events, and no count may depend on it.
type histogram struct {
	bounds []float64 // upper ones, in seconds, ascending

	mu        sync.Mutex
	counts    []uint64 // by bucket; the last is beyond all bounds
	sum       float64
	exemplars []prometheus.Exemplar // the latest of each bucket
}

func newHistogram(bounds ...float64) *histogram {
	return &histogram{bounds: bounds, counts: make([]uint64, len(bounds)+1), exemplars: make([]prometheus.Exemplar, len(bounds)+1)}
}

func (h *histogram) bucket(seconds float64) int {
	n, _ := slices.BinarySearch(h.bounds, seconds) // bounds are inclusive
	return n
}

func (h *histogram) observe(d time.Duration) {
	v := max(d, 0).Seconds()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[h.bucket(v)]++
	h.sum += v
}

// exemplar names the trace of an observation.
func (h *histogram) exemplar(d time.Duration, traceID string, at time.Time) {
	v := max(d, 0).Seconds()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.exemplars[h.bucket(v)] = prometheus.Exemplar{Value: v, Labels: prometheus.Labels{"trace_id": traceID}, Timestamp: at}
}

func (h *histogram) metric(d *prometheus.Desc) (prometheus.Metric, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	buckets, n := make(map[float64]uint64, len(h.bounds)), uint64(0)
	for i, c := range h.counts {
		n += c
		if i < len(h.bounds) {
			buckets[h.bounds[i]] = n
		}
	}
	m, err := prometheus.NewConstHistogram(d, n, h.sum, buckets)
	if err != nil {
		return nil, err
	}
	var exemplars []prometheus.Exemplar
	for _, e := range h.exemplars {
		if e.Labels != nil {
			exemplars = append(exemplars, e)
		}
	}
	if len(exemplars) == 0 {
		return m, nil
	}
	return prometheus.NewMetricWithExemplars(m, exemplars...)
}
