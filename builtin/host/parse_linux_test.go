package host

import (
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEntriesAreCounted(t *testing.T) {
	require.Equal(t, 3, countEntries(slices.Concat(entry("."), entry(".."), entry("0"), entry("17"), entry("..."))))
	d := newFDDir("/proc/self/fd")
	told, ok, err := d.size()
	require.NoError(t, err)
	counted, err := d.list()
	require.NoError(t, err)
	entries, err := os.ReadDir("/proc/self/fd") // opens one more
	require.NoError(t, err)
	require.Equal(t, len(entries), counted+1)
	if ok {
		require.Equal(t, counted, told)
	}
	names, err := d.names()
	require.NoError(t, err)
	require.Len(t, names, counted)
}

func FuzzEntries(f *testing.F) {
	f.Add(slices.Concat(entry("."), entry("17")))
	f.Fuzz(func(t *testing.T, buf []byte) {
		if n := countEntries(buf); n < 0 || n > len(buf)/20 {
			t.Fatalf("%d entries in %d bytes", n, len(buf))
		}
	})
}
