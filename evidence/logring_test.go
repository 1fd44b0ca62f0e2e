package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/escalate"
)

func texts(entries []entry) []string {
	out := []string{}
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(string(e.text), "\n"))
	}
	return out
}

func messages(t testing.TB, entries []entry) []string {
	out := []string{}
	for _, line := range texts(entries) {
		var v struct{ Msg string }
		require.NoError(t, json.Unmarshal([]byte(line), &v), line)
		out = append(out, v.Msg)
	}
	return out
}

// Both what is kept and what is handed on are as a handler should do it.
func TestRingIsAHandler(t *testing.T) {
	var ring *LogRing
	var behind bytes.Buffer
	parse := func(t *testing.T, line string) (m map[string]any) {
		require.NoError(t, json.Unmarshal([]byte(line), &m), line)
		return m
	}
	build := func(t *testing.T) slog.Handler {
		behind.Reset()
		ring = NewLogRing(slog.NewJSONHandler(&behind, nil), LogRingOptions{})
		return ring
	}
	t.Run("kept", func(t *testing.T) {
		slogtest.Run(t, build, func(t *testing.T) map[string]any { return parse(t, texts(ring.kept())[0]) })
	})
	t.Run("handed on", func(t *testing.T) {
		slogtest.Run(t, build, func(t *testing.T) map[string]any { return parse(t, behind.String()) })
	})
}

func TestRingKeepsItsBounds(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		o := LogRingOptions{Records: 1 + r.IntN(300), Bytes: 2000 + r.IntN(50_000)}
		ring := NewLogRing(nil, o)
		log := slog.New(ring)
		var want []string
		for n := range 1000 {
			msg := fmt.Sprintf("%d %s", n, strings.Repeat("x", r.IntN(1+r.IntN(800))))
			want = append(want, msg)
			log.Info(msg)
			size := 0
			kept := ring.kept()
			for _, e := range kept {
				size += e.size()
			}
			require.LessOrEqual(t, len(kept), o.Records)
			require.LessOrEqual(t, size, o.Bytes)
			require.Equal(t, size, ring.bytes)
			if n%100 == 99 {
				got := messages(t, kept)
				require.Equal(t, want[len(want)-len(got):], got, "the last, in their order")
				require.True(t, len(got) == n+1 || len(got) == o.Records || size > o.Bytes-2000, "no more goes than must")
			}
		}
	}
}

type answer struct{ v slog.Value }

func (a answer) LogValue() slog.Value { return a.v }

type panicker struct{}

func (panicker) Error() string                { panic("boom") }
func (panicker) MarshalText() ([]byte, error) { panic("boom") }

type valuerPanics struct{}

func (valuerPanics) LogValue() slog.Value { panic("boom") }

type endless struct{}

func (endless) LogValue() slog.Value { return slog.GroupValue(slog.Any("more", endless{})) }

// Whatever is logged, a record is one line of JSON, of a bounded size, and no
// panic of a value reaches the one who logs.
func TestRingSurvivesWhatIsLogged(t *testing.T) {
	ring := NewLogRing(nil, LogRingOptions{Records: 10})
	huge := strings.Repeat("\x01", 1<<20)
	log := slog.New(ring)
	log.Info("hostile", "nan", math.NaN(), "inf", math.Inf(-1), "func", func() {}, "chan", make(chan int), "panics", panicker{}, "valuer", valuerPanics{},
		"nil", nil, "nilerr", (*panicked)(nil), "lines", "a\nb\u2028\x00\xff", "d", 1500*time.Millisecond, slog.Attr{})
	log.Info("endless", "e", endless{})
	log.Info(huge, "a", 1)
	log.With("huge", huge).WithGroup("g").Info("left out", "huge", huge, "small", 1, slog.Group("in", "huge", huge, "b", 2))
	log.WithGroup(huge).Info("group", "a", 1)
	got := texts(ring.kept())
	require.Len(t, got, 5)
	for n, line := range got[:4] {
		require.True(t, json.Valid([]byte(line)), line)
		require.LessOrEqual(t, len(line), mostLine+1000, n)
		require.NotContains(t, line, "\n")
	}
	require.Contains(t, got[0], `"d":"1.5s"`)
	require.Contains(t, got[0], `"nan":"NaN"`)
	require.Contains(t, got[2], "(a message of 1048576 bytes)")
	require.Contains(t, got[3], `"g":{"small":1,"in":{"b":2}},"left_out":3}`)

	tiny := NewLogRing(nil, LogRingOptions{Bytes: 200})
	slog.New(tiny).Info("x", "y", strings.Repeat("z", 500))
	require.Len(t, tiny.kept(), 1)
	require.Contains(t, messages(t, tiny.kept())[0], "bytes, which is more than the ring holds")
}

