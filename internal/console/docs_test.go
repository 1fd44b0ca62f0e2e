package console

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The document names every address that there is, and no other.
func TestTheAPIIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/api.md")
	require.NoError(t, err)
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z/]+)` \\|").FindAllStringSubmatch(string(doc), -1) {
		named[m[1]] = true
	}
	h := newFake().handler(t, Options{})
	for to := range named {
		_, reads := h.reading(to, nil)
		verb := regexp.MustCompile(`^api/`).ReplaceAllString(to, "")
		require.True(t, reads || controls[verb], to)
	}
	for verb := range controls {
		require.True(t, named["api/"+verb], verb)
	}
	for _, to := range []string{"api/status", "api/watches", "api/watch", "api/incidents", "api/incident", "api/week", "api/journal", "api/events", "evidence"} {
		require.True(t, named[to], to)
	}
}
