package disk

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
)

// A process that stood still doubts what it reads: a file system that filled up
// meanwhile is found, and nothing is removed from it while the process is in tilt.
func TestAStoppedProcessHolds(t *testing.T) {
	full := tmpfs(t, "size=4m,nr_inodes=1000")
	healer, said := play(t, "heal", full)
	require.NoError(t, healer.Process.Signal(unix.SIGSTOP))
	require.Eventually(t, func() bool { return stopped(t, healer.Process.Pid) }, 20*time.Second, time.Millisecond)
	n := fill(t, full, 64<<10)
	time.Sleep(3 * time.Second) // a supervisor doubts itself when it is 2 s late
	require.NoError(t, healer.Process.Signal(unix.SIGCONT))

	lines := make(chan string)
	go func() {
		defer close(lines)
		for {
			line, err := said.ReadString('\n')
			if err != nil {
				return // the child was killed
			}
			select {
			case lines <- line:
			case <-t.Context().Done():
				return
			}
		}
	}()
	deadline := time.After(time.Minute)
	var all []string
	for held := false; !held; {
		select {
		case line, ok := <-lines:
			require.True(t, ok, "the child ended: %q", all)
			all = append(all, line)
			require.NotContains(t, line, "step clean", "it acted while it doubted itself")
			held = line == "hold space["+full+"] clean: tilt\n"
		case <-deadline:
			t.Fatalf("nothing is held: %q", all)
		}
	}
	require.Contains(t, strings.Join(all, ""), "tilt: the supervisor was")
	require.Len(t, names(t, full), n)
}

// superviseTmpfs cleans dir until its stdin is closed, and prints what it does.
func superviseTmpfs(dir string) int {
	w := Space(Options{Paths: []string{dir}, Every: 50 * time.Millisecond, Patience: 20 * time.Second, Clean: JanitorOptions{Dirs: []string{dir}, Keep: 1}})
	w.For = 100 * time.Millisecond
	judge, looks := w.Detector, atomic.Int32{}
	w.Detector = detect.Func(func(ctx context.Context) ([]detect.Finding, error) {
		if looks.Add(1) == 5 {
			fmt.Println("ready")
		}
		return judge.Detect(ctx)
	})
	s := selfheal.New(selfheal.Options{
		Logger: quiet(), Escalate: policy(),
		Observer: selfheal.ObserverFunc(func(_ context.Context, e selfheal.Event) { fmt.Println(e) }),
	})
	s.Watch(w)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	if err := s.Run(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}
