package queue

import (
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// finding says what is wrong with q, in words for every signal.
//
// It has numbers only where there is no ladder. From them the supervisor concludes
// whether a rung made it worse, and then undoes it: but what makes a queue longer
// is the load, which no rung here adds to, and a surge is the worst moment to stop
// shedding. Depth is among the evidence.
func (d *detector) finding(q *watched, r *reading, o *outlook, levels *[signals]level) detect.Finding {
	f := detect.Finding{Key: q.Name, Severity: d.severity, Evidence: evidence(q, r, o)}
	var parts []string
	for _, s := range d.signals {
		l := &levels[s]
		if s == depth && l.known && d.numbers {
			f.Value, f.Limit, f.Unit = l.value, l.limit, "items"
		}
		if q.sick[s] {
			parts = append(parts, d.words(s, q, r, o, l))
		}
	}
	f.Summary = strings.Join(parts, "; ")
	return f
}

// words is one signal in words.
func (d *detector) words(s signal, q *watched, r *reading, o *outlook, l *level) string {
	switch s {
	case depth:
		return number(l.value) + " items wait" + compare(l, number)
	case sojourn:
		return "each item waits " + short(seconds(l.value)) + " or more, a standing queue above " + short(seconds(l.limit))
	case drain:
		text := "draining takes " + short(o.drain)
		if o.drain >= never {
			text = "it never drains"
		}
		return text + compare(l, span) + rate(o)
	}
	text := "a new item waits " + short(o.wait)
	if r.age >= o.wait {
		text = "the head has waited " + short(r.age)
		if q.Age == nil {
			text = "nothing was taken for " + short(r.age)
		}
	}
	return text + compare(l, span)
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func span(v float64) string { return short(seconds(v)) }

// compare says how a value stands to its level.
func compare(l *level, write func(float64) string) string {
	if l.value > l.limit {
		return ", above " + write(l.limit)
	}
	return ", not yet below " + write(l.clear)
}

func rate(o *outlook) string {
	return " (" + perSecond(o.in) + " come, " + perSecond(o.out) + " leave)"
}

func perSecond(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) + "/s" }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// short is d in as many digits as a person needs.
func short(d time.Duration) string {
	switch {
	case d >= never:
		return "a day or more"
	case d >= 10*time.Second:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// evidence is what a person wants to see beside.
func evidence(q *watched, r *reading, o *outlook) []slog.Attr {
	var a []slog.Attr
	if r.hasDepth {
		a = append(a, slog.Int("depth", r.depth))
	}
	if q.Cap > 0 {
		a = append(a, slog.Int("capacity", q.Cap))
	}
	if r.hasAge {
		a = append(a, slog.Duration("age", r.age))
	}
	if o.known {
		a = append(a, slog.Float64("in_per_second", o.in), slog.Float64("out_per_second", o.out))
	}
	if q.Pool != nil {
		s := q.Pool.State()
		a = append(a, slog.Int("workers", s.Running), slog.Int("workers_target", s.Target))
		if s.Last != nil {
			a = append(a, slog.Uint64("worker_failures", s.Failures), slog.String("worker_error", s.Last.Error()))
		}
	}
	if q.Gate != nil {
		a = append(a, slog.String("refused", q.Gate.State().String()))
	}
	if q.Pause != nil {
		s := q.Pause.State()
		a = append(a, slog.Bool("producers_paused", s.Paused), slog.Int("producers_waiting", s.Waiting))
	}
	return a
}
