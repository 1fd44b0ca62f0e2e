package browsertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

const patience = time.Minute // with a browser on a busy machine

// missing skips a test that needs what is not here, or fails it where it must run.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("SELFHEAL_REQUIRE_SERVICES") == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// stage is a service with its console, and the switches of its faults.
type stage struct {
	*selfheal.Supervisor
	url   string
	depth atomic.Int64 // of a queue, which a step can shorten
	store atomic.Bool  // full, until somebody lets a step drop from it
	disk  atomic.Bool  // out of reach of this process

	mu    sync.Mutex
	links map[string]string // of notices, the latest of each kind
}

// tell is the pager: it keeps the links.
func (g *stage) tell(_ context.Context, n escalate.Notification) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range n.Links {
		g.links[l.Text] = l.Href
	}
	return nil
}

func (g *stage) link(text string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.links[text]
}

func play(t *testing.T, more ...selfheal.Watch) *stage {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	g := &stage{links: map[string]string{}, url: "http://" + srv.Listener.Addr().String() + "/ops/selfheal/"}
	finding := func(on *atomic.Bool, key, summary string, s detect.Severity) detect.Detector {
		return detect.Func(func(context.Context) ([]detect.Finding, error) {
			if on.Load() {
				return []detect.Finding{{Key: key, Severity: s, Summary: summary}}, nil
			}
			return nil, nil
		})
	}
	nothing := func(context.Context, remediate.Request) error { return nil }
	g.Supervisor = selfheal.New(selfheal.Options{
		Service: "orders", Logger: slog.New(slog.DiscardHandler), Every: 100 * time.Millisecond,
		Escalate: escalate.To(escalate.Named("pager", escalate.NotifierFunc(g.tell))),
		Console: selfheal.ConsoleOptions{BaseURL: g.url, LinkKeys: [][]byte{[]byte("0123456789abcdef")}, Authorize: func(r *http.Request, _ selfheal.Control) (string, error) {
			c, err := r.Cookie("who")
			if err != nil || c.Value != "alice" {
				return "", errors.New("nobody is signed in")
			}
			return "alice", nil
		}},
	})
	g.Watch(
		selfheal.Watch{
			Name: "queue", KeepFor: time.Second, Runbook: "https://runbooks.example/queue",
			Detector: detect.Above(func(context.Context) (int64, error) { return g.depth.Load(), nil }, 5000).Unit("jobs"),
			Playbook: remediate.Playbook{Limits: remediate.Limits{Cooldown: -1}, Steps: []remediate.Step{
				{Name: "scale-workers", Risk: remediate.Safe, Settle: 500 * time.Millisecond, Run: nothing},
				{Name: "shed-load", Risk: remediate.Safe, Settle: time.Second, Undo: nothing, Run: func(context.Context, remediate.Request) error {
					g.depth.Store(100)
					return nil
				}},
			}},
		},
		selfheal.Watch{
			Name: "store", Detector: finding(&g.store, "eu-1", "the store is full", detect.Critical),
			Playbook: remediate.Ladder(
				remediate.Step{Name: "compact", Risk: remediate.Safe, Settle: 200 * time.Millisecond, Run: nothing},
				remediate.Step{Name: "drop-oldest", Risk: remediate.Destructive, Lasting: true, Settle: time.Second, Run: func(context.Context, remediate.Request) error {
					g.store.Store(false)
					return nil
				}},
			),
		},
		selfheal.Watch{
			Name: "disk", Detector: finding(&g.disk, "/var", "almost full", detect.Warning),
			Playbook: remediate.Ladder(remediate.Step{Name: "grow", Scope: remediate.Shared, Lasting: true, Run: nothing}),
		},
		selfheal.Watch{Name: "blind", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
			return nil, errors.New("dial tcp 10.0.0.1:5432: connection refused")
		})},
	)
	g.Watch(more...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	srv.Config.Handler = http.StripPrefix("/ops/selfheal", g.Handler())
	srv.Config.WriteTimeout = 5 * time.Second // which a stream outlives
	srv.Start()
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		cancel()
		require.NoError(t, <-done)
	})
	return g
}

