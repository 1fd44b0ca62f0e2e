package disk

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// missing skips a test that needs what this machine has not, or fails it where
// everything has to be there.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("SELFHEAL_REQUIRE_SERVICES") == "1" {
		t.Fatalf("this test needs %s", what)
	}
	t.Skipf("this test needs %s", what)
}

// tmpfs mounts a real file system of a given size.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	dir := privateDir(t)
	if err := unix.Mount("selfheal-test", dir, "tmpfs", 0, options+",mode=0700"); err != nil {
		missing(t, fmt.Sprintf("the right to mount a tmpfs (%v): run it as root", err))
	}
	t.Cleanup(func() { unmount(t, dir) })
	return dir
}

func bind(t *testing.T, from, to string) {
	t.Helper()
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		missing(t, fmt.Sprintf("the right to bind-mount (%v): run it as root", err))
	}
	t.Cleanup(func() { unmount(t, to) })
}

// unmount leaves no mount behind, also where the test left something in use.
func unmount(t *testing.T, dir string) {
	if err := unix.Unmount(dir, 0); err != nil {
		t.Errorf("something is left in use in %s: %v", dir, err)
		_ = unix.Unmount(dir, unix.MNT_DETACH)
	}
}

// privateDir is a directory by its real path.
func privateDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	return dir
}

// old is when the files of a test were changed: before any clock, a bubble's too.
var old = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

// file writes a file of n bytes that is age older than old.
func file(t testing.TB, dir, name string, n int, age time.Duration) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, make([]byte, n), 0o600))
	require.NoError(t, os.Chtimes(path, old.Add(-age), old.Add(-age)))
	return path
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	all := []string{}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// as starts this test binary again to play a part, and returns once it said
// "ready". It is killed when the test ends.
func as(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	cmd, _ := play(t, role, args...)
	return cmd
}

// play is as, and returns what the child says after that too.
func play(t *testing.T, role string, args ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SELFHEAL_DISK_CHILD="+role, "SELFHEAL_DISK_ARGS="+strings.Join(args, "\x1f"))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	in, err := cmd.StdinPipe() // a child ends when it is closed
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		in.Close()
		_ = cmd.Wait()
	})
	said := bufio.NewReader(out)
	line, err := said.ReadString('\n')
	require.NoError(t, err, "the child %q ended early", role)
	require.Equal(t, "ready\n", line, "the child %q", role)
	return cmd, said
}

func child(role string) int {
	args := strings.Split(os.Getenv("SELFHEAL_DISK_ARGS"), "\x1f")
	hold := func() {
		fmt.Println("ready")
		_, _ = os.Stdin.Read(make([]byte, 1))
	}
	switch role {
	case "open": // keeps a file open
		f, err := os.Open(args[0])
		if err != nil {
			return 1
		}
		hold()
		return errorCode(f.Close())
	case "map": // keeps a file mapped, with no descriptor open
		f, err := os.Open(args[0])
		if err != nil {
			return 1
		}
		m, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil || f.Close() != nil {
			return 1
		}
		hold()
		return errorCode(unix.Munmap(m))
	case "plan": // says what a janitor would do
		r, err := NewJanitor(JanitorOptions{Dirs: args[:1], Keep: 1, MinAge: -1}).Plan(ctx())
		if err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(r)
		return 0
	case "heal": // a supervisor that cleans a file system
		return superviseTmpfs(args[0])
	case "fuse": // a file system that answers until it is stopped
		return serveFUSE(args[0], hold)
	}
	return 1
}

func errorCode(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

// serveFUSE mounts a file system at dir whose daemon this process is. It knows
// three questions: INIT, GETATTR of the root, and STATFS.
func serveFUSE(dir string, hold func()) int {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		fmt.Println("no fuse:", err)
		return 1
	}
	err = unix.Mount("selfheal-test", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV,
		fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fd))
	if err != nil {
		fmt.Println("no fuse:", err)
		return 1
	}
	go func() {
		in := make([]byte, 1<<18)
		for {
			n, err := unix.Read(fd, in)
			if err == unix.EINTR || err == unix.ENOENT {
				continue
			}
			if err != nil || n < 40 {
				os.Exit(0) // unmounted
			}
			answerFUSE(fd, binary.NativeEndian.Uint32(in[4:]), binary.NativeEndian.Uint64(in[8:]))
		}
	}()
	hold()
	return 0
}

func answerFUSE(fd int, opcode uint32, unique uint64) {
	var body []byte
	failed := int32(0)
	u32, u64 := binary.NativeEndian.PutUint32, binary.NativeEndian.PutUint64
	switch opcode {
	case 26: // INIT
		body = make([]byte, 64)
		u32(body, 7)
		u32(body[4:], 31)
		u32(body[20:], 4096)
	case 3: // GETATTR
		body = make([]byte, 104)
		u64(body[16:], 1)
		u32(body[76:], unix.S_IFDIR|0o755)
		u32(body[80:], 2)
	case 17: // STATFS
		body = make([]byte, 80)
		for i, v := range []uint64{1000, 900, 900, 1000, 900} {
			u64(body[8*i:], v)
		}
		u32(body[40:], 4096)
		u32(body[44:], 255)
		u32(body[48:], 4096)
	case 2, 36, 42: // FORGET, INTERRUPT, BATCH_FORGET want no answer
		return
	default:
		failed = -int32(unix.ENOSYS)
	}
	out := make([]byte, 16, 16+len(body))
	u32(out, uint32(16+len(body)))
	u32(out[4:], uint32(failed))
	u64(out[8:], unique)
	_, _ = unix.Write(fd, append(out, body...))
}
