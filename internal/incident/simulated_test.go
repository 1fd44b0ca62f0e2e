package incident

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// What the simulator has found, each in as few inputs as show it.

func did(context.Context, remediate.Request) error { return nil }

// one takes a step of one instant, arbitration included.
func one(e *Engine, at At, ins ...Input) (all []Decision) {
	all = append(all, e.Step(at, ins...)...)
	return append(all, e.Arbitrate(at)...)
}

func only(ds []Decision, k DecisionKind) (some []Decision) {
	for _, d := range ds {
		if d.Kind == k {
			some = append(some, d)
		}
	}
	return some
}

func sickLook(watch string, at At) Input {
	return Input{Kind: InLook, Watch: watch, Started: at, Findings: []detect.Finding{{Summary: "sick"}}}
}

func risk(name string, tries int) remediate.Step {
	return remediate.Step{Name: name, Run: did, Undo: did, Scope: remediate.Host, Risk: remediate.Disruptive, Settle: time.Second, Retry: remediate.Backoff{Tries: tries}}
}

// A try that a rail stops after its attempt had begun takes back itself alone: what
// an earlier try did is spent, and its undo is owed.
func TestATryThatIsWithdrawnKeepsTheTriesBeforeIt(t *testing.T) {
	e := New(Options{})
	one(e, 0, Input{Kind: InAdd, Add: &Watch{Name: "a", Every: time.Second, Pages: true, Playbook: remediate.Ladder(risk("shed", 2))}})
	ran := only(one(e, 0, sickLook("a", 0)), DoRun)
	require.Len(t, ran, 1)
	id := ran[0].Incident
	one(e, secs(1), Input{Kind: InRan, Incident: id, Attempt: 1, Try: 1, Result: Fail, Err: errFailedToSee})
	require.Len(t, only(one(e, secs(3)), DoRun), 1, "the second try")
	one(e, secs(3), Input{Kind: InTilt, Note: "late"}, Input{Kind: InRan, Incident: id, Attempt: 1, Try: 2, Result: Withdrawn})

	o, _ := e.Overview("a")
	require.Len(t, o.Incidents, 1)
	attempts := o.Incidents[0].Incident.Attempts
	require.Len(t, attempts, 1)
	require.Equal(t, remediate.Failed, attempts[0].Outcome)
	require.Equal(t, 1, attempts[0].Tries)
	require.ErrorIs(t, attempts[0].Err, errFailedToSee)
	require.Equal(t, 1, e.Whole().BudgetUsed)
}

// What is withdrawn gives its own place in the budget back, and not that of one
// that began later and runs.
func TestWhatIsWithdrawnGivesItsOwnBudgetBack(t *testing.T) {
	e := New(Options{MaxConcurrent: 2})
	for _, name := range []string{"a", "b"} {
		one(e, 0, Input{Kind: InAdd, Add: &Watch{Name: name, Every: time.Second, Pages: true, Playbook: remediate.Ladder(risk("shed", 1))}})
	}
	first := only(one(e, 0, sickLook("a", 0)), DoRun)
	require.Len(t, only(one(e, secs(10), sickLook("b", secs(10))), DoRun), 1)
	one(e, secs(11), Input{Kind: InHalt, By: "ann", Note: "wait"}, Input{Kind: InRan, Incident: first[0].Incident, Attempt: 1, Try: 1, Result: Withdrawn})
	require.Equal(t, 1, e.Whole().BudgetUsed)
	one(e, time.Hour+secs(5), Input{Kind: InTick})
	require.Equal(t, 1, e.Whole().BudgetUsed, "that of b, which began at 10 s")
}

// A silence that has expired does not come back with a reboot, from which on no
// clock can tell how long ago it was.
func TestASilenceThatExpiredIsOverAfterAReboot(t *testing.T) {
	l := newLives(t, Options{})
	w, _ := l.begin(Watch{Name: "a", Every: time.Second})
	w.silence("q", "a", "", time.Minute)
	w.until(2 * time.Minute)
	l.reboot()
	w, _ = l.begin(Watch{Name: "a", Every: time.Second})
	require.Empty(t, w.e.Whole().Silences)
}

