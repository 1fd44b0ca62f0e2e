package worker

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// profile is what pprof writes with debug=1, cut to three goroutines.
const profile = `goroutine profile: total 12
1 @ 0x43ee8e 0x41c2a5 0x4bb0f1
# labels: {"other":"x", "selfheal_worker":"group/ma\"il"}
#	0x4bb0f0	main.(*mailer).wait+0x50			/src/app/mailer.go:41
#	0x4bb2aa	main.(*mailer).run+0x1a				/src/app/mailer.go:20
#	0x4bb3cc	github.com/selfheal-go/selfheal/builtin/worker.(*run).serve+0x6c	/src/worker/member.go:160

3 @ 0x43ee8e 0x470001
# labels: {"selfheal_worker":"group/ma\"il"}
#	0x470000	main.(*mailer).child+0x50			/src/app/mailer.go:99

1 @ 0x43ee8e 0x470002
#	0x470002	internal/runtime/syscall.Syscall6+0xe	/go/asm.s:36
#	0x470003	syscall.read+0x50			/go/zsys.go:1
`

func parse(text string, chunk int, labels ...string) map[string]trace {
	p := newStackParser(labels)
	for len(text) > 0 {
		n := min(chunk, len(text))
		_, _ = p.Write([]byte(text[:n]))
		text = text[n:]
	}
	p.flush()
	return p.found
}

func TestTheWorkersOwnGoroutineIsFound(t *testing.T) {
	for _, chunk := range []int{1, 7, len(profile)} {
		found := parse(profile, chunk, `group/ma"il`, "nobody")
		require.Len(t, found, 1)
		tr := found[`group/ma"il`]
		require.Equal(t, "main.(*mailer).wait /src/app/mailer.go:41\nmain.(*mailer).run /src/app/mailer.go:20", tr.text, "without what is ours")
		require.Equal(t, "0x43ee8e 0x41c2a5 0x4bb0f1", tr.pcs)
		require.Equal(t, "main.(*mailer).wait (mailer.go:41)", tr.site())
		require.False(t, tr.inSyscall())
	}
	require.True(t, trace{text: "internal/runtime/syscall.Syscall6 /go/asm.s:36\nmain.f /x.go:1"}.inSyscall())
	require.Equal(t, "main.f (x.go:1)", trace{text: "internal/runtime/syscall.Syscall6 /go/asm.s:36\nsyscall.read /y.go:1\nmain.f /x.go:1"}.site())
	require.Empty(t, trace{}.site())
}

func FuzzStackParser(f *testing.F) {
	f.Add(profile, 5)
	f.Add("1 @\n# labels: {\"selfheal_worker\":\"\n", 1)
	f.Add("\n\n#\t\n", 2)
	f.Fuzz(func(t *testing.T, text string, chunk int) {
		chunk = 1 + (chunk&0xff)%64
		whole := parse(text, max(len(text), 1), `group/ma"il`)
		require.Equal(t, whole, parse(text, chunk, `group/ma"il`), "how it is cut makes no difference")
		for _, tr := range whole {
			_, _ = tr.site(), tr.inSyscall()
		}
	})
}

func FuzzOneLine(f *testing.F) {
	f.Add("bad\nfile\x00 \u202e \xff")
	f.Add(strings.Repeat("é ", 1000))
	f.Fuzz(func(t *testing.T, s string) {
		l := oneLine(s)
		require.True(t, utf8.ValidString(l))
		require.LessOrEqual(t, utf8.RuneCountInString(l), longestLine+2)
		require.False(t, strings.ContainsFunc(l, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", l)
		if s != "" && len(s) < longestLine {
			require.Equal(t, l, oneLine(l), "it stays as it is")
		}
	})
}

func TestPausesNeverOverflow(t *testing.T) {
	p := &policy{Restart: Restart{}.or(defaultRestart)}
	for _, level := range []float64{0, 1, 1.5, 2, 60, 64, 1e3, 1e9} {
		f := failures{level: level}
		for range 100 {
			d := f.wait(p)
			require.GreaterOrEqual(t, d, time.Duration(0))
			require.LessOrEqual(t, d, p.MaxDelay)
			if level > 60 {
				require.GreaterOrEqual(t, d, p.MaxDelay/4, "a hot loop")
			}
		}
	}
	for _, first := range []time.Duration{1, time.Minute, 5 * time.Hour, 1 << 62} {
		for _, n := range []int{0, 1, 5, 1 << 30} {
			q := quarantine(first, n)
			require.GreaterOrEqual(t, q, first)
			require.LessOrEqual(t, q, max(first, time.Hour))
		}
	}
}
