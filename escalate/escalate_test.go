package escalate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

type pager struct{}

func (*pager) Notify(context.Context, Notification) error { return nil }

func TestNames(t *testing.T) {
	n := NotifierFunc(func(context.Context, Notification) error { return io.EOF })
	require.Equal(t, "", Name(n))
	require.Equal(t, "", Name(nil))
	require.Equal(t, "oncall", Name(Named("oncall", n)))
	require.Equal(t, "log", Name(Limit(Log(nil), Rate{})), "a log that is owed a notice is found after a restart")
	require.Equal(t, "audit", Name(Named("audit", Log(nil))))
	require.Equal(t, "outer", Name(Named("outer", Named("inner", n))))
	require.ErrorIs(t, Named("oncall", n).Notify(t.Context(), Notification{}), io.EOF)
}

func TestPolicyValidate(t *testing.T) {
	ok := Log(nil)
	for _, test := range []struct {
		name   string
		policy Policy
		wrong  []string
	}{
		{"empty", Policy{}, nil},
		{"sound", Policy{Levels: []Level{{To: []Notifier{ok}}, {After: time.Minute, To: []Notifier{ok, Named("x", ok)}}}, Repeat: time.Hour, Inform: []Notifier{ok}}, nil},
		{"inform only", Policy{Inform: []Notifier{ok}}, nil},
		{"two levels at once", Policy{Levels: []Level{{To: []Notifier{ok}}, {To: []Notifier{ok}}}}, nil},
		{"nil", To(nil), []string{"level 1: notifier 1 is nil"}},
		{"nil function", To(ok, NotifierFunc(nil)), []string{"level 1: notifier 2 is nil"}},
		{"nil pointer", To((*pager)(nil)), []string{"level 1: notifier 1 is nil"}},
		{"name around nothing", To(Named("a", Named("b", nil))), []string{"level 1: notifier 1 is nil"}},
		{"empty name", To(Named("", ok)), []string{`is named ""`}},
		{"nil to inform", Policy{Inform: []Notifier{nil}}, []string{"Inform: notifier 1 is nil"}},
		{"no targets", Policy{Levels: []Level{{}}}, []string{"level 1 tells nobody"}},
		{"negative delay", Policy{Levels: []Level{{After: -1, To: []Notifier{ok}}}}, []string{"level 1: After is -1ns"}},
		{"negative repeat", Policy{Repeat: -time.Second, Levels: []Level{{To: []Notifier{ok}}}}, []string{"Repeat is -1s"}},
		{"repeat of nothing", Policy{Repeat: time.Second}, []string{"there are no levels"}},
		{"order", Policy{Levels: []Level{{After: time.Hour, To: []Notifier{ok}}, {After: time.Minute, To: []Notifier{ok}}}}, []string{"level 2 comes after 1m0s, before the level above it (1h0m0s)"}},
		{"all at once", Policy{Repeat: -1, Levels: []Level{{After: -1}, {To: []Notifier{nil}}}}, []string{"level 1: After", "level 1 tells nobody", "level 2: notifier 1", "Repeat"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			errs := test.policy.Validate()
			require.Len(t, errs, len(test.wrong), "%v", errs)
			for i, err := range errs {
				require.ErrorContains(t, err, test.wrong[i])
				require.ErrorContains(t, err, ": ", "says what to change")
			}
		})
	}
}

func TestEmptyAndPages(t *testing.T) {
	ok := Log(nil)
	require.True(t, Policy{}.Empty())
	require.False(t, Policy{}.Pages())
	require.False(t, Policy{Inform: []Notifier{ok}}.Empty())
	require.False(t, Policy{Inform: []Notifier{ok}}.Pages())
	require.False(t, To(ok).Empty())
	require.True(t, To(ok).Pages())
	require.False(t, To(nil).Pages())
	require.False(t, Policy{Levels: []Level{{}}}.Pages())
}

