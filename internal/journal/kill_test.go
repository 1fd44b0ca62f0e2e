//go:build unix

package journal_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/journal"
)

// A witness reads what a child says.
type witness struct {
	started               bool
	state, acked, refused uint64 // the last of each
	ackedIn               int    // in this life
	lines                 map[string]int
	errors                []string
}

// watch reads to the end, and calls each after every line.
func (w *witness) watch(t testing.TB, out io.Reader, each func()) {
	w.lines = map[string]int{}
	for s := bufio.NewScanner(out); s.Scan(); each() {
		word, rest, _ := strings.Cut(s.Text(), " ")
		w.lines[word]++
		var n uint64
		_, _ = fmt.Sscan(rest, &n)
		switch word {
		case "state":
			w.started, w.state = true, n
		case "acked":
			require.Greater(t, n, w.acked)
			w.acked = n
			w.ackedIn++
		case "refused":
			w.refused = max(w.refused, n)
		case "error":
			w.errors = append(w.errors, rest)
		}
	}
}

func counting(dir string, count int, prefix ...string) *exec.Cmd {
	args := append(prefix, os.Args[0])
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "SELFHEAL_JOURNAL_CHILD=count", "SELFHEAL_JOURNAL_DIR="+dir, fmt.Sprint("SELFHEAL_JOURNAL_COUNT=", count))
	cmd.Stderr = os.Stderr
	return cmd
}

// fromOutside is the last number in a journal, by a reader. Between its first
// record and the last every number must be there, but for what a snapshot has.
func fromOutside(t testing.TB, dir string) (n uint64) {
	t.Helper()
	r, err := journal.NewReader(dir)
	require.NoError(t, err)
	gap := true
	for rec, err := range r.All() {
		var d *journal.Damage
		if errors.As(err, &d) {
			require.True(t, d.Superseded || d.Kind == journal.Torn, "%v", d)
			gap = true
			continue
		}
		require.NoError(t, err)
		got := binary.LittleEndian.Uint64(rec.Payload)
		require.Equal(t, string(number(got, len(rec.Payload)-8)), string(rec.Payload))
		if rec.Snapshot {
			require.GreaterOrEqual(t, got, n)
		} else if !gap {
			require.Equal(t, n+1, got)
		}
		n, gap = got, false
	}
	return n
}

// A real process is killed at random points, again and again on one journal.
func TestKilledProcessesLoseNothing(t *testing.T) {
	dir, rng := t.TempDir(), rand.New(rand.NewPCG(1, 1))
	rounds := often(50, 500)
	var w witness
	unacked := 0
	for round := range rounds {
		cmd := counting(dir, 1_000_000)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		killed := false
		kill := func() {
			killed = true
			require.NoError(t, cmd.Process.Kill())
		}
		after := rng.IntN(200)
		if round%10 == 9 {
			kill() // while it starts
		}
		w.ackedIn, w.started = 0, false
		w.watch(t, out, func() {
			if !killed && w.started && w.ackedIn >= after {
				kill()
			}
		})
		_ = cmd.Wait()
		require.Empty(t, w.errors)
		n := fromOutside(t, dir)
		require.GreaterOrEqualf(t, n, w.acked, "round %d: acknowledged and lost", round)
		require.LessOrEqualf(t, n, w.acked+8, "round %d: invented", round)
		require.LessOrEqual(t, w.state, n)
		unacked += int(n - w.acked)
		w.acked = n // it is on record now, so it stays
	}
	t.Logf("%d rounds, %d numbers acknowledged, %d durable without", rounds, w.acked, unacked)
	require.Greater(t, w.acked, uint64(rounds))
}
