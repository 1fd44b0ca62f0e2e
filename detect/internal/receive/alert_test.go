package receive

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
)

func at(n int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
}

// Whatever the order in which the statements about an alert arrive, and however
// often, what stands in the end is the one that was true last.
func TestAnyOrderOfArrivalEndsTheSame(t *testing.T) {
	for seed := range uint64(5000) {
		random := rand.New(rand.NewPCG(seed, 2))
		var said []Alert
		now := 0
		for n := range 1 + random.IntN(8) {
			now += 1 + random.IntN(3)
			a := Alert{Name: "a", State: Firing, Start: at(now), Finding: detect.Finding{Key: "k"}}
			switch random.IntN(4) {
			case 0:
				a.State = NoData
			case 1, 2:
				if n > 0 {
					a.State, a.Start, a.End = Resolved, time.Time{}, at(now)
				}
			}
			said = append(said, a)
		}
		last := said[len(said)-1]
		arrivals := append([]Alert(nil), said...)
		for range random.IntN(8) {
			arrivals = append(arrivals, said[random.IntN(len(said))])
		}
		random.Shuffle(len(arrivals), func(i, j int) { arrivals[i], arrivals[j] = arrivals[j], arrivals[i] })
		var r *record
		for i := range arrivals {
			r, _ = r.after(&arrivals[i], at(1000))
		}
		require.Equal(t, last.State, r.state, "seed %d: %+v", seed, arrivals)
	}
}

// A cluster of Prometheus moves the start of what it merges back. That is the
// same bout, and its end is its end.
func TestAStartThatMovesBack(t *testing.T) {
	fires := func(n int, summary string) *Alert {
		return &Alert{State: Firing, Start: at(n), Finding: detect.Finding{Key: "k", Summary: summary}}
	}
	var none *record
	r, eff := none.after(fires(10, "late"), at(11))
	require.Equal(t, changed, eff)
	r, eff = r.after(fires(7, "early"), at(12))
	require.Equal(t, restated, eff)
	require.Equal(t, "late", r.finding.Summary)
	require.Equal(t, at(12), r.heard, "it is vouched for")
	r, eff = r.after(&Alert{State: Resolved, Start: at(7), End: at(20)}, at(21))
	require.Equal(t, changed, eff)
	require.Equal(t, Resolved, r.state)
}

func TestAnAlertThatEndsAsItBegins(t *testing.T) {
	var r *record
	fires := &Alert{State: Firing, Start: at(1)}
	over := &Alert{State: Resolved, Start: at(1), End: at(1)}
	for _, order := range [][]*Alert{{fires, over}, {over, fires}, {fires, over, fires}} {
		r = nil
		for _, a := range order {
			r, _ = r.after(a, at(2))
		}
		require.Equal(t, Resolved, r.state)
	}
}

// Known values of prometheus/common, model.LabelSet.Fingerprint.
func TestFingerprint(t *testing.T) {
	require.Equal(t, "cbf29ce484222325", Fingerprint(nil), "the hash of nothing: its offset")
	a := map[string]string{"alertname": "a", "b": "c"}
	require.Equal(t, Fingerprint(a), Fingerprint(map[string]string{"b": "c", "alertname": "a"}))
	require.NotEqual(t, Fingerprint(a), Fingerprint(map[string]string{"alertname": "ab", "": "c"}))
	require.Len(t, Fingerprint(a), 16)
}

func TestTexts(t *testing.T) {
	require.Equal(t, "a b c", OneLine(" a\n\tb\r\n c "))
	require.Equal(t, "red [31m", OneLine("red \x1b[31m\u202e"))
	require.Equal(t, "grün", OneLine("grün"))
	for n := 3; n < 20; n++ {
		cut := Cut(strings.Repeat("ü", 20), n)
		require.LessOrEqual(t, len(cut), n)
		require.True(t, utf8.ValidString(cut))
	}
	a := Alert{State: Firing, Start: at(1), Finding: detect.Finding{
		Key: strings.Repeat("k", 1000), Summary: strings.Repeat("s", 5000), Evidence: Evidence("a", strings.Repeat("e", 10_000), "b", ""),
	}}
	require.Empty(t, Fit(&a))
	require.Len(t, a.Finding.Key, 16)
	require.Len(t, a.Finding.Summary, 1000)
	require.Len(t, a.Finding.Evidence, 1)
	require.Len(t, a.Finding.Evidence[0].Value.String(), 4096)
	require.Equal(t, detect.Critical, SeverityOf(" Critical"))
	require.Equal(t, detect.Warning, SeverityOf("info"))
}

func TestTimes(t *testing.T) {
	for s, ok := range map[string]bool{"": true, "0001-01-01T00:00:00Z": true, "2026-03-01T12:00:00.123+01:00": true, "today": false, "2026-03-01": false} {
		_, got := ParseTime(s)
		require.Equal(t, ok, got, s)
	}
	zero, _ := ParseTime("0001-01-01T00:00:00Z")
	require.True(t, zero.IsZero())
	require.Equal(t, at(1), NotAfter(at(5), at(1)))
	require.Equal(t, at(1), NotAfter(at(1), at(5)))
	w, err := Window("x", 0, time.Hour)
	require.NoError(t, err)
	require.Equal(t, 65*time.Minute, w)
	require.Nil(t, InWindow(at(0), at(60), time.Minute))
	require.NotNil(t, InWindow(at(0), at(61), time.Minute))
	require.Nil(t, InWindow(at(300), at(0), time.Minute))
	require.NotNil(t, InWindow(at(301), at(0), time.Minute))
}

func FuzzMatch(f *testing.F) {
	for _, s := range []string{"a=b", `a!="b"`, `"a.b"=~"x|y"`, "a!~(", "=", `"`, "a=~", "a =~ b ", `a="\x"`} {
		f.Add(s, "value")
	}
	f.Fuzz(func(t *testing.T, s, value string) {
		m, err := parseMatch(s)
		if err != nil {
			require.ErrorContains(t, err, "write label=value")
			return
		}
		require.NotEmpty(t, m.label)
		yes := m.holds(map[string]string{m.label: value})
		m.negate = !m.negate
		require.NotEqual(t, yes, m.holds(map[string]string{m.label: value}))
	})
}

// FuzzStored reads what a store may hold.
func FuzzStored(f *testing.F) {
	f.Add([]byte(`{"v":1,"name":"a","state":1,"heard":"2026-03-01T12:00:00Z","severity":"warning","evidence":[["a","b"]]}`))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := decode("k", value)
		require.NotNil(t, r)
		require.Equal(t, "k", r.finding.Key)
		require.Equal(t, err != nil, r.opaque)
		require.NotZero(t, r.state)
		if err == nil {
			require.Equal(t, r.state == Firing, r.restored)
		}
	})
}
