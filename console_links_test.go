package selfheal_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/selfhealtest"
)

// asking is a trial in which a step waits for a yes, and what it tells people.
func asking(t *testing.T, o selfheal.Options, ran *int) (*selfhealtest.Trial, *selfhealtest.Pager, *selfhealtest.Pager) {
	called, informed := &selfhealtest.Pager{}, &selfhealtest.Pager{}
	o.Console.BaseURL = "https://ops.example/orders"
	o.Console.LinkKeys = [][]byte{[]byte("0123456789abcdef0123456789abcdef")}
	policy := escalate.To(escalate.Named("called", called))
	policy.Inform = []escalate.Notifier{escalate.Named("informed", informed)}
	trial := selfhealtest.StartWith(t, o, selfheal.Watch{
		Name: "store", Escalate: policy, Runbook: "https://runbooks.example/store",
		Detector: selfhealtest.Script(selfhealtest.Frame{Findings: []detect.Finding{{Key: "a", Severity: detect.Critical, Summary: "full"}}}),
		Playbook: remediate.Ladder(remediate.Step{Name: "drop", Risk: remediate.Destructive, Lasting: true, Run: do(func() { *ran++ })}),
	})
	time.Sleep(10 * time.Second)
	synctest.Wait()
	return trial, called, informed
}

func linksOf(ns []escalate.Notification, text string) (hrefs []string) {
	for _, n := range ns {
		for _, l := range n.Links {
			if strings.HasPrefix(l.Text, text) {
				hrefs = append(hrefs, l.Href)
			}
		}
	}
	return hrefs
}

func TestASignedLinkShowsAndActsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []selfheal.Control
		ran := 0
		trial, called, informed := asking(t, selfheal.Options{Console: selfheal.ConsoleOptions{Authorize: allow(&asked)}}, &ran)
		for _, n := range append(informed.Pages(), informed.Resolved()...) {
			require.Empty(t, n.Links, "who is only informed gets no link")
		}
		b := browser{t, trial.Supervisor().Handler()}
		var all []string
		for _, n := range called.Pages() {
			require.Equal(t, "Console", n.Links[0].Text)
			for _, l := range n.Links {
				all = append(all, l.Href)
			}
		}
		for _, href := range all { // a crawler follows every link
			u, err := url.Parse(href)
			require.NoError(t, err)
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				w := b.ask(method, u.RequestURI(), "", "Accept", "text/html", "Host", "ops.example")
				require.Equal(t, http.StatusOK, w.Code)
				if strings.HasSuffix(u.Path, "/link") {
					require.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
				}
			}
		}
		synctest.Wait()
		require.Zero(t, ran)
		require.Empty(t, asked, "to look takes no authority")
		require.Len(t, trial.Supervisor().Status().Proposals, 1)

		approve := linksOf(called.Pages(), "Approve")[0]
		u, _ := url.Parse(approve)
		page := b.page(u.RequestURI())
		require.Contains(t, page, "destructive")
		require.Contains(t, page, "store[a]")
		form := []string{"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html"}
		body := url.Values{"t": {u.Query().Get("t")}}.Encode()
		w := b.ask(http.MethodPost, u.Path, body, form...)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, ran)
		require.Equal(t, selfheal.ControlApprove, asked[0].Kind)
		for range 3 {
			require.NotEqual(t, http.StatusOK, b.ask(http.MethodPost, u.Path, body, form...).Code)
		}
		synctest.Wait()
		require.Equal(t, 1, ran)

		ack, _ := url.Parse(linksOf(called.Pages(), "Acknowledge")[0])
		body = url.Values{"t": {ack.Query().Get("t")}}.Encode()
		require.Equal(t, http.StatusOK, b.ask(http.MethodPost, ack.Path, body, form...).Code)
		require.Equal(t, http.StatusGone, b.ask(http.MethodPost, ack.Path, body, form...).Code)
	})
}

// those who are called too.
func TestWhoIsInformedTooGetsNoLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &selfhealtest.Pager{}
		both := escalate.Named("both", p)
		policy := escalate.To(both)
		policy.Inform = []escalate.Notifier{both}
		selfhealtest.StartWith(t, selfheal.Options{Console: selfheal.ConsoleOptions{BaseURL: "https://ops.example/", LinkKeys: [][]byte{make([]byte, 16)}}}, selfheal.Watch{
			Name: "w", Escalate: policy, Detector: selfhealtest.Script(selfhealtest.Frame{Findings: []detect.Finding{{Summary: "sick"}}}),
		})
		time.Sleep(time.Minute)
		require.NotEmpty(t, p.Pages())
		for _, n := range p.Pages() {
			require.Empty(t, n.Links)
		}
	})
}

func TestALinkIsNoAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		trial, called, _ := asking(t, selfheal.Options{}, &ran)
		b := browser{t, trial.Supervisor().Handler()}
		u, _ := url.Parse(linksOf(called.Pages(), "Approve")[0])
		require.Equal(t, http.StatusForbidden, b.ask(http.MethodPost, u.RequestURI(), "").Code)
		token := u.Query().Get("t")
		for n := range token { // whatever is changed, it is no link any longer
			bad := []byte(token)
			bad[n] ^= 1
			w := b.get(u.Path + "?t=" + url.QueryEscape(string(bad)))
			require.Equal(t, http.StatusBadRequest, w.Code)
		}
		synctest.Wait()
		require.Zero(t, ran)
	})
}

func TestApprovalIsOfThePlanThatWasShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []selfheal.Control
		ran := 0
		trial, _, _ := asking(t, selfheal.Options{Console: selfheal.ConsoleOptions{Authorize: allow(&asked)}}, &ran)
		b := browser{t, trial.Supervisor().Handler()}
		p := trial.Supervisor().Status().Proposals[0]
		require.Contains(t, b.page("/"), "May drop run on store[a]?")
		require.Equal(t, http.StatusConflict, b.ask(http.MethodPost, "/api/approve", fmt.Sprintf(`{"proposal":%q,"plan":"another"}`, p.ID)).Code)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Zero(t, ran)
		require.Equal(t, http.StatusOK, b.ask(http.MethodPost, "/api/approve", fmt.Sprintf(`{"proposal":%q,"plan":%q}`, p.ID, p.Fingerprint)).Code)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, ran)
	})
}

func TestAUsedLinkIsUsedForTheNextLifeToo(t *testing.T) {
	dir := t.TempDir()
	token := ""
	until := time.Now().Add(20 * time.Second)
	life := func(f func(b browser, s *selfheal.Supervisor)) {
		j, err := selfheal.OpenJournal(dir)
		if err != nil {
			t.Skipf("no journal on this system: %v", err)
		}
		var asked []selfheal.Control
		told := make(chan escalate.Notification, 100)
		s := selfheal.New(selfheal.Options{
			Journal: j, Logger: quiet, Every: 20 * time.Millisecond,
			Escalate: escalate.To(escalate.Named("pager", escalate.NotifierFunc(func(_ context.Context, n escalate.Notification) error {
				told <- n
				return nil
			}))),
			Console: selfheal.ConsoleOptions{Authorize: allow(&asked), BaseURL: "https://ops.example/", LinkKeys: [][]byte{[]byte("0123456789abcdef")}},
		})
		s.Watch(selfheal.Watch{Name: "w", Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
			return []detect.Finding{{Summary: "sick"}}, nil
		})})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		if token == "" {
			u, err := url.Parse(linksOf([]escalate.Notification{<-told}, "Acknowledge")[0])
			require.NoError(t, err)
			token = u.RawQuery
		}
		b := browser{t, s.Handler()}
		for b.ask(http.MethodGet, "/link?"+token, "", "Accept", "text/html").Code != http.StatusOK { // the incident is open
			require.True(t, time.Now().Before(until))
			time.Sleep(10 * time.Millisecond)
		}
		f(b, s)
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, j.Close())
	}
	life(func(b browser, _ *selfheal.Supervisor) {
		require.Equal(t, http.StatusOK, b.ask(http.MethodPost, "/link?"+token, "").Code)
	})
	life(func(b browser, _ *selfheal.Supervisor) {
		require.Equal(t, http.StatusGone, b.ask(http.MethodPost, "/link?"+token, "").Code)
		var journal struct{ Lines []struct{ Text string } }
		b.json("/api/journal", &journal)
		var all []string
		for _, l := range journal.Lines {
			all = append(all, l.Text)
		}
		require.Contains(t, all, "ack w by alice", "the history goes on where the last life ended")
		var week struct{ Opened int }
		b.json("/api/week", &week)
		require.Equal(t, 1, week.Opened)
	})
}

