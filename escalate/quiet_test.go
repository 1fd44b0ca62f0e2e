package escalate_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

func zone(t testing.TB, name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Skipf("the time zone database is missing: install tzdata (%v)", err)
	}
	return z
}

func hm(h, m int) time.Duration { return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute }

func TestQuietUntil(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	night := escalate.Window{From: hm(22, 0), To: hm(7, 0)}
	weekend := escalate.Window{Days: []time.Weekday{time.Saturday, time.Sunday}, To: hm(24, 0)}
	friday := escalate.Window{Days: []time.Weekday{time.Friday}, From: hm(22, 0), To: hm(7, 0)}
	skipped := escalate.Window{From: hm(2, 15), To: hm(2, 45)}   // does not exist on 29 March
	toSkipped := escalate.Window{From: hm(1, 0), To: hm(2, 30)}  // ends in the hour that is skipped
	doubled := escalate.Window{From: hm(2, 15), To: hm(2, 45)}   // is there twice on 25 October
	toDoubled := escalate.Window{From: hm(22, 0), To: hm(2, 30)} // ends in the hour that is there twice
	for _, test := range []struct {
		name    string
		windows []escalate.Window
		at, end string // with offset; "" is not quiet
	}{
		{"before", []escalate.Window{night}, "2026-03-02T21:59:59+01:00", ""},
		{"at its begin", []escalate.Window{night}, "2026-03-02T22:00:00+01:00", "2026-03-03T07:00:00+01:00"},
		{"past midnight", []escalate.Window{night}, "2026-03-03T06:59:59+01:00", "2026-03-03T07:00:00+01:00"},
		{"at its end", []escalate.Window{night}, "2026-03-03T07:00:00+01:00", ""},
		{"no such day", []escalate.Window{friday}, "2026-03-05T23:00:00+01:00", ""},
		{"the day of its begin", []escalate.Window{friday}, "2026-03-07T06:00:00+01:00", "2026-03-07T07:00:00+01:00"},
		{"not the day of its end", []escalate.Window{friday}, "2026-03-06T06:00:00+01:00", ""},
		{"a whole day", []escalate.Window{weekend}, "2026-03-08T23:00:00+01:00", "2026-03-09T00:00:00+01:00"},
		{"one after the other", []escalate.Window{friday, weekend, night}, "2026-03-06T23:00:00+01:00", "2026-03-09T07:00:00+01:00"},
		{"a shorter night", []escalate.Window{night}, "2026-03-28T23:00:00+01:00", "2026-03-29T07:00:00+02:00"},
		{"a longer night", []escalate.Window{night}, "2026-10-24T23:00:00+02:00", "2026-10-25T07:00:00+01:00"},
		{"an hour that is skipped", []escalate.Window{skipped}, "2026-03-29T03:00:00+02:00", ""},
		{"before that", []escalate.Window{skipped}, "2026-03-29T01:59:59+01:00", ""},
		{"an end that is skipped", []escalate.Window{toSkipped}, "2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00"},
		{"an hour that is doubled", []escalate.Window{doubled}, "2026-10-25T02:20:00+02:00", "2026-10-25T02:45:00+02:00"},
		{"not twice", []escalate.Window{doubled}, "2026-10-25T02:20:00+01:00", ""},
		{"an end that is doubled", []escalate.Window{toDoubled}, "2026-10-25T02:29:00+02:00", "2026-10-25T02:30:00+02:00"},
		{"not again", []escalate.Window{toDoubled}, "2026-10-25T02:10:00+01:00", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			at, err := time.Parse(time.RFC3339, test.at)
			require.NoError(t, err)
			end, quiet := escalate.Quiet{Zone: berlin, Windows: test.windows}.Until(at)
			require.Equal(t, test.end != "", quiet)
			if quiet {
				want, err := time.Parse(time.RFC3339, test.end)
				require.NoError(t, err)
				require.Equal(t, want.UTC(), end.UTC())
			}
		})
	}
	_, quiet := escalate.Quiet{}.Until(time.Now())
	require.False(t, quiet)
	_, quiet = escalate.Quiet{Zone: time.UTC, Windows: []escalate.Window{{To: hm(24, 0)}}}.Until(time.Now())
	require.False(t, quiet, "what never ends holds nothing")
}

// Midnight itself is skipped in some places, and half an hour in others.
func TestQuietUntilInOddZones(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, name := range []string{"America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia", "America/St_Johns", "Europe/Dublin"} {
		z := zone(t, name)
		q := escalate.Quiet{Zone: z, Windows: []escalate.Window{
			{From: hm(23, 30), To: hm(0, 30)}, {Days: []time.Weekday{time.Sunday}, To: hm(6, 0)}, {From: hm(1, 45), To: hm(2, 15)},
		}}
		for range 3000 {
			at := time.Unix(1_300_000_000+r.Int64N(500_000_000), r.Int64N(1e9))
			end, quiet := q.Until(at)
			if !quiet {
				continue
			}
			if !end.After(at) || end.Sub(at) > 27*time.Hour {
				t.Fatalf("%s: quiet at %v until %v", name, at.In(z), end.In(z))
			}
			if _, still := q.Until(end); still {
				t.Fatalf("%s: quiet until %v, and then still", name, end.In(z))
			}
			if again, quiet := q.Until(end.Add(-1)); !quiet || !again.Equal(end) {
				t.Fatalf("%s: quiet at %v until %v, but a moment before until %v", name, at.In(z), end.In(z), again.In(z))
			}
		}
	}
}

