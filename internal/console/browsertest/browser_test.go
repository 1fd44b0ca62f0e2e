package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// sick is a stage with something of everything: healed, held, asking, blind.
func sick(t *testing.T) *stage {
	g := play(t)
	g.depth.Store(9000)
	world(t, "heal", func() bool { return g.Status().Counts.Healed == 1 })
	g.store.Store(true)
	g.disk.Store(true)
	world(t, "proposal", func() bool {
		st := g.Status()
		return len(st.Proposals) == 1 && st.Counts.Opened == 3 && g.link("Approve drop-oldest") != ""
	})
	return g
}

func TestThePageRendersAndIsAccessible(t *testing.T) {
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		missing(t, "axe-core is missing: npm ci")
	}
	g := sick(t)
	x := open(t, g)
	x.signIn()
	incident := ""
	for _, w := range g.Status().Watches {
		if w.Name == "store" {
			incident = "incident?id=" + w.Incidents[0].ID
		}
	}
	for _, scheme := range []string{"light", "dark"} {
		for name, size := range map[string][2]int64{"desktop": {1200, 900}, "phone": {390, 844}} {
			x.do(
				command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
					{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
				}}),
				command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: size[0], Height: size[1], DeviceScaleFactor: 1, Mobile: name == "phone"}),
			)
			for what, path := range map[string]string{"overview": "", "incident": incident, "watch": "watch?name=queue", "journal": "journal", "link": g.link("Approve drop-oldest")[len(g.url):]} {
				x.visit(path)
				x.run(string(axe))
				var found []struct {
					ID, Help string
					Nodes    []struct{ HTML, FailureSummary string }
				}
				raw := eval[string](x, `axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => JSON.stringify(r.violations))`)
				require.NoError(t, json.Unmarshal([]byte(raw), &found))
				require.Empty(t, found, what+" "+scheme+" "+name)
				require.False(t, eval[bool](x, `document.documentElement.scrollWidth > innerWidth`), "nobody scrolls sideways: "+what+" "+name)
				if what == "overview" {
					x.run(`document.querySelector("#past details").open = true`)
					x.sees("May drop-oldest run on store[eu-1]?")
					x.sees("held by scope")
					x.sees("shed-load healed it")
					x.shoot(name + "-" + scheme)
				}
			}
		}
	}
}

// The rules find what is wrong where something is.
func TestTheRulesAreAsked(t *testing.T) {
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		missing(t, "axe-core is missing: npm ci")
	}
	x := open(t, play(t))
	x.visit("")
	x.run(string(axe))
	x.run(`document.documentElement.removeAttribute("lang"); document.querySelector("select").parentElement.replaceWith(document.querySelector("select"))`)
	found := eval[string](x, `axe.run().then(r => r.violations.map(v => v.id).join(" "))`)
	require.Contains(t, found, "html-has-lang")
	require.Contains(t, found, "select-name")
}

