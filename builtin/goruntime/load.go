package goruntime

import "runtime/metrics"

// load is what the cheap metrics say.
type load struct {
	count   float64 // goroutines now
	created float64 // since the program began
	live    float64 // bytes of heap that the last collection left
}

// loadReader reads it without allocating.
type loadReader struct{ samples []metrics.Sample }

func newLoadReader() *loadReader {
	return &loadReader{samples: []metrics.Sample{
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/sched/goroutines-created:goroutines"},
		{Name: "/gc/heap/live:bytes"},
	}}
}

func (r *loadReader) read() load {
	metrics.Read(r.samples)
	return load{count: number(r.samples[0]), created: number(r.samples[1]), live: number(r.samples[2])}
}

// number is a metric as a float64, and 0 where this runtime does not have it.
func number(s metrics.Sample) float64 {
	switch s.Value.Kind() {
	case metrics.KindUint64:
		return float64(s.Value.Uint64())
	case metrics.KindFloat64:
		return s.Value.Float64()
	}
	return 0
}
