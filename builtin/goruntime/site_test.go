package goruntime

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// callers is a stack that begins in a function of this package.
func callers(pc []uintptr) int { return runtime.Callers(1, pc) }

// parkedStack is that of a goroutine in select {}.
var parkedStack = sync.OnceValue(func() []uintptr {
	go func() { select {} }()
	for {
		records := make([]runtime.StackRecord, runtime.NumGoroutine()+100)
		n, ok := runtime.GoroutineProfile(records)
		if !ok {
			continue
		}
		for _, r := range records[:n] {
			if parks(r.Stack()) {
				return r.Stack()
			}
		}
		runtime.Gosched()
	}
})

func waitFor(c chan int) { <-c }

type server struct{}

func (*server) serve(c chan int) { <-c }

// The site of a goroutine is what it runs, at the line that starts it where that
// is known, whoever launches it.
func TestSites(t *testing.T) {
	c := make(chan int)
	defer close(c)
	_, _, here, _ := runtime.Caller(0)
	go func() { <-c }()
	go waitFor(c)
	go new(server).serve(c)
	var wg sync.WaitGroup
	wg.Go(func() { <-c })
	time.AfterFunc(0, func() { <-c })

	want := []string{
		"goruntime.TestSites.func1 (goruntime/site_test.go:" + line(here+1),
		"goruntime.waitFor (goruntime/site_test.go:",
		"goruntime.(*server).serve (goruntime/site_test.go:",
		"goruntime.TestSites.func2 (goruntime/site_test.go:" + line(here+5),
		"goruntime.TestSites.func3 (goruntime/site_test.go:" + line(here+6),
	}
	var keys string
	require.Eventually(t, func() bool {
		var film camera
		keys = ""
		for at := range film.take(runtime.NumGoroutine(), newSites(nil)).counts {
			keys += at.key + "\n"
		}
		for _, w := range want {
			if !strings.Contains(keys, w) {
				return false
			}
		}
		return true
	}, 5*time.Second, 10*time.Millisecond, "%s", keys)
	assert.NotContains(t, keys, "runtime.main")

	var film camera
	for at := range film.take(10, newSites([]string{"github.com/selfheal-go/selfheal/builtin/goruntime.TestSites"})).counts {
		assert.NotContains(t, at.key, "TestSites.func")
	}
}

func line(n int) string { return strconv.Itoa(n) + ")" }

func TestFilesAreTheProgramsOrTheLibrarys(t *testing.T) {
	s := &sites{std: "/usr/local/go/src/"}
	assert.False(t, s.theirs("net/http.(*conn).serve", "/usr/local/go/src/net/http/server.go"))
	assert.True(t, s.theirs("app/http.serve", "/home/x/http.go"))
	assert.False(t, s.theirs("golang.org/x/sync/errgroup.(*Group).Go.func1", "/home/x/errgroup.go"))
	trimmed := &sites{}
	assert.False(t, trimmed.theirs("net/http.(*conn).serve", "net/http/server.go"))
	assert.False(t, trimmed.theirs("sync.(*WaitGroup).Go.func1", "sync/waitgroup.go"))
	assert.True(t, trimmed.theirs("main.main.func1", "x/main.go"))
	assert.True(t, trimmed.theirs("example.com/app.run", "example.com/app/run.go"))
}

func TestKeysStayShortAndPrintable(t *testing.T) {
	assert.Equal(t, "a?b", printable("a\nb"))
	assert.LessOrEqual(t, len(printable(strings.Repeat("é", 500))), 210)
	assert.Equal(t, "app/main.go", shortFile(`C:\src\app\main.go`))
	assert.Equal(t, "main.go", shortFile("main.go"))
}

func TestTheProfilesTextIsRead(t *testing.T) {
	groups, err := parseProfile([]byte("goroutineleak profile: total 5\n3 @ 0x1 0x2\n#\t0x1\tmain.f+0x1\tf.go:1\n\n2 @ 0x3\n# labels: {\"a\":\"1 @ 0x9\"}\n"))
	require.NoError(t, err)
	require.Equal(t, []group{{3, []uintptr{1, 2}}, {2, []uintptr{3}}}, groups)
	for _, bad := range []string{"", "<html>", "x profile: total 1\n-3 @ 0x1\n", "x profile: total 1\n3 @ zz\n"} {
		_, err := parseProfile([]byte(bad))
		require.Error(t, err, bad)
	}
}

func FuzzParseProfile(f *testing.F) {
	f.Add([]byte("goroutineleak profile: total 5\n3 @ 0x1 0x2\n#\t0x1\tmain.f+0x1\tf.go:1\n\n2 @ 0x3\n"))
	f.Add([]byte("goroutineleak profile: total 0\n"))
	names := newSites(nil)
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, err := parseProfile(text)
		if err != nil {
			require.Empty(t, groups)
		}
		for _, g := range groups {
			require.Positive(t, g.count)
			names.of(g.stack) // addresses of nothing are no site, and no panic
		}
	})
}
