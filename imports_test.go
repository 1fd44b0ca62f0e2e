package selfheal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/selfheal-go/selfheal"

type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
	Module     struct{ Path string }
}

func packages(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps,Module", module+"/...")
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		t.Fatalf("go list: %s", failed.Stderr)
	}
	require.NoError(t, err)
	all := map[string]pkg{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := d.Decode(&p)
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
		all[p.ImportPath] = p
	}
}

// room is a package's place in the house: the lower knows nothing of the higher.
func room(path string) (level int, name string) {
	rel := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
	first, _, _ := strings.Cut(rel, "/")
	switch {
	case rel == "internal/leaktest", rel == "internal/redact", rel == "internal/process", rel == "internal/cgroup":
		return 0, rel // leaves
	case first == "detect":
		return 1, "detect"
	case first == "remediate":
		return 2, "remediate"
	case first == "escalate":
		return 3, "escalate"
	case rel == "evidence":
		return 4, rel
	case rel == "internal/incident":
		return 4, rel
	case rel == "internal/console", rel == "internal/outbox", rel == "internal/schedule", rel == "internal/trial", strings.HasPrefix(rel, "internal/journal"):
		return 4, rel
	case rel == "":
		return 5, "the root package"
	}
	return 6, first // builtin, selfhealtest, examples, cmd
}

// Imports run one way, and the order is the control loop.
func TestImportsRunOneWay(t *testing.T) {
	for path, p := range packages(t) {
		if p.Module.Path != module {
			continue
		}
		level, name := room(path)
		for _, dep := range p.Imports {
			if !strings.HasPrefix(dep, module) {
				continue
			}
			to, other := room(dep)
			switch {
			case level == 0:
				t.Errorf("%s imports %s: a leaf imports nothing of this module, so that every room may use it without taking on another", path, dep)
			case to > level:
				t.Errorf("%s imports %s: imports run detect ← remediate ← escalate ← internal/incident ← root ← the rest, so %s must not know %s; pass what it needs as a value or a function", path, dep, name, other)
			case level == 4 && to == 4 && !strings.HasPrefix(path, dep):
				t.Errorf("%s imports %s: the machines of internal/ know nothing of each other; the root package joins them", path, dep)
			case level == 6 && to == 6 && strings.HasPrefix(name, "builtin") && strings.HasPrefix(other, "builtin"):
				t.Errorf("%s imports %s: packs never import packs; lift what they share into detect, remediate or a leaf of internal", path, dep)
			}
		}
	}
}

// Each room may lean on few others' code, because whoever imports it takes that on.
func TestRoomsStayLean(t *testing.T) {
	allowed := map[string][]string{
		"leaf":       nil,
		"detect":     nil,
		"remediate":  {"github.com/cenkalti/backoff/v4"},
		"escalate":   nil,
		"internal/*": {"github.com/cenkalti/backoff/v4", "golang.org/x/sys"},
		"root":       {"github.com/cenkalti/backoff/v4", "github.com/prometheus/", "go.opentelemetry.io/otel", "golang.org/x/sync", "golang.org/x/sys"},
	}
	for path, p := range packages(t) {
		if p.Module.Path != module {
			continue
		}
		level, _ := room(path)
		key := map[int]string{0: "leaf", 1: "detect", 2: "remediate", 3: "escalate", 4: "internal/*", 5: "root", 6: "root"}[level]
		for _, dep := range p.Imports {
			if strings.HasPrefix(dep, module) || !strings.Contains(dep, ".") {
				continue
			}
			ok := false
			for _, prefix := range allowed[key] {
				ok = ok || strings.HasPrefix(dep, prefix)
			}
			if !ok {
				t.Errorf("%s imports %s: %s may import only the standard library and %q; vendor clients live in nested modules, testify in tests", path, dep, key, allowed[key])
			}
		}
	}
}

// The engine is a function of its inputs.
func TestTheEngineIsPure(t *testing.T) {
	for _, path := range []string{module + "/internal/incident"} {
		for _, dep := range packages(t)[path].Imports {
			switch dep {
			case "sync", "sync/atomic", "os", "net", "net/http", "io", "math/rand", "math/rand/v2", "crypto/rand", "context", "log/slog":
				t.Errorf("%s imports %s: the machine has no goroutine, lock, I/O or chance; let the shell do it and feed the result back as an input", path, dep)
			}
		}
	}
}
