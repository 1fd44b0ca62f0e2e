package process

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type secret string // like escalate.Secret

// mistakes collects what a check has to say.
func mistakes(check func(bad func(format string, args ...any))) (said []string) {
	check(func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
	return said
}

func TestCheckVariables(t *testing.T) {
	require.Empty(t, mistakes(func(bad func(string, ...any)) {
		CheckVariables(bad, "action", []string{"PATH", "http_proxy"}, map[string]secret{"A": ""})
	}))
	require.Equal(t, []string{
		`Env: "" cannot name a variable: use letters, digits and underscores`,
		`Env: "selfheal_x": names that begin with SELFHEAL_ are set by the action: use another name`,
		`Env: "A" is listed twice: keep it in one place of Env and Set`,
		`Set: "A" is listed twice: keep it in one place of Env and Set`,
		`Set: "B=C" cannot name a variable: use letters, digits and underscores`,
		`Set: the value of "D" contains a NUL byte: remove it`,
	}, mistakes(func(bad func(string, ...any)) {
		CheckVariables(bad, "action", []string{"", "selfheal_x", "A", "A"}, map[string]secret{"A": "", "B=C": "canary", "D": "canary\x00"})
	}))
}

func TestCheckPlace(t *testing.T) {
	require.Equal(t, []string{
		`Path "sh" is not absolute: write the full path of the program`,
		`Dir "tmp" is not absolute: write the full path, or leave it empty`,
	}, mistakes(func(bad func(string, ...any)) { CheckPlace(bad, "sh", "tmp") }))
}

func TestBounds(t *testing.T) {
	require.Equal(t, Bounds{64 << 10, time.Second, 2 * time.Second}, Bounds{}.Effective())
	require.Equal(t, Bounds{1, 50 * time.Millisecond, 100 * time.Millisecond}, Bounds{MaxOutput: 1, WaitDelay: 100 * time.Millisecond}.Effective())
	require.Equal(t, Bounds{64 << 10, 0, time.Minute}, Bounds{Grace: -1, WaitDelay: time.Minute}.Effective())
	for _, sound := range []Bounds{{}, {1, -1, 1}, {WaitDelay: time.Millisecond}} {
		require.Empty(t, mistakes(sound.Check), "%+v", sound)
	}
	require.Equal(t, []string{
		"MaxOutput is -1: use a number of bytes, or 0 for 65536",
		"Grace is -2ns: use a duration, 0 for 1s, or -1 for none",
		"WaitDelay is -1ns: use a duration, or 0 for 2s",
	}, mistakes(Bounds{-1, -2, -1}.Check))
	require.Equal(t, []string{"Grace (2s) is not shorter than WaitDelay (2s): raise WaitDelay or lower Grace"}, mistakes(Bounds{Grace: 2 * time.Second}.Check))
}

func TestVariables(t *testing.T) {
	t.Setenv("LISTED", "yes")
	t.Setenv("UNLISTED", "no")
	require.Equal(t, []string{"FIRST=1", "LISTED=yes", "A=a", "B=b"},
		Variables([]string{"FIRST=1"}, []string{"LISTED", "NOT_THERE"}, map[string]secret{"B": "b", "A": "a"}))
}

// FuzzClean compares with the plain way, which copies all of a long text.
func FuzzClean(f *testing.F) {
	for _, s := range []string{
		"", "9000 is above 5000", "\x00", "a\x00b\xff\xfec\x00\x00", "\uFFFD\xff\uFFFD",
		strings.Repeat("x", MaxValue), strings.Repeat("x", MaxValue+1), strings.Repeat("ß", MaxValue), "a" + strings.Repeat("€", MaxValue),
		strings.Repeat("\xff", 3*MaxValue) + "end", strings.Repeat("\x00", MaxValue), strings.Repeat("x", MaxValue-1) + "\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
		if len(want) > MaxValue {
			cut := ""
			for _, r := range want {
				if len(cut)+len(string(r)) > MaxValue {
					break
				}
				cut += string(r)
			}
			want = cut
		}
		require.Equal(t, want, Clean(s))
	})
}

func BenchmarkClean(b *testing.B) {
	for name, s := range map[string]string{"plain": "9000 jobs is above 5000", "long": strings.Repeat("ß", 1<<20)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Clean(s)
			}
		})
	}
}