// A link acts for a person, so it is kept where people are called, and nowhere
// else: not in the journal, not in the log, not in what the console shows.
func TestLinksLeaveNoTrace(t *testing.T) {
	dir := t.TempDir()
	var log logText
	var mu sync.Mutex
	var called, informed []escalate.Notification
	calls := escalate.Named("called", escalate.NotifierFunc(func(_ context.Context, n escalate.Notification) error {
		mu.Lock()
		defer mu.Unlock()
		called = append(called, n)
		if len(called) == 1 {
			return fmt.Errorf("the pager said no to %v", n.Links) // whose author was careless
		}
		return nil
	}))
	policy := escalate.Policy{Levels: []escalate.Level{{To: []escalate.Notifier{calls}}}, Inform: []escalate.Notifier{
		escalate.Named("informed", escalate.NotifierFunc(func(_ context.Context, n escalate.Notification) error {
			mu.Lock()
			defer mu.Unlock()
			informed = append(informed, n)
			return nil
		})),
	}}
	j, err := selfheal.OpenJournal(dir)
	if err != nil {
		t.Skipf("no journal on this system: %v", err)
	}
	var asked []selfheal.Control
	s := selfheal.New(selfheal.Options{
		Journal: j, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Every: 20 * time.Millisecond, Escalate: policy,
		Console: selfheal.ConsoleOptions{Authorize: allow(&asked), BaseURL: "https://ops.example/", LinkKeys: [][]byte{[]byte("0123456789abcdef")}},
	})
	s.Watch(selfheal.Watch{
		Name:     "store",
		Detector: detect.Func(func(context.Context) ([]detect.Finding, error) { return []detect.Finding{{Summary: "full"}}, nil }),
		Playbook: remediate.Ladder(remediate.Step{Name: "drop", Risk: remediate.Destructive, Lasting: true, Run: do(func() {})}),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	require.Eventually(t, func() bool { // the first try failed, and another came
		mu.Lock()
		defer mu.Unlock()
		return len(called) >= 2 && len(informed) > 0
	}, time.Minute, 10*time.Millisecond)
	mu.Lock()
	ack := linksOf(called[len(called)-1:], "Acknowledge")
	all := append(linksOf(called, "A"), linksOf(called, "R")...)
	for _, n := range informed {
		require.Empty(t, n.Links)
	}
	mu.Unlock()
	require.NotEmpty(t, all)
	b := browser{t, s.Handler()}
	u, err := url.Parse(ack[0])
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, b.ask(http.MethodPost, u.RequestURI(), "").Code)
	var kept bytes.Buffer
	for _, path := range []string{"/api/status", "/api/incidents?state=all", "/api/journal"} {
		kept.Write(b.get(path).Body.Bytes())
	}
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, j.Close())
	kept.WriteString(log.String())
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		kept.Write(data)
	}
	for _, href := range all {
		u, err := url.Parse(href)
		require.NoError(t, err)
		if token := u.Query().Get("t"); token != "" {
			first, second, _ := strings.Cut(token, ".")
			require.False(t, strings.Contains(kept.String(), first) || strings.Contains(kept.String(), second), href)
		}
	}
	require.True(t, strings.Contains(kept.String(), "ack store by alice"))
}

// A notifier whose errors repeat what it was given does not make links known.
func TestLinksDoNotLeaveWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logText
		var all []escalate.Notification
		fails := escalate.NotifierFunc(func(_ context.Context, n escalate.Notification) error {
			all = append(all, n)
			return fmt.Errorf("the pager said no to %v", n.Links)
		})
		trial := selfhealtest.StartWith(t, selfheal.Options{
			Logger:  slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Console: selfheal.ConsoleOptions{BaseURL: "https://ops.example/", LinkKeys: [][]byte{make([]byte, 16)}},
		}, selfheal.Watch{
			Name: "w", Escalate: escalate.To(escalate.Named("pager", fails)),
			Detector: selfhealtest.Script(selfhealtest.Frame{Findings: []detect.Finding{{Summary: "sick"}}}),
		})
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		said := log.String() + browser{t, trial.Supervisor().Handler()}.page("/") + browser{t, trial.Supervisor().Handler()}.get("/status").Body.String()
		require.Contains(t, said, "the pager said no")
		for _, href := range linksOf(all, "Acknowledge") {
			require.NotContains(t, said, href[strings.Index(href, "?t=")+3:])
		}
	})
}

// logText is a log that is read while it is written.
type logText struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
