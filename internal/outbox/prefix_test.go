package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
)

// A log may end between any two records. What it has is told, and ended.
func TestEveryPrefixOfAStorm(t *testing.T) {
	for _, answers := range []bool{false, true} {
		t.Run(fmt.Sprint("answers ", answers), func(t *testing.T) { everyPrefix(t, answers) })
	}
}

func everyPrefix(t *testing.T, answers bool) {
	m := New(Options{IDPrefix: "one-", Storm: 5, Durable: true})
	var log []Record
	sent := map[int]string{} // by how long the log was
	tells := func(n escalate.Notification) string {
		return " " + n.Incident.Watch + " " + strings.Join(n.Incident.Symptoms, " ")
	}
	now := time.Duration(0)
	var step func(in Input)
	step = func(in Input) {
		for _, e := range m.Step(now, in, nil) {
			switch e := e.(type) {
			case Record:
				log = append(log, coded(t, e))
			case Send:
				sent[len(log)] += tells(e.Notification)
				if answers {
					step(Sent{ID: e.ID, Target: e.Target})
				}
			}
		}
	}
	for i := range 20 {
		step(Escalate{Notification: keyed(fmt.Sprintf("k%02d", i), escalate.Trigger, 0), Plan: to("a")})
	}
	now, _ = m.Next()
	step(Tick{})
	for i := range 10 {
		step(Escalate{Notification: keyed(fmt.Sprintf("late%02d", i), escalate.Trigger, 0), Plan: to("a")})
		step(Resolve{DedupKey: fmt.Sprintf("k%02d", i), Incident: keyed(fmt.Sprintf("k%02d", i), escalate.Trigger, 0).Incident})
	}
	for cut := range len(log) + 1 {
		q := newProvider(Options{IDPrefix: "two-", Storm: 5, Durable: true})
		q.do(q.m.Restore(0, log[:cut], nil))
		q.until(5 * time.Minute)
		told := ""
		for at, what := range sent {
			if at <= cut {
				told += what
			}
		}
		for _, s := range q.sends {
			told += tells(s.Notification)
		}
		keys := map[string]*Entry{}
		for _, r := range log[:cut] {
			keys[r.Key] = r.Entry
		}
		for key, e := range keys {
			if e != nil && e.Group == nil && !e.Closed {
				require.Contains(t, told, "watch-"+key, "cut at %d", cut)
			}
		}
		for key := range keys {
			q.give(Resolve{DedupKey: key})
		}
		q.until(time.Hour)
		require.Empty(t, q.open("a"), "cut at %d", cut)
		require.Empty(t, q.m.Records(), "cut at %d", cut)
	}
}

func TestWhatWasUnderWayIsSentAgainUnderItsID(t *testing.T) {
	m := New(Options{IDPrefix: "one-", Storm: 5, Durable: true})
	var log []Record
	id := ""
	for _, key := range []string{"z", "k0", "k1", "k2", "k3", "k4", "k5", "k6"} {
		for _, e := range m.Step(0, Escalate{Notification: keyed(key, escalate.Trigger, 0), Plan: to("a")}, nil) {
			switch e := e.(type) {
			case Record:
				log = append(log, coded(t, e))
			case Send:
				id = e.ID // of z, and nothing else before it is answered
			}
		}
	}
	q := newProvider(Options{IDPrefix: "two-", Storm: 5, Durable: true})
	q.do(q.m.Restore(0, log, nil))
	q.until(time.Minute)
	var ids []string
	for _, s := range q.sends {
		ids = append(ids, s.ID)
	}
	require.Contains(t, ids, id)
	require.Len(t, ids, 4, "two, the one that was under way, and a group")
}

func TestEveryPrefixOfADigest(t *testing.T) {
	quiet, epoch := night()
	m := New(Options{Durable: true})
	m.Clock(0, epoch)
	plan := to("a")
	plan.Quiet = quiet
	var log []Record
	step := func(at time.Duration, in Input) {
		for _, e := range m.Step(at, in, nil) {
			if r, ok := e.(Record); ok {
				log = append(log, r)
			}
		}
	}
	for i := range 5 {
		n := keyed(fmt.Sprint("k", i), escalate.Trigger, detect.Warning)
		step(2*time.Hour, Escalate{Notification: n, Plan: plan})
		step(3*time.Hour, Resolve{DedupKey: n.DedupKey, Incident: n.Incident})
	}
	nothingForgotten(t, log)
	require.Equal(t, 5, m.digests["a"].digest.Count)
}

// nothingForgotten checks that however short a log is, what it has had is held
// or in a digest.
func nothingForgotten(t *testing.T, log []Record) {
	t.Helper()
	for cut := range len(log) + 1 {
		known := map[string]bool{}
		state := map[string]*Entry{}
		for _, r := range log[:cut] {
			state[r.Key] = r.Entry
			if r.Entry == nil || r.Entry.Digest == nil {
				known["watch-"+r.Key] = true
			}
		}
		for name := range known {
			held := state[strings.TrimPrefix(name, "watch-")] != nil
			for _, e := range state {
				held = held || e != nil && e.Digest != nil && slices.Contains(e.Digest.Names, name)
			}
			require.True(t, held, "%s is forgotten where the log ends at %d", name, cut)
		}
	}
}

func TestALotKeepsTheOrderOfDigests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a bubble begins at midnight, UTC
		store := &disk{takes: time.Second}
		d := NewDriver(DriverOptions{
			Store:   store,
			Deliver: func(context.Context, string, escalate.Notification) error { return nil },
		})
		plan := to("a")
		plan.Quiet, _ = night()
		for i := range 5 {
			n := keyed(fmt.Sprint("k", i), escalate.Trigger, detect.Warning)
			d.Input(Escalate{Notification: n, Plan: plan})
			d.Input(Resolve{DedupKey: n.DedupKey, Incident: n.Incident})
		}
		time.Sleep(time.Minute)
		log := store.all()
		require.Less(t, len(log), 10, "the latest of each key is enough")
		nothingForgotten(t, log)
		require.NoError(t, d.Drain(t.Context()))
	})
}
