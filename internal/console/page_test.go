package console

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThePageIsSmallHoweverMuchThereIs(t *testing.T) {
	f := newFake().fill(10_000, 1000, 1000)
	long := strings.Repeat("very long ", 1000)
	name := strings.Repeat("/name", 20)
	for n := range f.state.Watches {
		f.state.Watches[n].Name += name
	}
	for n := range f.state.Open {
		in := &f.state.Open[n]
		in.Summary, in.Why, in.Detail = long, long, long
		in.Watch += name
		in.Proposal = &Proposal{ID: "p1", Step: "restart", Risk: "destructive", Scope: "self", Target: "w", Fingerprint: strings.Repeat("0", 32), Expires: f.state.At.Add(time.Minute)}
		for range 100 {
			in.Ladder = append(in.Ladder, Rung{Step: "more", Risk: "safe", Scope: "self", State: "later", Error: long})
			in.Evidence = append(in.Evidence, in.Evidence[0])
		}
	}
	h := f.handler(t, Options{Authorize: yes})
	w := page(h, "/")
	require.Equal(t, http.StatusOK, w.Code)
	t.Logf("%d bytes", w.Body.Len())
	require.Less(t, w.Body.Len(), 100_000)
	require.Contains(t, w.Body.String(), "1–40 of 10000")
	require.Contains(t, w.Body.String(), "1–25 of 1000")
	h = newFake().fill(100, 3, 50).handler(t, Options{Authorize: yes})
	t.Logf("an ordinary one: %d bytes", page(h, "/").Body.Len())
}

func TestTheLastPageOfEveryListCanBeReached(t *testing.T) {
	h := newFake().fill(120, 50, 40).handler(t, Options{})
	for list, last := range map[string]string{"watches=80": "81–120 of 120", "open=25": "26–50 of 50", "past=24": "25–36 of 40"} {
		require.Contains(t, page(h, "/?"+list).Body.String(), last)
	}
	body := page(h, "/?watches=9999999&open=-1&past=x").Body.String()
	require.Contains(t, body, "1–40 of 120", "what lies behind the end is the beginning")
	body = page(h, "/?q=QUEUE-00019").Body.String()
	require.Contains(t, body, "1–1 of 1")
	require.Contains(t, page(h, "/?state=blind").Body.String(), "1–2 of 2")
}

// A search must not make it look as if nothing were wrong.
func TestASearchSaysThatItHidesThings(t *testing.T) {
	h := newFake().fill(5, 2, 0).handler(t, Options{})
	body := page(h, "/?q=nothing-has-this-name").Body.String()
	require.NotContains(t, body, "Nothing is wrong.")
	require.Contains(t, body, "Only what contains “nothing-has-this-name” is shown here.")
	require.Contains(t, body, "2 open incidents")
	require.Contains(t, page(newFake().fill(5, 0, 0).handler(t, Options{}), "/").Body.String(), "Nothing is wrong.")
}

// Nothing but our own style and script runs, and both are in the page.
func TestThePolicyAllowsWhatThePageHolds(t *testing.T) {
	h := newFake().fill(5, 2, 2).handler(t, Options{Authorize: yes})
	for _, path := range []string{"/", "/incident?id=k3v9x2-0", "/incident?id=k3v9x2-3", "/watch?name=team-0/queue-00000", "/journal"} {
		w := page(h, path)
		require.Equal(t, http.StatusOK, w.Code, path)
		policy, body := w.Header().Get("Content-Security-Policy"), w.Body.String()
		require.NotContains(t, policy, "unsafe")
		for _, tag := range []string{"style", "script"} {
			found := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(body, -1)
			require.Len(t, found, 1)
			sum := sha256.Sum256([]byte(found[0][1]))
			require.Contains(t, policy, tag+"-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
		}
		require.NotRegexp(t, ` style=| on[a-z]+=|<script [^>]|<link rel="stylesheet`, body)
		require.NotRegexp(t, `(src|href|action)="(//|[a-z]+://)[^r]`, strings.ReplaceAll(body, "https://runbooks.example/", "r"), "nothing lies elsewhere")
		require.NotContains(t, body, "ZgotmplZ")
	}
}

var (
	tagOf   = regexp.MustCompile(`(?s)<[^>]*>`)
	valueOf = regexp.MustCompile(`"[^"]*"`)
)

// shape is the markup of a page without what people wrote.
func shape(body string) []string {
	if _, rest, ok := strings.Cut(body, "</style>"); ok {
		body = rest // our own, like the script
	}
	body, _, _ = strings.Cut(body, "<script>")
	var tags []string
	for _, tag := range tagOf.FindAllString(body, -1) {
		tags = append(tags, valueOf.ReplaceAllString(tag, `""`))
	}
	return tags
}

// fillStrings sets every string within v that people or programs write.
func fillStrings(v reflect.Value, s string) {
	words := []string{"State", "Severity", "Outcome", "Undo", "Run", "Mode", "Kind", "Ref"}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fillStrings(v.Elem(), s)
		}
	case reflect.Slice:
		for n := range v.Len() {
			fillStrings(v.Index(n), s)
		}
	case reflect.Map:
		if v.Type().Elem().Kind() == reflect.String {
			v.SetMapIndex(reflect.ValueOf(s), reflect.ValueOf(s))
		} else if !v.IsNil() {
			v.SetMapIndex(reflect.ValueOf(s), reflect.ValueOf(7))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for n := range v.NumField() {
			if f := v.Type().Field(n); f.IsExported() && !slices.Contains(words, f.Name) {
				fillStrings(v.Field(n), s)
			}
		}
	case reflect.String:
		v.SetString(s)
	}
}

