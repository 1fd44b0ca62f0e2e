package selfheal_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// sink is where something ends up.
type sink struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Secrets are planted wherever the supervisor takes text in, and none of them
// comes out anywhere, while the action sees the finding as it is.
func TestNoSecretLeaves(t *testing.T) {
	const known = "canary-known-by-value"
	canaries := []string{known, "canary-in-summary", "canary-in-label", "canary-in-evidence", "canary-in-error", "canary-in-url", "canary-of-step", "canary-of-notifier", "canary-of-blind"}
	logs, told := new(sink), new(sink)
	dir := filepath.Join(t.TempDir(), "journal")
	j, err := selfheal.OpenJournal(dir)
	require.NoError(t, err)
	var refused sync.Once
	page := escalate.Named("page", escalate.NotifierFunc(func(_ context.Context, n escalate.Notification) error {
		b, err := json.Marshal(n)
		if err != nil {
			return err
		}
		_, _ = told.Write(append(b, n.Text()...))
		fail := false
		refused.Do(func() { fail = true })
		if fail {
			return errors.New("post https://user:canary-of-notifier@hooks.example/x: 500")
		}
		return nil
	}))
	finding := detect.Finding{
		Summary: "login failed: password=canary-in-summary and " + known,
		Labels:  map[string]string{"api_token": "canary-in-label", "region": "eu"},
		Evidence: []slog.Attr{
			slog.String("authorization", "Bearer canary-in-evidence"), slog.Any("error", errors.New("secret=canary-in-error")),
		},
	}
	saw := make(chan detect.Finding, 1)
	s := selfheal.New(selfheal.Options{
		Journal: j, Every: 20 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Escalate: escalate.To(page), Secrets: []detect.Secret{known},
	})
	s.Watch(selfheal.Watch{
		Name: "leaky", Runbook: "https://user:canary-in-url@wiki.example/runbook", KeepFor: time.Second,
		Detector: detect.Func(func(context.Context) ([]detect.Finding, error) { return []detect.Finding{finding}, nil }),
		Playbook: remediate.Ladder(remediate.Step{
			Name: "fix", Risk: remediate.Safe, Settle: 20 * time.Millisecond,
			Run: func(_ context.Context, req remediate.Request) error {
				saw <- req.Finding
				req.Log.Warn("trying", "password", "canary-of-step")
				return errors.New("connect: token=canary-of-step")
			},
		}),
	}, selfheal.Watch{
		Name: "blind", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
			return nil, errors.New("dial postgres://app:canary-of-blind@db/orders: refused")
		}),
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	require.Equal(t, finding.Summary, (<-saw).Summary, "the action sees it as it is")
	require.Eventually(t, func() bool {
		return strings.Contains(told.String(), "exhausted") && len(s.Status().Watches[0].Blind) > 0
	}, 10*time.Second, 10*time.Millisecond)
	status, err := json.Marshal(s.Status())
	require.NoError(t, err)
	served := httptest.NewRecorder()
	s.Handler().ServeHTTP(served, httptest.NewRequest("GET", "http://127.0.0.1/", nil))
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, j.Close())

	sinks := map[string]string{"log": logs.String(), "notices": told.String(), "status": string(status), "handler": served.Body.String()}
	require.NoError(t, filepath.WalkDir(filepath.Dir(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		sinks["journal "+filepath.Base(path)] = string(b)
		if bundle, err := zip.NewReader(bytes.NewReader(b), int64(len(b))); err == nil {
			for _, f := range bundle.File {
				r, err := f.Open()
				require.NoError(t, err)
				b, err := io.ReadAll(r)
				require.NoError(t, err)
				sinks["evidence "+f.Name] = string(b)
			}
		}
		return err
	}))
	require.Contains(t, sinks, "evidence incident.json")
	for name, text := range sinks {
		for _, c := range canaries {
			if i := strings.Index(text, c); i >= 0 {
				t.Errorf("%s leaks %s: %s", name, c, fmt.Sprintf("%.160q", text[max(0, i-80):]))
			}
		}
	}
	require.Contains(t, told.String(), "login failed", "what is no secret stays readable")
	require.Contains(t, told.String(), `"region":"eu"`)
}
