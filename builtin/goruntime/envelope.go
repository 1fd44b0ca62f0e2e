package goruntime

import "time"

// points is how many windows a verdict rests on.
const points = 15

// series holds the latest values, oldest first.
type series struct {
	v [points]float64
	n int
}

func (s *series) push(x float64) {
	if s.n == points {
		copy(s.v[:], s.v[1:])
		s.n--
	}
	s.v[s.n] = x
	s.n++
}

func (s *series) values() []float64 { return s.v[:s.n] }

// envelope is the lower envelope of v seen from its end: at each point the least
// value that came there or later. What goes up and comes down again leaves no
// trace in it, so bursts and pools that shrink do not rise.
func envelope(v []float64) (e [points]float64) {
	for i := len(v) - 1; i >= 0; i-- {
		e[i] = v[i]
		if i+1 < len(v) {
			e[i] = min(e[i], e[i+1])
		}
	}
	return e
}

// sustained says by how much the lower envelope of v rose and whether it did so
// all the time: in each third of the points a fair share, in at least half of the
// steps something, towards the end not much slower than in the beginning, and still
// in the last step. A jump fails the first and second, what saturates the third, and
// what has come to rest the last. The last point only serves for that, because
// nothing after it confirms it yet.
func sustained(v []float64) (growth float64, ok bool) {
	n := len(v)
	if n < 9 {
		return 0, false
	}
	e := envelope(v)
	last := n - 2
	b, c := last/3, last*2/3
	first, second, third := e[b]-e[0], e[c]-e[b], e[last]-e[c]
	growth = e[last] - e[0]
	steps := 0
	for i := range last {
		if e[i+1] > e[i] {
			steps++
		}
	}
	fair := 0.2 * growth
	// The thirds may differ by a point in length; per point is what counts.
	early, late := first/float64(b), third/float64(last-c)
	going := v[n-1]-e[last] >= 0.5*growth/float64(last)
	ok = growth > 0 && first >= fair && second >= fair && third >= fair &&
		2*steps >= last && late >= 0.65*early && going
	return growth, ok
}

// slowing says whether a rise seen through longer windows has been losing speed for
// some time, as the last part of a rise to a steady state does. The first point may
// be the start of the program, and does not count.
func slowing(v []float64) bool {
	const recent = 7
	if len(v) > 0 {
		v = v[1:]
	}
	v = v[max(0, len(v)-recent):]
	n := len(v)
	if n < 5 {
		return false
	}
	e := envelope(v)
	half := (n - 1) / 2
	early := (e[half] - e[0]) / float64(half)
	late := (e[n-1] - e[half]) / float64(n-1-half)
	return late < 0.6*early
}

// attributed says whether a site is one that grows while the whole does, and by how
// much. That the growth lasts and does not slow down is known from the whole, whose
// points cost nothing and are evenly spaced. Looks at the sites may be few and far
// between: of less than six every step must go up, of more the half, with a fair
// share in each half.
func attributed(v []float64) (growth float64, ok bool) {
	n := len(v)
	if n < 4 {
		return 0, false
	}
	e := envelope(v)
	last, need := n-1, n-1
	if n >= 6 {
		last = n - 2 // nothing after the last point confirms it yet
		need = (last + 1) / 2
	}
	steps := 0
	for i := range last {
		if e[i+1] > e[i] {
			steps++
		}
	}
	growth = e[last] - e[0]
	first := e[last/2] - e[0]
	return growth, growth > 0 && steps >= need && first >= 0.2*growth && growth-first >= 0.2*growth
}

// explained says whether the count rose because more was asked for: by Little's
// law a count is an arrival rate times a mean life, so where the rate of creation
// rose with the count, third by third and by at least half of its share, longer
// lives are not what made it rise.
// created holds the counter at the end of each window of counts.
func explained(counts, created []float64) bool {
	n := len(counts)
	if n < 9 || len(created) < n {
		return false
	}
	third := (n - 1) / 3
	var level, rate [3]float64
	for k := range 3 {
		from := 1 + k*third
		for i := from; i < from+third; i++ {
			level[k] += counts[i]
			rate[k] += created[i] - created[i-1]
		}
	}
	for k := 1; k < 3; k++ {
		if rate[k-1] <= 0 || level[k-1] <= 0 {
			return false
		}
		if rate[k]/rate[k-1]-1 < 0.5*(level[k]/level[k-1]-1) {
			return false
		}
	}
	return true
}

// scale watches the count through windows of one length.
type scale struct {
	window time.Duration
	begun  bool
	end    time.Duration // of the window under way
	low    float64       // least count in it
	last   float64       // latest count of all

	lows    series
	created series
	rising  bool
	streak  int           // windows for which the rise has been sustained
	calm    int           // windows since it last rose
	taken   int           // snapshots in groups,
	noted   time.Duration // and when the latest came
	groups  map[*site]*series
}

// add takes a reading and says whether it completed a window.
func (s *scale) add(now time.Duration, count, created float64) bool {
	if !s.begun || now >= s.end+points*s.window {
		// The first reading, or one after so long a gap that nothing before it counts.
		groups := s.groups
		clear(groups)
		*s = scale{window: s.window, begun: true, end: now + s.window, low: count, last: count, groups: groups}
		return false
	}
	if now < s.end {
		s.low, s.last = min(s.low, count), count
		return false
	}
	s.close(s.low, created)
	for s.end += s.window; now >= s.end; s.end += s.window {
		s.close(min(s.last, count), created) // nobody looked during this one
	}
	s.low, s.last = count, count
	return true
}

func (s *scale) close(low, created float64) {
	s.lows.push(low)
	s.created.push(created)
}

// look judges whether grouping is worth its cost: did the envelope rise over the
// last few windows, to where it was in none before?
func (s *scale) look(atLeast float64) {
	const few = 5
	v := s.lows.values()
	s.rising = false
	if n := len(v); n >= few {
		e := envelope(v[n-few:])
		s.rising = e[few-1]-e[0] >= atLeast
		for _, before := range v[:n-few] {
			s.rising = s.rising && min(v[n-1], v[n-2]) > before
		}
	}
	if s.rising {
		s.calm = 0
		return
	}
	s.calm++
}

// note keeps a snapshot. A site that was not there before had none.
func (s *scale) note(now time.Duration, counts map[*site]int) {
	if s.groups == nil {
		s.groups = map[*site]*series{}
	}
	for at := range counts {
		if s.groups[at] == nil {
			fresh := &series{}
			for range min(s.taken, points) {
				fresh.push(0)
			}
			s.groups[at] = fresh
		}
	}
	for at, g := range s.groups {
		g.push(float64(counts[at]))
	}
	s.taken++
	s.noted = now
}

// forget drops the groups once they have been of no use for a whole round.
func (s *scale) forget() {
	clear(s.groups)
	s.taken = 0
}
