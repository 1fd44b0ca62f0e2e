package remediate

import (
	"encoding"
	"testing"

	"github.com/stretchr/testify/require"
)

type word8 interface {
	~uint8
	String() string
	encoding.TextMarshaler
}

// checkWords holds a type to its words: each is read back as what wrote it, and
// what is unknown is shown with its number and refused with the choices.
func checkWords[T word8, P interface {
	*T
	encoding.TextUnmarshaler
}](t *testing.T, unknown string, words map[T]string) {
	t.Helper()
	for v, want := range words {
		text, err := v.MarshalText()
		require.NoError(t, err)
		require.Equal(t, want, string(text))
		require.Equal(t, want, v.String())
		var back T
		require.NoError(t, P(&back).UnmarshalText(text))
		require.Equal(t, v, back)
	}
	require.Equal(t, unknown, T(200).String())
	var back T
	err := P(&back).UnmarshalText([]byte("nonsense"))
	require.ErrorContains(t, err, `"nonsense": use one of`)
	require.Zero(t, back)
}

func TestWords(t *testing.T) {
	checkWords(t, "phase(200)", map[Phase]string{Run: "run", Undo: "undo", Verify: "verify"})
	checkWords(t, "scope(200)", map[Scope]string{Self: "self", Host: "host", Peer: "peer", Shared: "shared"})
	checkWords(t, "risk(200)", map[Risk]string{Safe: "safe", Disruptive: "disruptive", Destructive: "destructive"})
	checkWords(t, "outcome(200)", map[Outcome]string{
		Running: "running", Healed: "healed", NoEffect: "no effect", Moved: "moved", Worse: "worse",
		Failed: "failed", Skipped: "skipped", Unverified: "unverified", InForce: "in force",
	})
	require.Equal(t, "disruptive", Risk(0).String(), "whoever says nothing gets the rails")
	require.Equal(t, Disruptive, Risk(0).Level())
	require.True(t, Risk(0).AboveSafe())
	require.False(t, Safe.AboveSafe())
	for scope, needs := range map[Scope]bool{Self: false, Host: false, Peer: true, Shared: true} {
		require.Equal(t, needs, scope.NeedsFleet(), scope)
	}
}

func TestKey(t *testing.T) {
	require.Equal(t, "orders/queue-7/shed/2/undo", Request{Incident: "orders/queue-7", Step: "shed", Attempt: 2, Try: 9, Phase: Undo}.Key())
}
