package process

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCapture(t *testing.T) {
	for limit := 1; limit < 12; limit++ {
		for size := 1; size < 8; size++ {
			c, all := newCapture(limit), ""
			for i := range 30 {
				piece := strings.Repeat(string(rune('a'+i%26)), size)
				all += piece
				n, err := c.Write([]byte(piece))
				require.NoError(t, err)
				require.Equal(t, size, n)
				want := all
				if len(all) > limit {
					head, tail := all[:limit/2], all[len(all)-(limit-limit/2):]
					want = fmt.Sprintf("%s\n[… %d bytes left out …]\n%s", head, len(all)-limit, tail)
				}
				require.Equal(t, want, c.String(), "limit %d size %d", limit, size)
			}
		}
	}
}

// Only an end of the file says that nobody holds the output any more.
func TestCaptureIsCompleteAtTheEndOfTheFile(t *testing.T) {
	c := newCapture(8)
	n, err := c.ReadFrom(strings.NewReader("abc"))
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	require.True(t, c.complete)
	require.Equal(t, "abc", c.String())

	c = newCapture(8)
	closed := errors.New("file already closed")
	n, err = c.ReadFrom(io.MultiReader(strings.NewReader("abc"), failing{closed}))
	require.Equal(t, closed, err)
	require.EqualValues(t, 3, n)
	require.False(t, c.complete)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
