package selfheal_test

import (
	"bytes"
	"log/slog"
	"regexp"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
)

// The levels, the messages and the fields of records are API, and so is their order
// within an incident.
func TestLogRecordsAreGolden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		h := slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})
		healing(t, selfheal.Options{Logger: slog.New(h)}).Stop()
		of := func(watch string) string {
			lines := regexp.MustCompile(`(?m)^.* watch=`+watch+` .*\n`).FindAllString(b.String(), -1)
			var all string
			for _, l := range lines {
				// Ids differ, and the sentences of why and detail are no API.
				all += regexp.MustCompile(`(incident|why|detail)=("[^"]*"|\S+)`).ReplaceAllString(l, "$1=…")
			}
			return all
		}
		require.Equal(t, `level=DEBUG msg="found heals 9 jobs is above 5" watch=heals incident=…
level=WARN msg="open heals: 9 jobs is above 5" watch=heals incident=… severity=warning
level=DEBUG msg="start heals no-help" watch=heals incident=… step=no-help
level=INFO msg="step heals no-help: failed" watch=heals incident=… step=no-help outcome=failed error=boom
level=DEBUG msg="start heals fix" watch=heals incident=… step=fix
level=INFO msg="step heals fix: healed" watch=heals incident=… step=fix outcome=healed
level=INFO msg="undo heals fix" watch=heals incident=… step=fix
level=INFO msg="close heals" watch=heals incident=…
`, of("heals"))
		require.Equal(t, `level=DEBUG msg="found held[a] sick <b>" watch=held key=a incident=…
level=WARN msg="open held[a]: sick <b>" watch=held key=a incident=… severity=warning
level=INFO msg="hold held[a] reach-out: scope" watch=held key=a incident=… step=reach-out rail=scope why=…
level=ERROR msg="page held[a] scope" watch=held key=a incident=… reason=scope detail=…
level=DEBUG msg="release held[a] reach-out: scope" watch=held key=a incident=… step=reach-out rail=scope
`, of("held"))
		require.Contains(t, of("blind"), `level=WARN msg="blind blind: no route" watch=blind error="no route"`)
	})
}
