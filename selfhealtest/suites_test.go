package selfhealtest

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// short is the patience of tests whose subject is meant to exhaust it.
const short = 300 * time.Millisecond

// outcome is what a suite said of one subject.
type outcome struct {
	broken, skipped []string
	breaches        map[string][]string
}

// judge runs every rule of a suite and fails nothing.
func judge[F any](t *testing.T, s *suite[F], build func(*testing.T) F) outcome {
	o := outcome{breaches: map[string][]string{}}
	for _, ru := range s.all() {
		r := s.examine(t, ru, build)
		if len(r.breaches) > 0 {
			o.broken = append(o.broken, ru.name)
			o.breaches[ru.name] = r.breaches
		} else if r.skipped != "" {
			o.skipped = append(o.skipped, ru.name)
		}
	}
	return o
}

// sharp checks that the sound subject breaks no rule and leaves none unchecked,
// that every flaw breaks exactly the rule that it is named after, up to a slash,
// and that there is a flaw for every rule.
func sharp[F any](t *testing.T, s *suite[F], flaws []string, build func(t *testing.T, flaw string) F) {
	t.Helper()
	t.Run("sound", func(t *testing.T) {
		o := judge(t, s, func(t *testing.T) F { return build(t, "") })
		assert.Empty(t, o.breaches)
		assert.Empty(t, o.skipped)
	})
	covered := map[string]bool{}
	for _, flaw := range flaws {
		ru, _, _ := strings.Cut(flaw, "/")
		covered[ru] = true
		t.Run(flaw, func(t *testing.T) {
			t.Parallel() // most of the time they wait
			o := judge(t, s, func(t *testing.T) F { return build(t, flaw) })
			assert.Equal(t, []string{ru}, o.broken, "%q", o.breaches)
		})
	}
	for _, ru := range s.all() {
		assert.True(t, covered[ru.name], "there is no flaw for the rule %q", ru.name)
		assert.NotEmpty(t, ru.must, ru.name)
		assert.NotEmpty(t, ru.fix, ru.name)
	}
}

// The names are API: people run one rule with -run, and write them into Skip.
func TestRulesAreDocumented(t *testing.T) {
	for file, names := range map[string][]string{
		"detector.go": ruleNames(detectorSuite()), "step.go": ruleNames(stepSuite()),
		"notifier.go": ruleNames(notifierSuite()), "module.go": ruleNames(moduleSuite(0)),
	} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		_, list, ok := strings.Cut(string(source), "// The rules are: ")
		require.True(t, ok, file)
		list, _, _ = strings.Cut(list, ".\n")
		list = strings.NewReplacer("\n// ", " ").Replace(list)
		assert.Equal(t, strings.Split(strings.Replace(list, " and ", ", ", 1), ", "), names, file)
	}
}

func ruleNames[F any](s *suite[F]) []string {
	var names []string
	for _, ru := range s.all() {
		names = append(names, ru.name)
	}
	return names
}

// quitter ends with the test, so that a subject which ignores its context does
// not outlive it.
func quitter(t *testing.T) <-chan struct{} {
	quit := make(chan struct{})
	t.Cleanup(func() { close(quit) })
	return quit
}

func TestTryTellsHowACallEnds(t *testing.T) {
	r := &report{id: t.Name()}
	quit := quitter(t)
	assert.Equal(t, "", r.try(time.Second, func(context.Context) {}).String())
	assert.Regexp(t, `^panicked: boom\n(.*\n)*.*suites_test.go`, r.try(time.Second, func(context.Context) { panic("boom") }).String())
	assert.Contains(t, r.try(time.Second, func(context.Context) { assert.FailNow(&testing.T{}, "") }).String(), "runtime.Goexit")
	assert.Equal(t, "has not returned within 10ms", r.try(10*time.Millisecond, func(context.Context) { <-quit }).String())
}

func TestLeaksCountsOnlyWhatTheCallsStarted(t *testing.T) {
	quit := quitter(t)
	count := func(each func(i int)) []string {
		r := &report{id: t.Name(), patience: 50 * time.Millisecond}
		r.id += "/" + time.Now().String()
		r.leaks("calls", func(i int) bool {
			return r.call("call", time.Second, func(context.Context) { each(i) })
		})
		return r.breaches
	}
	go func() { // of somebody else
		for range 20 {
			go func() { <-quit }()
			time.Sleep(time.Millisecond)
		}
	}()
	assert.Empty(t, count(func(int) {}))
	assert.Empty(t, count(func(i int) {
		if i == 0 {
			go func() { <-quit }() // once, not with each call
		}
	}))
	assert.Empty(t, count(func(int) { go time.Sleep(time.Millisecond) }))
	leaked := count(func(int) { go func() { <-quit }() })
	require.Len(t, leaked, 1)
	assert.Contains(t, leaked[0], "16 more goroutines run than after 4")
	assert.Contains(t, leaked[0], "suites_test.go")
}
