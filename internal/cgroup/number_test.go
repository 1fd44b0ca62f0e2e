package cgroup

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLimit(t *testing.T) {
	for text, want := range map[string]uint64{"0\n": 0, "0": 0, "17": 17, "4096\n": 4096, "max\n": Unlimited, "9223372036854771712\n": Unlimited} {
		n, err := Limit([]byte(text))
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	for _, bad := range []string{"", "-1", "many", "1 2", "99999999999999999999999"} {
		_, err := Limit([]byte(bad))
		require.ErrorContains(t, err, "is no number", bad)
	}
}

func TestField(t *testing.T) {
	n, ok := Field([]byte("high 3\noom 1\noom_kill 2\n"), "oom_kill")
	require.True(t, ok)
	require.EqualValues(t, 2, n)
	for _, text := range []string{"oom_killer 2\n", "oom_kill_2\n", "oom_kill\n", "oom_kill two\n", ""} {
		_, ok = Field([]byte(text), "oom_kill")
		require.False(t, ok, text)
	}
}

func TestUint(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "007": 7, "18446744073709551609": math.MaxUint64 - 6} {
		n, ok := Uint([]byte(text))
		require.True(t, ok, text)
		require.Equal(t, want, n)
	}
	for _, text := range []string{"", "+1", "1 ", "18446744073709551610", "18446744073709551616"} {
		_, ok := Uint([]byte(text))
		require.False(t, ok, text)
	}
}

// Detectors read every few seconds and must not fill the heap.
func TestReadingDoesNotAllocate(t *testing.T) {
	stat, limit := []byte("anon 5\ninactive_file 1000000\n"), []byte("500000000\n")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, _ = Field(stat, "inactive_file")
		_, _ = Limit(limit)
	}))
}

// What the kernel writes is read back.
func FuzzWritten(f *testing.F) {
	f.Add(uint64(2075), uint64(100), uint64(2466186))
	f.Fuzz(func(t *testing.T, a, b, c uint64) {
		a, b, c = a>>8, b>>8, c>>8
		if n, ok := Field(fmt.Appendf(nil, "low %d\nhigh %d\noom_kill %d\n", a, b, c), "oom_kill"); !ok || n != c {
			t.Fatalf("%d is read as %d", c, n)
		}
		if n, err := Limit(fmt.Appendf(nil, "%d\n", a)); err != nil || n != a {
			t.Fatalf("%d is read as %d, %v", a, n, err)
		}
	})
}

func FuzzNumbers(f *testing.F) {
	f.Add([]byte("2075\t0\t2466186\n"), "oom_kill")
	f.Add([]byte("high 3\noom_kill 2\n"), "oom_kill")
	f.Add([]byte("total_inactive_file 50000000\n"), "memory")
	f.Add([]byte("max"), "pids")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		if n, ok := Uint(text); ok {
			want, err := strconv.ParseUint(string(text), 10, 64)
			if err != nil || n != want {
				t.Fatalf("%q is %d", text, n)
			}
		}
		if n, ok := Field(text, name); ok && !strings.Contains(string(text), strconv.FormatUint(n, 10)) {
			t.Fatalf("%d is not in %q", n, text) // leading zeros would be the only other way
		}
		if n, err := Limit(text); err == nil && n != Unlimited && n > math.MaxInt64 {
			t.Fatalf("%q is %d", text, n)
		}
	})
}