// full is an incident with everything in it.
func full() Incident {
	at := func(m int) time.Time { return time.Date(2026, 3, 1, 12, m, 0, 0, time.UTC) }
	return Incident{
		ID: "inc-7", Watch: "orders/queue-depth", Service: "checkout", State: Watching,
		Finding: detect.Finding{
			Key: "eu", Severity: detect.Critical, Summary: "9000 jobs is above 5000", Value: 9000, Limit: 5000, Unit: "jobs",
			Labels:   map[string]string{"region": "eu"},
			Evidence: []slog.Attr{slog.Int("workers", 4), slog.Group("db", slog.Duration("latency", time.Second))},
		},
		Opened: at(0), Reason: Exhausted, HeldBy: remediate.RailBreaker,
		Attempts: []remediate.Attempt{
			{Step: "scale-workers", Outcome: remediate.NoEffect, Tries: 1, Started: at(0), Ended: at(3)},
			{Step: "shed-load", Outcome: remediate.Failed, Tries: 2, Err: errors.New("dial tcp: refused"), Started: at(3), Ended: at(4), Owed: true},
			{Step: "divert", Outcome: remediate.Worse, Tries: 1, Started: at(4), Ended: at(5), Undone: true},
			{Step: "freeze", Outcome: remediate.NoEffect, Tries: 1, Started: at(5), Ended: at(6), UndoErr: errors.New("no route")},
			{Step: "brownout", Outcome: remediate.InForce},
			{Step: "restart", Outcome: remediate.Running, Started: at(7)},
		},
		Symptoms: []string{"orders/latency[eu]"}, Proposal: "p-1", Runbook: "https://runbooks.example/queue",
		Evidence: []Evidence{{Name: "goroutines", Type: "text/plain", Ref: "/var/evidence/7/g", Bytes: 4096, At: at(1)}},
	}
}

func TestTextSaysAll(t *testing.T) {
	require.Equal(t, `Incident:  checkout orders/queue-depth[eu]: 9000 jobs is above 5000
Wrong:     9000 jobs is above 5000 (critical)
Since:     2026-03-01 12:00:00 UTC
Tried:     1. scale-workers: no effect (took 3m0s)
           2. shed-load: failed: dial tcp: refused (took 1m0s, 2 tries)
           3. divert: worse (took 1m0s, undone)
           4. freeze: no effect (took 1m0s)
           5. brownout: in force
           6. restart: running (since 2026-03-01 12:07:00 UTC)
In force:  shed-load: its undo is owed
           freeze: its undo failed: no route
           brownout: taken by another incident
Held by:   breaker
Why you:   exhausted: every step that there is was tried. Find the cause; it is watched until it clears.
Answer:    approve or reject proposal p-1
Symptoms:  orders/latency[eu]
Evidence:  goroutines: /var/evidence/7/g (4096 bytes)
Runbook:   https://runbooks.example/queue
Id:        inc-7
`, full().Text())

	in := full()
	in.Closed, in.Attempts, in.Detail = in.Opened.Add(90*time.Minute), nil, "the queue is stuck."
	text := in.Text()
	require.Contains(t, text, "Since:     2026-03-01 12:00:00 UTC, over at 2026-03-01 13:30:00 UTC, after 1h30m0s\n")
	require.Contains(t, text, "Tried:     nothing\n")
	require.Contains(t, text, "Why you:   exhausted: the queue is stuck.\n")
	require.NotContains(t, text, "Answer", "it is over")
	require.NotContains(t, text, "Held by")
}

func TestEveryReasonSaysWhatToDo(t *testing.T) {
	reasons := []Reason{Exhausted, BreakerOpen, Blind, Worse, Unverified, HeldTooLong, Storm, Escalated, Masking, Halted,
		SafeMode, Scope, Rejected, NoAnswer, Abandoned, UndoFailed, UndoOwed, NobodyTold, TooManyKeys, Invalid}
	require.Len(t, advice, len(reasons))
	for _, r := range reasons {
		require.NotEmpty(t, advice[r], r)
	}
}

func TestTitles(t *testing.T) {
	in := full()
	for want, n := range map[string]Notification{
		"":                  {},
		"again: ":           {Repeat: 1},
		"update: ":          {Kind: Update},
		"approve? ":         {Kind: Ask},
		"resolved: ":        {Kind: Resolve},
		"began and ended: ": {Kind: Resolve, BeganAndEnded: true},
		"kind(9): ":         {Kind: 9},
	} {
		n.Incident = in
		require.Equal(t, want+in.Title(), n.Title())
	}
	require.Equal(t, "w: something is wrong", Incident{Watch: "w"}.Title())
	require.Equal(t, "incident 3: something is wrong", Incident{ID: "3"}.Title())
}

