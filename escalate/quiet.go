package escalate

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Quiet are the hours in which only what is critical calls people. Everything
// else is held: what is still open when they end is told then, and what began
// and ended meanwhile is one digest. Whoever was told before is told at once
// that it is over, and Policy.Inform is told of everything at any hour.
//
// The zero value is never quiet.
type Quiet struct {
	// Zone is where the clock hangs that Windows are read from. Required with
	// Windows; time.Local and time.UTC will do.
	Zone *time.Location
	// Windows may overlap and follow each other without a gap.
	Windows []Window
}

// A Window is a span of the week, by the clock on the wall: where daylight
// saving skips or repeats an hour, it begins and ends when the clock first
// reads that time or a later one, so that it neither tears nor comes twice.
type Window struct {
	// Days are those on which it begins. Empty: every day.
	Days []time.Weekday
	// From and To are times of day, counted from midnight: 22*time.Hour is
	// 22:00. A To that is not after From is on the next day; a whole day is 0 to
	// 24 h.
	From, To time.Duration
}

const day = 24 * time.Hour

// Until says whether it is quiet at t, and when that ends. Hours that never end
// are not quiet: see [Policy.Validate].
func (q Quiet) Until(t time.Time) (end time.Time, quiet bool) {
	if len(q.Windows) == 0 || q.Zone == nil {
		return time.Time{}, false
	}
	end = t
	for end.Sub(t) < 8*day {
		next := q.covers(end)
		if !next.After(end) {
			return end, end.After(t)
		}
		end = next
	}
	return time.Time{}, false
}

// covers is the latest end of the windows that t lies in; zero when in none.
func (q Quiet) covers(t time.Time) time.Time {
	var end time.Time
	year, month, today := t.In(q.Zone).Date()
	for _, w := range q.Windows {
		// The clock may show a day more or less than the one on which the window
		// began, and stepping back over midnight shows yesterday again.
		for back := -1; back <= 2; back++ {
			// The days of the calendar are those of UTC, which has no odd ones.
			date := time.Date(year, month, today-back, 0, 0, 0, 0, time.UTC)
			if len(w.Days) > 0 && !slices.Contains(w.Days, date.Weekday()) {
				continue
			}
			from, to := q.reads(date.Add(w.From)), q.reads(date.Add(w.length()))
			if !t.Before(from) && t.Before(to) && to.After(end) {
				end = to
			}
		}
	}
	return end
}

// length is the end of the window, counted from the midnight before its begin.
func (w Window) length() time.Duration {
	if w.To <= w.From {
		return w.To + day
	}
	return w.To
}

// reads is the first moment at which the clock of the zone shows that time or a
// later one. The time is given as if it were UTC.
func (q Quiet) reads(clock time.Time) time.Time {
	t := clock.Add(-day) // no zone is that far away
	for {
		in := t.In(q.Zone)
		_, offset := in.Zone()
		_, changes := in.ZoneBounds()
		at := clock.Add(-time.Duration(offset) * time.Second)
		if at.Before(t) {
			at = t // the clock jumped over it
		}
		if changes.IsZero() || at.Before(changes) {
			return at
		}
		t = changes
	}
}

// problems is what is wrong with q.
func (q Quiet) problems() []error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("escalate: policy: Quiet"+format, args...))
	}
	for i, w := range q.Windows {
		at := fmt.Sprintf(".Windows[%d]", i)
		switch {
		case w.From < 0 || w.From >= day:
			wrong("%s: From is %v: use a time of day, from 0 to less than 24 h", at, w.From)
		case w.To < 0 || w.To > day:
			wrong("%s: To is %v: use a time of day, from 0 to 24 h", at, w.To)
		case w.From == w.To:
			wrong("%s begins and ends at %v: use 0 and 24 h for a whole day, or drop it", at, w.From)
		}
		for _, d := range w.Days {
			if d < time.Sunday || d > time.Saturday {
				wrong("%s: day %d is not one of the week: use time.Sunday to time.Saturday", at, int(d))
			}
		}
	}
	if len(errs) > 0 || len(q.Windows) == 0 {
		return errs
	}
	if q.Zone == nil {
		wrong(".Zone is not set: say whose clock is meant: time.Local, time.UTC, or what time.LoadLocation returns")
		return errs
	}
	// A week without daylight saving will do: windows are told apart by clock.
	if _, ends := (Quiet{time.UTC, q.Windows}).Until(time.Unix(0, 0)); !ends && !(Quiet{time.UTC, q.Windows}).covers(time.Unix(0, 0)).IsZero() {
		wrong(" never ends: leave a gap between the windows, or raise Level.Min so that only what is critical calls people")
	}
	return errs
}

type quietJSON struct {
	Zone    string       `json:"zone"`
	Windows []windowJSON `json:"windows"`
}

type windowJSON struct {
	Days []time.Weekday `json:"days,omitempty"` // 0 is Sunday
	From time.Duration  `json:"from_ns"`
	To   time.Duration  `json:"to_ns"`
}

// MarshalJSON writes the windows and the name of the zone.
func (q Quiet) MarshalJSON() ([]byte, error) {
	var v quietJSON
	if q.Zone != nil {
		v.Zone = q.Zone.String()
	}
	for _, w := range q.Windows {
		v.Windows = append(v.Windows, windowJSON(w))
	}
	return json.Marshal(v)
}

// UnmarshalJSON reads what MarshalJSON writes. Where this machine does not know
// the zone it is never quiet: people are rather told too early than not at all.
func (q *Quiet) UnmarshalJSON(data []byte) error {
	var v quietJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("escalate: quiet hours: %w", err)
	}
	*q = Quiet{}
	if len(v.Windows) == 0 || v.Zone == "" {
		return nil
	}
	zone, err := time.LoadLocation(v.Zone)
	if err != nil {
		return nil
	}
	q.Zone = zone
	for _, w := range v.Windows {
		q.Windows = append(q.Windows, Window(w))
	}
	return nil
}