// Where the process dies after it was recorded that people were told, and before
// those who deliver it knew, they are told again: of a blind detector, of a storm,
// and of what was said last.
func TestWhatWasToldAndNeverHandedOverIsToldAgain(t *testing.T) {
	saved := NewSaved()
	saved.Apply(Record{Watch: &WatchRecord{Watch: "a", BlindID: "b1", BlindAgo: time.Minute}}, Moment{})
	saved.Apply(Record{Storm: &StormRecord{On: true, ID: "s1", Watches: []string{"a"}}}, Moment{})
	told := IncidentRecord{Told: true, Acked: true}
	told.Snapshot = escalate.Incident{ID: "i1", Watch: "a", Reason: escalate.UndoFailed, Detail: "put it back"}
	told.Snapshot.Finding.Key = "k"
	saved.Apply(Record{Incident: &told}, Moment{})
	e := New(Options{Durable: true})
	e.Restore(saved, Moment{})
	e.Step(0, Input{Kind: InAdd, Add: &Watch{Name: "a", Every: time.Second, Pages: true}})

	said := map[string]escalate.Reason{"i1": escalate.Exhausted}
	ids := e.Untold(func(id string) (escalate.Reason, bool) { r, ok := said[id]; return r, ok })
	require.Equal(t, []string{"b1", "i1", "s1"}, ids)
	for _, id := range ids {
		tells := only(e.Step(0, Input{Kind: InUntold, Incident: id}), DoTell)
		require.Len(t, tells, 1)
		require.Equal(t, id, tells[0].Notice.DedupKey)
	}

	said = map[string]escalate.Reason{"i1": escalate.UndoFailed, "b1": escalate.Blind, "s1": escalate.Storm}
	require.Empty(t, e.Untold(func(id string) (escalate.Reason, bool) { r, ok := said[id]; return r, ok }))
}

// A ladder that was over stays over, also where the supervisor was shut down while
// it put things back; and people are told why it ended.
func TestALadderThatWasOverIsNotClimbedAgainAfterAShutdown(t *testing.T) {
	w := Watch{Name: "a", Every: time.Second, Pages: true, Playbook: remediate.Ladder(risk("shed", 1), risk("restart", 1))}
	over := IncidentRecord{
		Over: true, Undoing: true, UndoPick: uint8(everything), UndoThen: uint8(parking), Number: 1,
		Ended: escalate.Unverified, EndedHow: "nobody can tell", Plan: w.Playbook.Fingerprint(),
	}
	over.Snapshot = escalate.Incident{ID: "i1", Watch: "a", Attempts: []remediate.Attempt{{Step: "shed", Outcome: remediate.Unverified, Undone: true}}}
	saved := NewSaved()
	saved.Apply(Record{Incident: &over}, Moment{})
	e := New(Options{Durable: true})
	e.Restore(saved, Moment{})
	ds := one(e, 0, Input{Kind: InAdd, Add: &w})
	ds = append(ds, one(e, secs(1), sickLook("a", secs(1)))...)
	require.Empty(t, only(ds, DoRun))
	tells := only(ds, DoTell)
	require.Len(t, tells, 1)
	require.Equal(t, escalate.Unverified, tells[0].Notice.Incident.Reason)
}

// The watches of which something is left have one order.
func TestWhatIsLeftHasOneOrder(t *testing.T) {
	saved := NewSaved()
	for _, name := range []string{"c", "a", "d", "b"} {
		saved.Apply(Record{Watch: &WatchRecord{Watch: name}}, Moment{})
	}
	require.Equal(t, []string{"a", "b", "c", "d"}, saved.Watches())
}

