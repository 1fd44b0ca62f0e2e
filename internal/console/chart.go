package console

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// chart is the watched value over time with the moments of action on it, ready
// to be drawn: all of its attributes are numbers.
type chart struct {
	Runs     []string // of points; a gap lies between two, where nothing was found
	Well     []band   // those gaps
	HasLimit bool
	LimitY   string
	Marks    []chartMark
	Label    string // what somebody hears who cannot see it
	Axis     string
}

type chartMark struct{ X, Kind, Text string }

type band struct{ X, W string }

// The room to draw in, and what of it is margin.
const (
	chartWidth  = 320.0
	chartHeight = 72.0
	chartMargin = 6.0
	mostMarks   = 12
)

// newChart draws an incident with at most that many points; nil where there is
// nothing to see.
func newChart(in *Incident, points int) *chart {
	if len(in.Samples) < 2 || !hasValues(in.Samples) && in.Limit == 0 {
		return nil
	}
	from, to := in.Samples[0].At, in.Samples[len(in.Samples)-1].At
	for _, m := range in.Marks {
		if m.At.After(to) {
			to = m.At
		}
	}
	span := to.Sub(from)
	if span <= 0 {
		return nil
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, s := range in.Samples {
		if !s.Clear {
			low, high = min(low, s.Value), max(high, s.Value)
		}
	}
	if math.IsInf(low, 1) {
		return nil
	}
	c := &chart{HasLimit: in.Limit != 0}
	c.Label = "Value " + number(low, in.Unit)
	if low != high {
		c.Label = fmt.Sprintf("Value between %s and %s", number(low, in.Unit), number(high, in.Unit))
	}
	if c.HasLimit {
		low, high = min(low, in.Limit), max(high, in.Limit)
		c.Label += ", limit " + number(in.Limit, in.Unit)
	}
	if high == low {
		low, high = low-1, high+1
	}
	x := func(t time.Time) string {
		return coordinate(chartWidth * min(max(float64(t.Sub(from))/float64(span), 0), 1))
	}
	y := func(v float64) string {
		return coordinate(chartMargin + (chartHeight-2*chartMargin)*(1-(v/2-low/2)/(high/2-low/2)))
	}
	c.LimitY = y(in.Limit)
	var run strings.Builder
	flush := func() {
		if run.Len() > 0 {
			c.Runs = append(c.Runs, strings.TrimSpace(run.String()))
		}
		run.Reset()
	}
	every := (len(in.Samples) + points - 1) / points
	for n, s := range in.Samples {
		if n%every != 0 && n != len(in.Samples)-1 && !s.Clear {
			continue
		}
		if s.Clear {
			flush()
			end := to
			if n+1 < len(in.Samples) {
				end = in.Samples[n+1].At
			}
			c.Well = append(c.Well, band{x(s.At), coordinate(chartWidth * max(float64(end.Sub(s.At))/float64(span), 0))})
			continue
		}
		run.WriteString(x(s.At) + "," + y(s.Value) + " ")
	}
	flush()
	for _, m := range in.Marks {
		switch m.Kind {
		case "start", "step", "undo", "page", "approve", "reject":
			if len(c.Marks) >= mostMarks {
				continue
			}
			c.Marks = append(c.Marks, chartMark{x(m.At), m.Kind, clock(m.At) + " " + cut(m.Text, longestName)})
		}
	}
	c.Label += fmt.Sprintf(", %d actions, over %s", len(c.Marks), short(span))
	c.Axis = c.Label
	return c
}

func hasValues(samples []Sample) bool {
	for _, s := range samples {
		if s.Value != 0 {
			return true
		}
	}
	return false
}

// coordinate is a number that fits an attribute, whatever was read.
func coordinate(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0
	}
	return strconv.FormatFloat(f, 'f', 1, 64)
}

func number(v float64, unit string) string {
	s := strconv.FormatFloat(v, 'g', 6, 64)
	if unit != "" {
		s += " " + unit
	}
	return s
}