func TestItIsReadableWithoutAScript(t *testing.T) {
	x := open(t, sick(t))
	x.do(command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	x.do(chromedp.Navigate(x.g.url))
	text := ask(x, chromedp.Text("body"))
	require.Contains(t, text, "held by scope")
	require.Contains(t, text, "the store is full")
	require.Contains(t, text, "as of")
}

func TestWhatHappensIsSeenAtOnce(t *testing.T) {
	g := play(t)
	x := open(t, g)
	x.visit("")
	x.sees("Nothing is wrong.")
	x.run(`window.mine = 1`)
	g.disk.Store(true)
	x.sees("almost full")
	x.sees("held by scope")
	x.until(`document.title !== ""`)
	// The stream outlives the WriteTimeout of the server.
	time.Sleep(6 * time.Second)
	g.disk.Store(false)
	g.store.Store(true)
	x.sees("the store is full")
	g.depth.Store(9000)
	x.sees("shed-load healed it")
	require.Equal(t, 1, eval[int](x, `window.mine`), "it was never loaded again")
	x.visit("")
	moved := eval[[]string](x, `new Promise(done => { const all = []; new PerformanceObserver(l => { for (const e of l.getEntries()) if (e.value > 0.005) all.push(e.value.toFixed(3) + " at " + Math.round(e.startTime) + " ms: " + e.sources.map(s => s.node && (s.node.outerHTML || s.node.textContent).slice(0, 80)).join(" | ")) }).observe({type: "layout-shift", buffered: true}); setTimeout(() => done(all), 3000) })`)
	require.Empty(t, moved, "nothing moves on its own")
}

func TestWhatIsTypedIsNotLost(t *testing.T) {
	g := play(t)
	x := open(t, g)
	x.signIn()
	x.visit("")
	x.do(chromedp.Click(`#top summary`), chromedp.SendKeys(`#top input[name=reason]`, "a rel"))
	g.disk.Store(true)
	x.sees("almost full")
	x.do(chromedp.SendKeys(`#top input[name=reason]`, "ease"))
	require.Equal(t, "a release", ask(x, chromedp.Value(`#top input[name=reason]`)))
	x.do(chromedp.Submit(`#top form`))
	x.sees("by alice: a release")
}

func TestEachControlWorksInTheBrowser(t *testing.T) {
	g := sick(t)
	x := open(t, g)
	x.signIn()
	press := func(selector, sees string) {
		t.Helper()
		x.visit("")
		x.run(`document.querySelectorAll("details").forEach(d => d.open = true)`)
		x.do(chromedp.Click(selector, chromedp.NodeVisible))
		x.sees(sees)
	}
	x.visit("")
	x.do(chromedp.Click(`#top summary`), chromedp.SendKeys(`#top input[name=reason]`, "a release"), chromedp.Click(`#top button.stop`))
	x.sees("Done: halt.")
	require.Equal(t, "alice", g.Status().Halted.By)
	press(`form[action="api/resume"] button`, "Done: resume.")
	require.Nil(t, g.Status().Halted)
	press(`form[action="api/ack"] button`, "taken by alice")
	press(`form[action="api/snooze"] button`, "Done: snooze.")
	x.visit("")
	x.run(`document.querySelectorAll("details").forEach(d => d.open = true)`)
	x.do(chromedp.SendKeys(`form[action="api/silence"] input[name=reason]`, "known", chromedp.NodeVisible), chromedp.Click(`form[action="api/silence"] button`))
	x.sees("Done: silence.")
	require.Len(t, g.Status().Silences, 1)
	press(`form[action="api/unsilence"] button`, "Done: unsilence.")
	x.visit("watch?name=queue")
	x.do(chromedp.Click(`form[action="api/look"] button`))
	x.sees("Done: look.")
	x.do(chromedp.Click(`form[action="api/plan"] button`))
	x.sees("What queue would do")
	x.run(`document.querySelector("h1 a").click()`)
	x.sees("Open incidents")
	press(`form[action="api/approve"] button`, "Done: approve.")
	world(t, "heal", func() bool { return g.Status().Counts.Healed+g.Status().Counts.Closed >= 2 || !g.store.Load() })
	x.visit("journal")
	x.sees("approve store[eu-1] drop-oldest")
	x.sees("look queue by alice")
}

func TestAProposalIsRejectedInTheBrowser(t *testing.T) {
	g := sick(t)
	x := open(t, g)
	x.signIn()
	x.visit("")
	x.do(chromedp.Click(`form[action="api/reject"] button`))
	x.sees("Done: reject.")
	world(t, "answer", func() bool { return len(g.Status().Proposals) == 0 })
	require.True(t, g.store.Load(), "nothing was dropped")
}

func TestWithoutAuthorityNothingHappens(t *testing.T) {
	g := sick(t)
	x := open(t, g)
	x.expect(true) // a refusal is logged by the browser
	require.NoError(t, g.Halt("bob", "a release"))
	silence, err := g.Silence(selfheal.Silence{Watch: "nothing", By: "bob", Reason: "x", Until: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	for form, path := range map[string]string{
		"approve": "", "reject": "", "ack": "", "snooze": "", "silence": "", "resume": "", "unsilence": "",
		"look": "watch?name=queue", "plan": "watch?name=queue",
	} {
		x.visit(path)
		x.run(`document.querySelectorAll("details").forEach(d => d.open = true)`)
		x.run(`(f => { for (const i of f.querySelectorAll("input[required]")) i.value ||= "x"; f.submit() })(document.querySelector('form[action="api/` + form + `"]'))`)
		x.sees("you may not do this")
	}
	x.visit("journal")
	x.sees("you may not do this")
	x.visit(g.link("Approve drop-oldest")[len(g.url):])
	x.do(chromedp.Click("main form button.go"))
	x.sees("you may not do this")
	st := g.Status()
	require.Equal(t, "bob", st.Halted.By)
	require.Len(t, st.Silences, 1)
	require.Equal(t, silence, st.Silences[0].ID)
	require.Len(t, st.Proposals, 1)
	require.NoError(t, g.Resume("bob"))
	x.visit("")
	x.run(`(f => { f.querySelector("input").value = "x"; f.submit() })(document.querySelector('form[action="api/halt"]'))`)
	x.sees("you may not do this")
	require.Nil(t, g.Status().Halted)
}

func TestALinkOfANoticeIsGoodOnce(t *testing.T) {
	g := sick(t)
	x := open(t, g)
	x.signIn()
	path := g.link("Approve drop-oldest")[len(g.url):]
	for range 2 { // to look changes nothing
		x.visit(path)
		x.sees("May this run?")
		x.sees("Nothing has happened yet.")
	}
	require.True(t, g.store.Load())
	x.do(chromedp.Click("main form button.go"))
	x.sees("Done, by alice.")
	world(t, "step", func() bool { return !g.store.Load() })
	x.expect(true) // that it is gone is logged by the browser
	x.visit(path)
	x.until(`/over|answered|used/.test(document.body.innerText)`)
}

func TestEvidenceIsDownloadedInTheBrowser(t *testing.T) {
	g := sick(t)
	x := open(t, g)
	x.signIn()
	x.visit("")
	x.do(chromedp.Click(`//a[starts-with(text(), "Evidence")]`))
	x.sees("goroutines.txt")
	fetched := func() string {
		t.Helper()
		return eval[string](x, `fetch([...document.querySelectorAll(".proofs a")].find(a => a.textContent === "goroutines.txt").href).then(async r => r.status + " " + r.headers.get("content-disposition") + " " + r.headers.get("x-content-type-options") + " " + (await r.text()).includes("goroutine"))`)
	}
	require.Equal(t, "200 attachment; filename=goroutines.txt nosniff true", fetched())
	x.do(command(network.SetCookie, network.SetCookieParams{Name: "who", Value: "mallory", URL: g.url}))
	x.expect(true)
	require.Contains(t, fetched(), "403 ")
}

// What a detector or an action writes is text, whatever it looks like.
func TestHostileStringsDoNothingInTheBrowser(t *testing.T) {
	bad := `"><img src=x onerror="window.pwned=1"><script>window.pwned=1</script></title></style>`
	x := open(t, play(t, selfheal.Watch{
		Name: "hostile", Runbook: "https://runbooks.example/?" + bad,
		Detector: detect.Func(func(context.Context) ([]detect.Finding, error) {
			return []detect.Finding{{Key: bad, Summary: bad, Unit: bad, Labels: map[string]string{bad: bad}, Value: 9, Limit: 5}}, nil
		}),
		Playbook: remediate.Ladder(remediate.Step{Name: "fail", Risk: remediate.Safe, Lasting: true, Settle: time.Second, Run: func(context.Context, remediate.Request) error {
			return errors.New(bad)
		}}),
	}))
	x.signIn()
	x.visit("")
	x.sees(`<img src=x onerror=`)
	x.do(chromedp.Click(`#open h3 a`))
	x.sees("What happened")
	x.sees("step fail: failed")
	x.visit("journal")
	x.sees("open hostile")
	require.False(t, eval[bool](x, `"pwned" in window || document.querySelector("img") !== null`))
}

func TestTheKeyboardIsEnough(t *testing.T) {
	g := sick(t)
	x := open(t, g)
	x.signIn()
	x.visit("")
	focused := func() string {
		return eval[string](x, `(a => a.className + " " + a.tagName + " " + (a.name || a.textContent || ""))(document.activeElement)`)
	}
	x.do(chromedp.KeyEvent(kb.Tab))
	require.Contains(t, focused(), "skip")
	x.do(chromedp.KeyEvent(kb.Enter))
	x.until(`location.hash === "#open-t"`)
	x.visit("")
	to := func(what string) {
		t.Helper()
		for range 60 {
			if s := focused(); s == what {
				return
			}
			x.do(chromedp.KeyEvent(kb.Tab))
		}
		t.Fatalf("the keyboard does not reach %q", what)
	}
	to(" SUMMARY Halt all healing")
	x.do(chromedp.KeyEvent(kb.Enter))
	to(" INPUT reason")
	x.do(chromedp.KeyEvent("by keyboard"), chromedp.KeyEvent(kb.Enter))
	x.sees("by alice: by keyboard")
	to("go BUTTON Resume healing")
	x.do(chromedp.KeyEvent(kb.Enter))
	x.sees("Done: resume.")
	to("go BUTTON Approve drop-oldest")
	x.do(chromedp.KeyEvent(" "))
	x.sees("Done: approve.")
	world(t, "step", func() bool { return !g.store.Load() })
}

func TestTenThousandWatchesAreUsable(t *testing.T) {
	x := open(t, play(t, many(10_000)...))
	x.visit("")
	x.sees("of 10004")
	bytes := eval[int](x, `performance.getEntriesByType("navigation")[0].encodedBodySize`)
	t.Logf("the page has %d bytes", bytes)
	require.Less(t, bytes, 100_000)
	require.Equal(t, 40, eval[int](x, `document.querySelectorAll("#watches > li").length`))
	x.run(`scrollTo(0, document.body.scrollHeight)`)
	x.until(`scrollY > 0`)
	x.do(chromedp.Click(`#pager-watches a`))
	x.sees("41–80 of 10004")
	x.do(chromedp.SendKeys(`input[name=q]`, "service-09999"+kb.Enter))
	x.sees("1–1 of 1")
	x.do(chromedp.Click(`#watches a`))
	x.sees("looked at every")
}