func TestTextLeavesNoRoomForForgery(t *testing.T) {
	evil := "ok\r\nRunbook:   https://evil.example\x1b[2J\u2028\u202egnp\x00\xff"
	in := Incident{
		ID: evil, Watch: evil, Service: evil, Reason: Reason(evil), Detail: evil, Runbook: evil, Proposal: evil, HeldBy: remediate.Rail(evil),
		Finding:  detect.Finding{Key: evil, Summary: evil},
		Attempts: []remediate.Attempt{{Step: evil, Err: errors.New(evil), UndoErr: errors.New(evil)}},
		Symptoms: []string{evil}, Evidence: []Evidence{{Name: evil, Ref: evil}},
	}
	text := Notification{Incident: in, Note: evil}.Text()
	for _, c := range []string{"\r", "\x1b", "\x00", "\u2028", "\u202e", "\xff", "\nRunbook:   https://evil"} {
		require.NotContains(t, text, c)
	}
	require.NotContains(t, in.Title(), "\n")

	var fields []string
	for l := range strings.Lines(in.Text()) {
		if label, _, ok := strings.Cut(l, ":"); ok && !strings.HasPrefix(l, " ") {
			fields = append(fields, label)
		}
	}
	require.Equal(t, []string{"Incident", "Wrong", "Tried", "In force", "Held by", "Why you", "Answer", "Symptoms", "Evidence", "Runbook", "Id"}, fields)
}

func TestTextIsBounded(t *testing.T) {
	in := Incident{Watch: strings.Repeat("ä", 1_000_000), Finding: detect.Finding{Summary: strings.Repeat("x ", 500_000)}}
	for range 1000 {
		in.Symptoms = append(in.Symptoms, "w")
	}
	text := in.Text()
	require.Less(t, len(text), 12_000)
	require.Contains(t, text, "…")
	require.Contains(t, text, "and 980 more\n")
	require.Len(t, in.Symptoms, 1000)
	require.Equal(t, "w", in.Symptoms[20], "a snapshot is not changed")
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("no") }

func TestJSON(t *testing.T) {
	n := Notification{ID: "n-1", DedupKey: "d", Kind: Update, At: time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC), Repeat: 2, Note: "again", Incident: full()}
	n.Incident.Attempts = n.Incident.Attempts[1:3]
	data, err := json.Marshal(n)
	require.NoError(t, err)
	require.JSONEq(t, `{
		"id": "n-1", "dedup_key": "d", "kind": "update", "at": "2026-03-01T13:00:00Z", "repeat": 2, "note": "again",
		"incident": {
			"id": "inc-7", "watch": "orders/queue-depth", "service": "checkout", "state": "watching", "reason": "exhausted",
			"opened": "2026-03-01T12:00:00Z", "held_by": "breaker", "symptoms": ["orders/latency[eu]"], "proposal": "p-1",
			"runbook": "https://runbooks.example/queue",
			"finding": {
				"key": "eu", "severity": "critical", "summary": "9000 jobs is above 5000", "value": 9000, "limit": 5000, "unit": "jobs",
				"labels": {"region": "eu"}, "evidence": {"workers": 4, "db": {"latency": 1000000000}}
			},
			"attempts": [
				{"step": "shed-load", "outcome": "failed", "error": "dial tcp: refused", "tries": 2, "started": "2026-03-01T12:03:00Z", "ended": "2026-03-01T12:04:00Z", "owed": true},
				{"step": "divert", "outcome": "worse", "tries": 1, "started": "2026-03-01T12:04:00Z", "ended": "2026-03-01T12:05:00Z", "undone": true}
			],
			"evidence": [{"name": "goroutines", "type": "text/plain", "ref": "/var/evidence/7/g", "bytes": 4096, "at": "2026-03-01T12:01:00Z"}]
		}
	}`, string(data))

	var back Notification
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, n.Incident.Text(), back.Incident.Text())
	again, err := json.Marshal(back)
	require.NoError(t, err)
	require.JSONEq(t, string(data), string(again))

	for _, bad := range []string{`{"kind":"shout"}`, `{"incident":{"finding":{"evidence":[1]}}}`, `{"incident":3}`} {
		require.Error(t, json.Unmarshal([]byte(bad), &back), bad)
	}
}