// An undo that was decided just before a halt, and not called yet, stays owed until
// somebody resumes.
func TestAnUndoThatIsWithdrawnStaysOwed(t *testing.T) {
	e := New(Options{})
	one(e, 0, Input{Kind: InAdd, Add: &Watch{Name: "a", Every: time.Second, Pages: true, Playbook: remediate.Ladder(risk("shed", 1))}})
	id := only(one(e, 0, sickLook("a", 0)), DoRun)[0].Incident
	one(e, secs(1), Input{Kind: InRan, Incident: id, Attempt: 1, Try: 1, Result: OK})
	one(e, secs(2), Input{Kind: InTick})
	require.Len(t, only(one(e, secs(3), Input{Kind: InLook, Watch: "a", Started: secs(3)}), DoUndo), 1)
	require.True(t, e.MayUndo())
	one(e, secs(3), Input{Kind: InHalt, By: "ann", Note: "wait"})
	require.False(t, e.MayUndo())
	ds := one(e, secs(3), Input{Kind: InUndone, Incident: id, Attempt: 1, Result: Withdrawn})
	require.Empty(t, only(ds, DoUndo))
	require.Equal(t, 1, e.Whole().OwedUndos)
	ds = one(e, secs(9), Input{Kind: InResume, By: "ann"})
	undo := only(ds, DoUndo)
	require.Len(t, undo, 1)
	require.Equal(t, 1, undo[0].Try)
}

// A life that ends between a rung that made it worse and the next does not climb
// that rung again: it is put back first, and the next one follows.
func TestARungThatIsPutBackIsNotClimbedAgainAfterACrash(t *testing.T) {
	w := Watch{Name: "a", Every: time.Second, Pages: true, Playbook: remediate.Ladder(risk("shed", 1), risk("restart", 1))}
	for then, undos := range map[then]int{climbing: 1, parking: 0} {
		r := IncidentRecord{
			Undoing: true, UndoPick: uint8(last), UndoThen: uint8(then), Number: 1, Plan: w.Playbook.Fingerprint(),
			Owed: []OwedRecord{{Attempt: 1, Step: "shed", Scope: remediate.Host}},
		}
		r.Snapshot = escalate.Incident{ID: "i1", Watch: "a", Attempts: []remediate.Attempt{{Step: "shed", Outcome: remediate.NoEffect, Owed: true}}}
		saved := NewSaved()
		saved.Apply(Record{Incident: &r}, Moment{})
		e := New(Options{Durable: true})
		e.Restore(saved, Moment{})
		ds := one(e, 0, Input{Kind: InAdd, Add: &w})
		undo := only(ds, DoUndo)
		require.Len(t, undo, undos)
		if undos > 0 {
			one(e, secs(1), Input{Kind: InUndone, Incident: "i1", Attempt: 1})
		}
		ran := only(one(e, secs(2), sickLook("a", secs(2))), DoRun)
		require.Len(t, ran, 1)
		require.Equal(t, 1, ran[0].Step, "the second rung")
	}
}

// An approval is good for 15 minutes. Where a reboot leaves open how long ago it was
// given, a person is asked again.
func TestAnApprovalEndsWithAReboot(t *testing.T) {
	w := Watch{Name: "a", Every: time.Second, Pages: true, Mode: Propose, Playbook: remediate.Ladder(risk("shed", 1))}
	r := IncidentRecord{ApprovedIn: 15 * time.Minute, Plan: w.Playbook.Fingerprint()}
	r.Snapshot = escalate.Incident{ID: "i1", Watch: "a"}
	for boot, runs := range map[string]int{"boot-1": 1, "boot-2": 0} {
		saved := NewSaved()
		saved.Apply(Record{Incident: &r}, Moment{Boot: "boot-1"})
		e := New(Options{Durable: true})
		e.Restore(saved, Moment{Boot: boot, Up: time.Minute})
		one(e, 0, Input{Kind: InAdd, Add: &w})
		require.Len(t, only(one(e, secs(1), sickLook("a", secs(1))), DoRun), runs)
	}
}