func TestRingTakesLevels(t *testing.T) {
	var behind bytes.Buffer
	next := slog.NewTextHandler(&behind, &slog.HandlerOptions{Level: slog.LevelWarn})
	say := func(ring *LogRing) []string {
		behind.Reset()
		log := slog.New(ring)
		log.Debug("debug")
		log.Info("info")
		log.Warn("warn")
		return messages(t, ring.kept())
	}
	require.Equal(t, []string{"debug", "info", "warn"}, say(NewLogRing(next, LogRingOptions{Level: slog.LevelDebug})))
	require.Equal(t, 1, strings.Count(behind.String(), "msg="))
	require.Equal(t, []string{"warn"}, say(NewLogRing(next, LogRingOptions{})))
	require.Equal(t, []string{"info", "warn"}, say(NewLogRing(nil, LogRingOptions{})))
	require.Empty(t, say(NewLogRing(next, LogRingOptions{Level: slog.LevelError})))
	require.Equal(t, 1, strings.Count(behind.String(), "msg="), "what the ring does not keep is handed on all the same")

	wrong := errors.New("disk full")
	ring := NewLogRing(failing{err: wrong}, LogRingOptions{})
	require.ErrorIs(t, ring.Handle(t.Context(), slog.Record{}), wrong)
	require.Len(t, ring.kept(), 1)
}

type failing struct {
	slog.Handler
	err error
}

func (failing) Enabled(context.Context, slog.Level) bool    { return true }
func (f failing) Handle(context.Context, slog.Record) error { return f.err }

