package evidence

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// TestMain plays the part that the environment asks for, in a child of a test, else
// runs the tests and fails the run when they leave goroutines behind.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SELFHEAL_EVIDENCE_CHILD"); dir != "" {
		play := capturer
		if os.Getenv("SELFHEAL_EVIDENCE_WRITES") != "" {
			play = writer
		}
		if err := play(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	left := leaked()
	for until := time.Now().Add(10 * time.Second); len(left) > 0 && time.Now().Before(until); left = leaked() {
		time.Sleep(5 * time.Millisecond)
	}
	if code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines are left:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

func leaked() (stacks []string) {
	buf := make([]byte, 1<<20)
	for _, s := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		ours := strings.Contains(s, "selfheal-go/selfheal/") || strings.Contains(s, "os/exec.")
		if ours && !strings.Contains(s, ".TestMain(") {
			stacks = append(stacks, s)
		}
	}
	return stacks
}

func newStore(t testing.TB, o StoreOptions) *Store {
	t.Helper()
	s, err := OpenStore(o)
	require.NoError(t, err)
	return s
}

// shelves are both kinds of store, of an empty directory where they need one.
func shelves(t *testing.T, f func(t *testing.T, o StoreOptions)) {
	t.Run("memory", func(t *testing.T) { f(t, StoreOptions{}) })
	t.Run("directory", func(t *testing.T) { f(t, StoreOptions{Dir: filepath.Join(t.TempDir(), "evidence")}) })
}

func patient() escalate.Incident {
	return escalate.Incident{
		ID: "inc-7", Watch: "orders/queue-depth", Opened: time.Now(), State: escalate.Acting,
		Finding:  detect.Finding{Key: "eu", Severity: detect.Critical, Summary: "9000 is above 5000"},
		Attempts: []remediate.Attempt{{Step: "scale"}, {Step: "shed"}},
	}
}

func read(t testing.TB, s *Store, ref string) []byte {
	t.Helper()
	c, err := s.Open(ref)
	require.NoError(t, err)
	data, err := io.ReadAll(c)
	require.NoError(t, errors.Join(err, c.Close()))
	require.Len(t, data, int(c.Bytes))
	return data
}

// unpacked are the files of a bundle, manifest included.
func unpacked(t testing.TB, s *Store, ref string) map[string][]byte {
	t.Helper()
	data := read(t, s, ref)
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	files := map[string][]byte{}
	for _, f := range z.File {
		require.True(t, fs.ValidPath(f.Name) && !strings.ContainsAny(f.Name, `/\:`), f.Name)
		r, err := f.Open()
		require.NoError(t, err)
		files[f.Name], err = io.ReadAll(r)
		require.NoError(t, errors.Join(err, r.Close()))
	}
	return files
}

// gather captures once and returns the bundle.
func gather(t testing.TB, g escalate.Gatherer, s *Store) (Info, map[string][]byte) {
	t.Helper()
	found, err := g.Gather(context.Background(), patient())
	require.NoError(t, err)
	require.NotEmpty(t, found)
	all, err := s.List()
	require.NoError(t, err)
	require.Equal(t, all[0].Ref, found[0].Ref)
	return all[0], unpacked(t, s, found[0].Ref)
}

func notes(i Info) string {
	var b strings.Builder
	for _, n := range i.Notes {
		fmt.Fprintf(&b, "%s: %s\n", n.Part, n.Why)
	}
	return b.String()
}

// goTool runs a tool of Go on a file with this content.
func goTool(t *testing.T, content []byte, tool ...string) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		if os.Getenv("SELFHEAL_REQUIRE_SERVICES") == "1" {
			t.Fatal("go is not in PATH: install Go, whose pprof and trace tools open what is captured")
		}
		t.Skip("go is not in PATH: install Go, whose pprof and trace tools open what is captured")
	}
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, content, 0o600))
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"tool"}, tool...), name)...)
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "%s", stderr.String())
	return stdout.String()
}

func text(name, data string) Part {
	return Part{Name: name, Type: TextType, Write: func(_ context.Context, _ escalate.Incident, w io.Writer) error {
		_, err := io.WriteString(w, data)
		return err
	}}
}