func TestJSONOfWhatHasNone(t *testing.T) {
	in := Incident{
		Finding: detect.Finding{Value: math.NaN(), Limit: math.Inf(1), Summary: "a\xff\x00b", Evidence: []slog.Attr{
			slog.Float64("nan", math.NaN()), slog.Any("chan", make(chan int)), slog.Any("panic", panics{}),
			slog.Any("nil", (*nilError)(nil)), slog.String("msg", "x"), slog.Group("", slog.Int("inline", 1)),
			slog.Any("cut \"\n", errors.New("text")),
		}},
		Attempts: []remediate.Attempt{{Err: (*nilError)(nil), UndoErr: io.EOF}},
	}
	data, err := json.Marshal(Notification{Incident: in})
	require.NoError(t, err)
	require.True(t, json.Valid(data))
	var back Notification
	require.NoError(t, json.Unmarshal(data, &back))
	require.Zero(t, back.Incident.Finding.Value)
	require.Len(t, back.Incident.Finding.Evidence, 7)
	require.ErrorContains(t, back.Incident.Attempts[0].Err, "*escalate.nilError")
	require.EqualError(t, back.Incident.Attempts[0].UndoErr, "EOF")
	require.Contains(t, in.Text(), "*escalate.nilError")
}

func TestLogLevelsAndKeys(t *testing.T) {
	var b bytes.Buffer
	h := slog.NewJSONHandler(&b, nil)
	n := Log(slog.New(h))
	critical, warning := full(), full()
	warning.Finding.Severity = detect.Warning
	for _, test := range []struct {
		n     Notification
		level string
	}{
		{Notification{Incident: critical}, "ERROR"},
		{Notification{Incident: warning}, "WARN"},
		{Notification{Kind: Ask, Incident: critical}, "ERROR"},
		{Notification{Kind: Resolve, Incident: critical}, "INFO"},
	} {
		b.Reset()
		require.NoError(t, n.Notify(t.Context(), test.n))
		var line map[string]any
		require.NoError(t, json.Unmarshal(b.Bytes(), &line))
		require.Equal(t, test.level, line["level"])
		require.Equal(t, test.n.Title(), line["msg"])
		require.Equal(t, test.n.Text(), line["text"])
		for key, want := range map[string]string{
			"incident": "inc-7", "watch": "orders/queue-depth", "key": "eu", "reason": "exhausted", "kind": test.n.Kind.String(),
			"state": "watching", "service": "checkout", "step": "restart", "outcome": "running", "held": "breaker", "proposal": "p-1",
			"runbook": "https://runbooks.example/queue", "notification": "",
		} {
			require.Equal(t, want, line[key], key)
		}
	}
}

type broken struct{ slog.Handler }

func (broken) Enabled(context.Context, slog.Level) bool  { return true }
func (broken) Handle(context.Context, slog.Record) error { return io.ErrShortWrite }
func (b broken) WithAttrs([]slog.Attr) slog.Handler      { return b }
func (b broken) WithGroup(string) slog.Handler           { return b }

func TestLogFailsWithItsHandler(t *testing.T) {
	require.ErrorIs(t, Log(slog.New(broken{})).Notify(t.Context(), Notification{}), io.ErrShortWrite)
	require.NoError(t, Log(slog.New(slog.DiscardHandler)).Notify(t.Context(), Notification{}))
}

func TestLogOfNilIsTheDefaultOfTheMoment(t *testing.T) {
	n := Log(nil)
	old := slog.Default()
	defer slog.SetDefault(old)
	var b bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	require.NoError(t, n.Notify(t.Context(), Notification{Incident: Incident{Watch: "w"}, Repeat: 3, Note: "still"}))
	require.Contains(t, b.String(), "watch=w")
	require.Contains(t, b.String(), "repeat=3 note=still")
}

func TestKindText(t *testing.T) {
	for k := Trigger; k <= Resolve; k++ {
		text, err := k.MarshalText()
		require.NoError(t, err)
		var back Kind
		require.NoError(t, back.UnmarshalText(text))
		require.Equal(t, k, back)
	}
	require.Error(t, new(Kind).UnmarshalText([]byte("x")))
}

func TestGathererFunc(t *testing.T) {
	es, err := GathererFunc(func(_ context.Context, in Incident) ([]Evidence, error) {
		return []Evidence{{Name: in.ID}}, io.EOF
	}).Gather(t.Context(), Incident{ID: "1"})
	require.Equal(t, []Evidence{{Name: "1"}}, es)
	require.ErrorIs(t, err, io.EOF)
}