func TestRingIsSafeForConcurrentUse(t *testing.T) {
	ring := NewLogRing(slog.DiscardHandler, LogRingOptions{Records: 50, Level: slog.LevelInfo})
	var wg sync.WaitGroup
	for n := range 8 {
		log := slog.New(ring).With("n", n)
		wg.Go(func() {
			for k := range 200 {
				log.WithGroup("g").Info("k", "k", k, "v", answer{slog.IntValue(k)})
				if k%50 == 0 {
					for _, line := range texts(ring.kept()) {
						if !json.Valid([]byte(line)) {
							t.Error(line)
						}
					}
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, ring.kept(), 50)
}

func TestRecordsOfAnIncident(t *testing.T) {
	opened := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ring := NewLogRing(nil, LogRingOptions{})
	at := func(after time.Duration, msg string, h slog.Handler, args ...any) {
		rec := slog.NewRecord(opened.Add(after), slog.LevelInfo, msg, 0)
		rec.Add(args...)
		require.NoError(t, h.Handle(t.Context(), rec))
	}
	of := slog.New(ring).With("incident", "inc-7").WithGroup("app").Handler()
	at(-time.Hour, "long ago", ring)
	at(-9*time.Minute, "before", ring)
	at(-time.Minute, "own", of)
	at(0, "own by watch", ring, "watch", "orders/queue-depth")
	at(time.Minute, "another's", ring, "incident", "inc-8", "watch", "x")
	for n := range 10 {
		at(2*time.Minute, fmt.Sprint("noise ", n), ring)
	}
	slog.New(ring).Info("from here")
	in := patient()
	in.Opened = opened
	pick := func(q LogQuery) []string { return messages(t, q.of(ring.kept(), in)) }
	require.Equal(t, []string{"before", "own", "own by watch", "another's", "noise 0"}, pick(LogQuery{})[:5])
	require.Equal(t, []string{"own", "own by watch", "noise 9", "from here"}, pick(LogQuery{Records: 4}), "noise does not drown its own")
	require.Equal(t, []string{"noise 8", "noise 9", "from here"}, messages(t, LogQuery{Records: 3}.of(ring.kept(), escalate.Incident{})))
	require.Equal(t, []string{"own", "own by watch", "from here"}, pick(LogQuery{Packages: []string{"github.com/selfheal-go/selfheal/evidence"}}))
	require.Equal(t, []string{"own", "own by watch", "from here"}, pick(LogQuery{Packages: []string{"x", "github.com/selfheal-go"}}))
	require.Equal(t, []string{"own", "own by watch"}, pick(LogQuery{Packages: []string{"github.com/selfheal-go/selfheal/evid"}}))
	require.Equal(t, []string{"own by watch"}, pick(LogQuery{Packages: []string{"none"}, Before: time.Nanosecond}))
	require.Len(t, pick(LogQuery{Before: 2 * time.Hour}), 16)
	lines := LogQuery{Bytes: 300}.of(ring.kept(), in)
	require.LessOrEqual(t, len(strings.Join(texts(lines), "\n")), 300)
	require.Contains(t, messages(t, lines), "own by watch")
	in.Opened = time.Now().Add(time.Hour)
	require.ErrorIs(t, Logs(ring, LogQuery{Before: time.Minute}).Write(t.Context(), in, io.Discard), ErrAbsent)
	require.ErrorIs(t, Logs(nil, LogQuery{}).Write(t.Context(), in, io.Discard), ErrAbsent)
}

func TestPackageOfACall(t *testing.T) {
	require.Equal(t, "github.com/selfheal-go/selfheal/evidence", packageOf(reflect.ValueOf(TestPackageOfACall).Pointer()))
	require.Equal(t, "log/slog", packageOf(reflect.ValueOf((*slog.Logger).Info).Pointer()))
	require.Equal(t, "time", packageOf(reflect.ValueOf(time.Now).Pointer()))
	require.Empty(t, packageOf(0))
}

// Whatever attributes and groups come, in whatever order, the line says what
// slog.JSONHandler says.
func TestLinesAreThoseOfTheJSONHandler(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 3000 {
		sameAsJSON(t, "k", "v", r.Int64N(8), 1.5, uint16(r.Uint32()))
	}
}

func FuzzLine(f *testing.F) {
	f.Add("k", "v", int64(1), 1.5, uint16(0b1011010))
	f.Add("", "a\nb\x00\xff\u2028\"\\<>&", int64(-1<<63), math.MaxFloat64, uint16(0xffff))
	f.Fuzz(func(t *testing.T, key, text string, n int64, x float64, script uint16) {
		if len(key)+len(text) < 500 && !math.IsNaN(x) && !math.IsInf(x, 0) {
			sameAsJSON(t, key, text, n, x, script)
		}
	})
}

func sameAsJSON(t *testing.T, key, text string, n int64, x float64, script uint16) {
	t.Helper()
	var want bytes.Buffer
	ring := NewLogRing(slog.NewJSONHandler(&want, nil), LogRingOptions{})
	var h slog.Handler = ring
	attrs := []slog.Attr{
		slog.String(key, text), slog.Int64("n", n), slog.Group(key, slog.Float64("x", x), slog.Group("")), slog.Any("any", map[string]any{text: n}),
		slog.Group("empty"), slog.Any(key, answer{slog.GroupValue(slog.Bool(text, n > 0))}), slog.Time("t", time.Unix(n%1e9, 5)), slog.Any("e", errors.New(text)),
	}
	for ; script > 0; script >>= 3 {
		switch a := attrs[int(script>>1)%len(attrs)]; script & 3 {
		case 0:
			h = h.WithGroup(key)
		case 1:
			h = h.WithAttrs([]slog.Attr{a})
		case 2:
			h = h.WithGroup(text)
		case 3:
			h = h.WithAttrs([]slog.Attr{a, {}})
		}
	}
	rec := slog.NewRecord(time.Unix(1, 2), slog.LevelWarn, text, 0)
	if n%2 == 0 {
		rec.AddAttrs(attrs[:n&7]...)
	}
	require.NoError(t, h.Handle(t.Context(), rec))
	got := texts(ring.kept())[0]
	var a, b any
	if err := errors.Join(json.Unmarshal([]byte(got), &a), json.Unmarshal(want.Bytes(), &b)); err != nil || !reflect.DeepEqual(a, b) {
		t.Fatalf("%v\n%s\n%s", err, got, want.String())
	}
}