func FuzzQuiet(f *testing.F) {
	f.Add(int64(0), int64(hm(22, 0)), int64(hm(7, 0)), uint8(0))
	f.Add(int64(1_774_749_600), int64(hm(2, 15)), int64(hm(2, 45)), uint8(0x41))
	f.Fuzz(func(t *testing.T, unix, from, to int64, days uint8) {
		q := escalate.Quiet{Zone: time.UTC, Windows: []escalate.Window{{From: time.Duration(from), To: time.Duration(to)}}}
		for d := range 7 {
			if days&(1<<d) != 0 {
				q.Windows[0].Days = append(q.Windows[0].Days, time.Weekday(d))
			}
		}
		if len((escalate.Policy{Levels: escalate.To(note).Levels, Quiet: q}).Validate()) > 0 {
			return
		}
		at := time.Unix(unix%4_000_000_000, 0)
		if end, quiet := q.Until(at); quiet && (!end.After(at) || end.Sub(at) > 7*24*time.Hour) {
			t.Fatalf("quiet at %v until %v", at, end)
		}
		b, err := json.Marshal(q)
		require.NoError(t, err)
		var back escalate.Quiet
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, q, back)
	})
}

func TestQuietMistakes(t *testing.T) {
	with := func(q escalate.Quiet) []error {
		return escalate.Policy{Levels: escalate.To(note).Levels, Quiet: q}.Validate()
	}
	window := func(w ...escalate.Window) escalate.Quiet { return escalate.Quiet{Zone: time.UTC, Windows: w} }
	require.Empty(t, with(window(escalate.Window{From: hm(22, 0), To: hm(7, 0)})))
	for want, q := range map[string]escalate.Quiet{
		"Zone is not set":        {Windows: []escalate.Window{{From: hm(22, 0), To: hm(7, 0)}}},
		"From is 25h0m0s":        window(escalate.Window{From: hm(25, 0), To: hm(7, 0)}),
		"To is -1h0m0s":          window(escalate.Window{From: hm(22, 0), To: -time.Hour}),
		"begins and ends at 0s":  window(escalate.Window{}),
		"day 7 is not one":       window(escalate.Window{Days: []time.Weekday{7}, To: hm(7, 0)}),
		"never ends":             window(escalate.Window{To: hm(24, 0)}),
		"Quiet never ends":       window(escalate.Window{To: hm(13, 0)}, escalate.Window{From: hm(12, 0), To: hm(1, 0)}),
		"windows, or raise":      window(escalate.Window{Days: []time.Weekday{time.Sunday, time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday}, To: hm(24, 0)}),
		"Windows[1]: From is -5": window(escalate.Window{To: hm(1, 0)}, escalate.Window{From: -5}),
	} {
		errs := with(q)
		require.NotEmpty(t, errs, want)
		require.ErrorContains(t, errs[0], want)
	}
}

func TestAZoneThatIsNotKnownIsNeverQuiet(t *testing.T) {
	var q escalate.Quiet
	require.NoError(t, json.Unmarshal([]byte(`{"zone":"Mars/Olympus","windows":[{"from_ns":0,"to_ns":3600000000000}]}`), &q))
	require.Empty(t, q.Windows)
	require.ErrorContains(t, json.Unmarshal([]byte(`7`), &q), "quiet hours")
}

func TestRoutingMistakes(t *testing.T) {
	critical := escalate.Policy{Levels: []escalate.Level{{To: []escalate.Notifier{note}, Min: detect.Critical}}}
	require.ErrorContains(t, critical.Validate()[0], "no level is told of a warning")
	critical.Inform = []escalate.Notifier{note}
	require.Empty(t, critical.Validate(), "somebody hears of it")
	critical.Levels[0].Min = 7
	require.ErrorContains(t, critical.Validate()[0], "Min is unknown")
	require.ErrorContains(t, escalate.Policy{Levels: escalate.To(note).Levels, Fallback: -2}.Validate()[0], "Fallback is -2ns")
	require.Empty(t, escalate.Policy{Levels: escalate.To(note).Levels, Fallback: -1}.Validate())
}

// Nights and weekends, by the clock on the wall.
func ExampleQuiet() {
	quiet := escalate.Quiet{Zone: time.UTC, Windows: []escalate.Window{
		{From: 22 * time.Hour, To: 7 * time.Hour},
		{Days: []time.Weekday{time.Saturday, time.Sunday}, To: 24 * time.Hour},
	}}
	for _, at := range []time.Time{
		time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC),
		time.Date(2026, 3, 5, 23, 0, 0, 0, time.UTC),
		time.Date(2026, 3, 6, 23, 0, 0, 0, time.UTC),
	} {
		if end, is := quiet.Until(at); is {
			fmt.Println(at.Format("Mon 15:04"), "quiet until", end.Format("Mon 15:04"))
		} else {
			fmt.Println(at.Format("Mon 15:04"), "not quiet")
		}
	}
	// Output:
	// Thu 12:00 not quiet
	// Thu 23:00 quiet until Fri 07:00
	// Fri 23:00 quiet until Mon 07:00
}
