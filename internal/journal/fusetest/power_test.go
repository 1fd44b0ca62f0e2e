//go:build linux

package fusetest

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/internal/journal"
	"github.com/selfheal-go/selfheal/internal/journal/simfs"
)

var small = journal.LogOptions{SegmentBytes: 16 << 10}

func TestMain(m *testing.M) {
	if dir := os.Getenv("SELFHEAL_FUSETEST_DIR"); dir != "" {
		if err := count(dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func number(n uint64) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, n), make([]byte, 50+n%200)...)
}

// last is the last number of a replay, in which none is missing.
func last(j interface {
	Report() journal.Report
}, replay func(func(journal.Record, error) bool)) (n uint64, err error) {
	for r, e := range replay {
		var d *journal.Damage
		if errors.As(e, &d) && d.Kind == journal.Torn {
			continue
		}
		if e != nil {
			return n, e
		}
		got := binary.LittleEndian.Uint64(r.Payload)
		if !r.Snapshot && got != n+1 {
			return n, fmt.Errorf("after %d comes %d", n, got)
		}
		n = got
	}
	if !j.Report().Sound() {
		return n, fmt.Errorf("damage: %v", j.Report().Damage)
	}
	return n, nil
}

// count counts in a journal until it is killed or the disk is gone, and says
// which numbers are durable.
func count(dir string) error {
	j, err := journal.Open(dir, journal.Options{Log: small})
	if err != nil {
		return err
	}
	n, err := last(j, j.Replay())
	if err != nil {
		return err
	}
	fmt.Println("state", n)
	for {
		if j.Status().Wants {
			if err := j.Snapshot([]journal.Entry{{Payload: number(n)}}, nil); err != nil && !errors.Is(err, journal.ErrSnapshotting) {
				return err
			}
		}
		n++
		if err := j.AppendSync(context.Background(), journal.Entry{Payload: number(n)}); err == nil {
			fmt.Println("acked", n)
		} else {
			fmt.Println("refused", n)
			time.Sleep(time.Millisecond)
		}
	}
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("SELFHEAL_REQUIRE_SERVICES") == "1" {
		t.Fatalf("this test needs %s", what)
	}
	t.Skipf("this test needs %s", what)
}

// A life is what a child said.
type life struct {
	acked, said uint64 // last number that it knew to be durable, that it spoke of
	errors      []string
}

// live runs a child on the disk until it has said enough, and kills it.
func live(t *testing.T, disk *simfs.FS, enough func(acked int) bool) (l life) {
	t.Helper()
	dir := t.TempDir()
	server, err := fs.Mount(dir, &root{disk: disk}, &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "selfheal-test", Name: "simfs"}})
	if err != nil {
		missing(t, fmt.Sprintf("a FUSE mount (%v): load the fuse module, and run it as root", err))
	}
	defer func() {
		if err := server.Unmount(); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
			_ = syscall.Unmount(dir, syscall.MNT_DETACH)
		}
	}()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SELFHEAL_FUSETEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	times, killed := 0, false
	for s := bufio.NewScanner(out); s.Scan(); {
		word, rest, _ := strings.Cut(s.Text(), " ")
		var n uint64
		_, _ = fmt.Sscan(rest, &n)
		switch word {
		case "acked":
			l.acked = n
			times++
		case "error":
			l.errors = append(l.errors, rest)
		}
		l.said = max(l.said, n)
		if !killed && enough(times) {
			killed = true
			require.NoError(t, cmd.Process.Kill())
		}
	}
	_ = cmd.Wait()
	return l
}

// The power goes at random effects, or between them; a sync fails now and then.
// What a process was told is durable is there, and nothing else but what it said.
func TestNoPowerCutLosesWhatWasAcknowledged(t *testing.T) {
	const rounds = 40
	disk, rng := simfs.New(1), rand.New(rand.NewPCG(1, 1))
	var known, said, durable uint64
	cuts := 0
	for round := range rounds {
		var cut atomic.Bool
		at, failing := disk.Ops()+50+rng.IntN(600), rng.IntN(3) == 0
		disk.SetHook(func(op simfs.Op) (f simfs.Fault) {
			if op.N >= at {
				cut.Store(true)
				return simfs.Fault{Cut: true, Err: syscall.EIO, Bytes: op.Len / 2}
			}
			if failing && op.Kind == simfs.Sync && op.N%97 == 0 {
				f.Err = syscall.EIO
			}
			return f
		})
		most := 1 + rng.IntN(250)
		l := live(t, disk, func(acked int) bool { return cut.Load() || acked >= most })
		if cut.Load() {
			cuts++
		} else if !failing {
			require.Empty(t, l.errors)
		}
		disk.SetHook(nil)
		disk.PowerCut()

		log, err := journal.OpenLog(disk.Clone(1), small)
		require.NoError(t, err)
		n, err := last(log, log.Replay())
		require.NoErrorf(t, err, "round %d", round)
		known, said = max(known, l.acked), max(said, l.said)
		require.GreaterOrEqualf(t, n, known, "round %d: acknowledged and lost", round)
		require.LessOrEqualf(t, n, said+1, "round %d: invented", round)
		durable = n
	}
	t.Logf("%d rounds, %d power cuts at an effect, %d numbers", rounds, cuts, durable)
	require.NotZero(t, cuts)
	require.Greater(t, durable, uint64(rounds))
}
