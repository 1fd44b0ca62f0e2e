package host

import (
	"strconv"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

// Early is the key of the first of two thresholds, alone or after the name of what
// is affected ("cpu early"): a warning, on which a ladder does only what nobody
// notices. The other has the key "" or that name, and is Critical. They are two
// keys because an incident climbs its ladder once: it could not climb again when a
// warning turns into more. What is acute at once raises no warning beside it.
const Early = "early"

// early is the key of the warning about key.
func early(key string) string {
	if key == "" {
		return Early
	}
	return key + " " + Early
}

// stages latches two thresholds until the value is below the clear level of both.
type stages struct{ early, acute bool }

// move takes in one reading: whether it is beyond the first threshold, beyond the
// second, and well.
func (s *stages) move(warn, act, well bool) {
	if well {
		*s = stages{}
		return
	}
	s.acute = s.acute || act
	s.early = s.early || warn && !s.acute
}

// ripening withholds a warning until it has lasted, and where it becomes acute before.
type ripening struct {
	on, ripe bool
	since    time.Duration
}

// of is s at now without a warning that has lasted less than long.
func (r *ripening) of(s stages, now, long time.Duration) stages {
	if !s.early {
		*r = ripening{}
		return s
	}
	if !r.on {
		r.on, r.since = true, now
	}
	r.ripe = r.ripe || !s.acute && now-r.since >= long
	s.early = r.ripe
	return s
}

func (s *stages) any() bool { return s.early || s.acute }

// judge is move for one value.
func (s *stages) judge(l Levels, v float64) { s.move(v > l.Early, v > l.Act, v < l.Clear) }

// Levels are the two thresholds of a watch and the level below which both end.
// Each watch says of what they are shares, from 0 to 1, and which are its defaults.
type Levels struct {
	// Early warns: people are told, and steps that nobody notices run.
	Early float64
	// Act climbs the ladder.
	Act float64
	// Clear ends both. It must not be above Early.
	Clear float64
}

func (l Levels) or(d Levels) Levels {
	fill(&l.Early, d.Early)
	fill(&l.Act, d.Act)
	fill(&l.Clear, d.Clear)
	return l
}

func fill[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// findings are those of one value: the summary is completed by what is allowed, and
// Value and Limit are in unit, of which a share of 1 is scale.
func (s *stages) findings(key, summary, unit string, l Levels, v, scale float64, show func(float64) string) []detect.Finding {
	var out []detect.Finding
	add := func(key string, limit float64, severity detect.Severity) {
		f := detect.Finding{Key: key, Severity: severity, Summary: summary, Value: v * scale, Limit: limit * scale, Unit: unit}
		if v > limit {
			f.Summary += ", above " + show(limit)
		} else {
			f.Summary += ", not yet below " + show(l.Clear)
		}
		out = append(out, f)
	}
	if s.acute {
		add(key, l.Act, detect.Critical)
	}
	if s.early {
		add(early(key), l.Early, detect.Warning)
	}
	return out
}

// percent writes a share: 0.1234 is "12.3 %".
func percent(share float64) string { return strconv.FormatFloat(100*share, 'g', 3, 64) + " %" }