// tab is a page of a browser, and what went wrong on it.
type tab struct {
	t   *testing.T
	ctx context.Context
	g   *stage

	mu    sync.Mutex
	wrong []string
	calm  bool // what goes wrong is expected
}

// open opens a tab. Whatever it logs as an error, or asks of another origin, fails
// the test.
func open(t *testing.T, g *stage) *tab {
	t.Helper()
	browser := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		missing(t, "there is no browser: apt-get install chromium")
	}
	alloc, cancel := chromedp.NewExecAllocator(context.Background(), append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(patience), chromedp.WindowSize(1200, 900))...)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	x := &tab{t: t, ctx: ctx, g: g}
	origin, err := url.Parse(g.url)
	require.NoError(t, err)
	require.NoError(t, chromedp.Listen(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			x.note("exception: " + ev.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			if ev.Type == runtime.ConsoleAPICalledTypeError {
				x.note(fmt.Sprint("console: ", ev.Args))
			}
		case *log.EventEntryAdded:
			if ev.Entry.Level == log.EntryLevelError {
				x.note("log: " + ev.Entry.Text + " " + ev.Entry.URL)
			}
		case *network.EventRequestWillBeSent:
			if u, err := url.Parse(ev.Request.URL); err != nil || u.Scheme != "data" && u.Host != origin.Host {
				x.note("asked of another origin: " + ev.Request.URL)
			}
		}
	}))
	x.do(command(network.Enable, network.EnableParams{}), command(log.Enable, cdp.Empty{}), command(runtime.Enable, cdp.Empty{}))
	t.Cleanup(func() { // before the browser goes
		if t.Failed() {
			x.shoot("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		require.Empty(t, x.wrong)
	})
	return x
}

func (x *tab) note(what string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.calm {
		x.wrong = append(x.wrong, what)
	}
}

// expect lets things go wrong for a while.
func (x *tab) expect(wrong bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.calm = wrong
}

func (x *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, patience)
	defer cancel()
	require.NoError(x.t, chromedp.Do(ctx, actions...))
}

// ask returns what an action does.
func ask[T any](x *tab, action chromedp.Action[T]) T {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	require.NoError(x.t, err)
	return v
}

// eval is what an expression of the page comes to.
func eval[T any](x *tab, expression string) T {
	x.t.Helper()
	return ask(x, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// run runs a script on the page.
func (x *tab) run(script string) {
	x.t.Helper()
	x.do(chromedp.Evaluate[chromedp.Void](script))
}

// command is a command of the protocol.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// signIn makes the reader somebody who may.
func (x *tab) signIn() {
	x.t.Helper()
	x.do(command(network.SetCookie, network.SetCookieParams{Name: "who", Value: "alice", URL: x.g.url}))
}

func (x *tab) visit(path string) {
	x.t.Helper()
	x.do(chromedp.Navigate(x.g.url+path), chromedp.WaitReady("body"))
}

// sees waits until the page shows a text, without loading it again.
func (x *tab) sees(text string) {
	x.t.Helper()
	x.until(fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// until waits until an expression of the page holds, also of one that is still
// being loaded.
func (x *tab) until(expression string) {
	x.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(x.ctx, patience)
		var ok bool
		ok, err = chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		cancel()
		if ok {
			return
		}
	}
	x.t.Fatalf("never: %s (%v)", expression, err)
}

// shoot writes what the tab shows to a file.
func (x *tab) shoot(name string) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		x.t.Logf("no screenshot: %v", err)
		return
	}
	require.NoError(x.t, os.MkdirAll(".out", 0o755))
	require.NoError(x.t, os.WriteFile(filepath.Join(".out", name+".png"), png, 0o644))
}

// world waits for something that the service does.
func world(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		require.True(t, time.Now().Before(end), "no "+what)
	}
}

// many are watches that are well.
func many(n int) (ws []selfheal.Watch) {
	for i := range n {
		ws = append(ws, selfheal.Watch{
			Name: fmt.Sprintf("team-%02d/service-%05d", i%20, i), Every: time.Minute,
			Detector: detect.Below(func(context.Context) (float64, error) { return math.Pi, nil }, 1),
		})
	}
	return ws
}
