package process

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHow(t *testing.T) {
	for _, c := range []struct {
		started   bool
		code      int
		signal    os.Signal
		how, next string
	}{
		{true, 3, nil, "exit status 3", "see its output"},
		{true, 0, nil, "exit status 0", "see its output"},
		{true, -1, os.Kill, "ended by signal killed", "see its output"},
		{true, -1, nil, "nobody knows how it ended", "look for code"},
		{false, -1, nil, "not started", "check that the file exists"},
	} {
		how, next := How(c.started, c.code, c.signal)
		require.Equal(t, c.how, how)
		require.Contains(t, next, c.next)
	}
}

func TestLastLine(t *testing.T) {
	require.Equal(t, "", LastLine(" \n\n"))
	require.Equal(t, "b", LastLine("a\nb\n\n"))
	require.Equal(t, strings.Repeat("ß", 200)+"…", LastLine("a\n"+strings.Repeat("ß", 201)))
	require.Equal(t, strings.Repeat("ß", 200), LastLine(strings.Repeat("ß", 200)))
}