// hostile is a fake in which every string is s.
func hostile(parsed *template.Template, s string) (*fake, *Handler) {
	f := newFake().fill(3, 2, 2)
	f.state.Halt = &Halt{By: "x", Reason: "x", Since: f.state.At}
	f.state.Alerts = []Alert{{Bad: true, What: "x", Why: "x"}}
	f.state.Facts = []Fact{{"x", "x"}}
	f.state.Modules = []Module{{"x", "x", 1}}
	f.state.Silences = []Silence{{ID: "x", Watch: "x", Key: "x", Labels: map[string]string{"x": "x"}, By: "x", Reason: "x", Until: f.state.At}}
	f.state.Open[0].Proposal = &Proposal{ID: "x", Step: "x", Risk: "x", Scope: "x", Target: "x", Fingerprint: "x", Expires: f.state.At}
	f.state.Open[0].Ladder[0].Error, f.state.Open[0].AckedBy = "x", "x"
	fillStrings(reflect.ValueOf(&f.state).Elem(), s)
	for n := range f.state.Open { // what finds them stays
		f.state.Open[n].ID = []string{"open-0", "open-1"}[n]
		f.state.Closed[n].ID = []string{"past-0", "past-1"}[n]
	}
	for n := range f.state.Watches {
		f.state.Watches[n].Name = []string{"w0", "w1", "w2"}[n] + s
	}
	f.history.Take(Line{Seq: 1, Time: f.state.At, Watch: s, Key: s, Incident: s, Text: "open " + s + s}, News{})
	src := f.source()
	src.Trail = func(string) (Trail, bool) {
		tr := fakeTrail(f.state.At)
		for n := range tr.Marks {
			tr.Marks[n].Text = s
		}
		return tr, true
	}
	src.Evidence = nil
	// The templates are the same for all, and take longest to make.
	h := &Handler{
		o: Options{Source: src, Authorize: yes}, src: &src, origins: http.NewCrossOriginProtection(),
		page: parsed, streams: make(chan struct{}, 1),
	}
	h.views.src, h.views.one = h.src, h.singles
	return f, h
}

// pagesOf renders every page there is.
func pagesOf(h *Handler, s string) map[string]string {
	pages := map[string]string{}
	for _, path := range []string{"/", "/incident?id=open-0", "/incident?id=past-0", "/journal"} {
		pages[path] = page(h, path).Body.String()
	}
	v := h.views.get(true)
	pages["watch"] = page(h, "/watch?name="+escapeQuery(v.Watches[0].Name)).Body.String()
	pages["plan"] = h.render("plan", struct {
		bar
		Plan *Plan
	}{Plan: &Plan{Watch: s, Fingerprint: s, Mode: s, Held: []string{s}, Limits: s, Steps: []PlanStep{{s, s, s, s}}}})
	pages["message"] = h.render("message", struct{ Root, Title, Text string }{"./", s, s})
	return pages
}

// checker compares the pages of a hostile world with those of a tame one.
func checker(t testing.TB) func(t *testing.T, s string) {
	parsed, err := parsePage()
	require.NoError(t, err)
	_, tame := hostile(parsed, "x")
	want := map[string][]string{}
	for path, body := range pagesOf(tame, "x") {
		want[path] = without(shape(body))
	}
	return func(t *testing.T, s string) {
		t.Helper()
		_, wild := hostile(parsed, s)
		for path, body := range pagesOf(wild, s) {
			require.NotEmpty(t, body, path)
			if got := without(shape(body)); !slices.Equal(want[path], got) {
				require.Equal(t, want[path], got, path)
			}
		}
	}
}

// without leaves out the links that are there only where an address is one.
func without(tags []string) []string {
	return slices.DeleteFunc(tags, func(s string) bool {
		return strings.HasPrefix(s, "<a href") || s == "</a>" || strings.HasPrefix(s, "</span") || strings.HasPrefix(s, "<span>")
	})
}

func TestHostileStringsNeverBecomeMarkup(t *testing.T) {
	check := checker(t)
	for _, s := range []string{
		`"><script>alert(1)</script>`, `'><img src=x onerror=alert(1)>`, `javascript:alert(1)`, `</title></style><svg/onload=x>`,
		"\x00\x1b[31m\u202e", `--></div>{{.}}`, "a\nb", `&lt;b&gt;`, "\xff\xfe", `" autofocus onfocus="x`,
	} {
		check(t, s)
	}
}

func FuzzHostileStrings(f *testing.F) {
	for _, s := range []string{"<b>", `"'>`, "javascript:x", "\x00", "%3Cscript%3E", "{{"} {
		f.Add(s)
	}
	check := checker(f)
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" || len(s) > 200 || strings.TrimSpace(s) == "" {
			return
		}
		check(t, s)
	})
}
