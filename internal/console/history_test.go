package console

import (
	"fmt"
	"testing"
	"testing/quick"
	"time"

	"github.com/stretchr/testify/require"
)

var night = time.Date(2026, 3, 1, 3, 24, 0, 0, time.UTC)

// tell takes in lines of one incident, a minute apart.
func tell(h *History, id string, from time.Time, lines ...string) time.Time {
	for _, text := range lines {
		from = from.Add(time.Minute)
		h.Take(Line{Time: from, Watch: "w", Key: "k: 1", Incident: id, Text: text}, News{})
	}
	return from
}

func TestAnIncidentIsRememberedFromItsLines(t *testing.T) {
	h := NewHistory(night)
	end := tell(h, "i1", night, "open w[k: 1]: 9 is above 5", "hold w[k: 1] fix: budget", "step w[k: 1] scale: no effect", "step w[k: 1] fix it: up: healed", "undo w[k: 1] scale: failed", "close w[k: 1]")
	past, week := h.Past(end)
	require.Len(t, past, 1)
	in := past[0]
	require.Equal(t, "9 is above 5", in.Summary)
	require.Equal(t, []Rung{
		{Step: "scale", State: "done", Outcome: "no effect", Ended: night.Add(3 * time.Minute), Undo: "failed"},
		{Step: "fix it: up", State: "done", Outcome: "healed", Ended: night.Add(4 * time.Minute)},
	}, in.Ladder)
	require.Equal(t, "hold fix: budget", in.Marks[1].Text)
	require.Equal(t, night.Add(time.Minute), in.Opened)
	require.Equal(t, Week{From: night, Opened: 1, Healed: 1, Avoided: 1, TimeToHeal: 3 * time.Minute, Held: map[string]int{"budget": 1}}, week)

	end = tell(h, "i2", end, "open w[k: 1]: again", "page w[k: 1] exhausted", "page w[k: 1] exhausted", "resolve w[k: 1]", "close w[k: 1]")
	past, week = h.Past(end)
	require.Equal(t, "i2", past[0].ID, "the latest first")
	require.True(t, past[0].Told)
	require.Equal(t, 1, week.Relapsed)
	require.Equal(t, 1, week.Paged, "an incident, not a telling")
	require.Equal(t, 1, week.Avoided)

	_, week = h.Past(end.Add(8 * 24 * time.Hour))
	require.Zero(t, week.Opened)
}

func TestWhatIsReadIsKeptInBounds(t *testing.T) {
	h := NewHistory(night)
	h.Looked("w", night, []Reading{{"k: 1", 7}}) // of nothing that is open
	require.True(t, h.Quiet())
	tell(h, "i1", night, "open w[k: 1]: sick")
	for n := range 10_000 {
		found := []Reading{{"other", 1}, {"k: 1", float64(n)}}
		if n > 9000 {
			found = nil
		}
		h.Looked("w", night.Add(time.Duration(n)*time.Second), found)
	}
	trail, ok := h.Trail("i1")
	require.True(t, ok)
	require.LessOrEqual(t, len(trail.Samples), keptSamples)
	require.Greater(t, len(trail.Samples), keptSamples/3)
	last := trail.Samples[len(trail.Samples)-1]
	require.True(t, last.Clear, "that it is gone is not thinned out")
	for n := 1; n < len(trail.Samples); n++ {
		require.False(t, trail.Samples[n].At.Before(trail.Samples[n-1].At))
	}
	for n := range keptClosed * 3 {
		tell(h, fmt.Sprint("x", n), night, "open w[k: 1]: sick", "close w[k: 1]")
	}
	past, _ := h.Past(night)
	require.Len(t, past, keptClosed)
	require.LessOrEqual(t, len(h.Journal(0, 1<<20)), keptLines)
	for n := range keptOpen * 2 {
		tell(h, fmt.Sprint("y", n), night, "open w[k: 1]: sick")
	}
	require.LessOrEqual(t, len(h.Versions()), keptOpen)
}

func TestABlipLeavesNothing(t *testing.T) {
	h := NewHistory(night)
	h.Take(Line{Time: night, Watch: "w", Incident: "i", Text: "found w: x"}, News{Found: true, Value: 3})
	require.False(t, h.Quiet())
	h.Take(Line{Time: night, Watch: "w", Incident: "i", Text: "blip w"}, News{})
	require.True(t, h.Quiet())
	past, week := h.Past(night)
	require.Empty(t, past)
	require.Zero(t, week.Opened)
}

// Whatever lines a damaged journal holds, the history stays in its bounds.
func TestAnyLineIsBorne(t *testing.T) {
	h := NewHistory(night)
	verbs := []string{"open", "hold", "step", "undo", "page", "close", "blip", "found", "", "x"}
	require.NoError(t, quick.Check(func(verb uint8, watch, key, incident, rest string, seconds int32) bool {
		h.Take(Line{Time: night.Add(time.Duration(seconds) * time.Second), Watch: watch, Key: key, Incident: incident, Text: verbs[int(verb)%len(verbs)] + rest}, News{})
		return len(h.open) <= keptOpen && len(h.keys) <= len(h.open)
	}, &quick.Config{MaxCount: 3000}))
	h.Past(night)
}

func TestChartsBearAnyNumber(t *testing.T) {
	for _, vs := range [][]float64{{1, 1}, {0, -1}, {1e308, -1e308}, {5e-324, 0}} {
		in := &Incident{Limit: 1}
		for n, v := range vs {
			in.Samples = append(in.Samples, Sample{At: night.Add(time.Duration(n) * time.Second), Value: v})
		}
		c := newChart(in, 60)
		require.NotNil(t, c)
		for _, run := range c.Runs {
			require.Regexp(t, `^[0-9., ]+$`, run)
		}
	}
	require.Nil(t, newChart(&Incident{}, 60))
}
