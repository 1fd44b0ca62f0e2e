package command

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/selfheal-go/selfheal/remediate"
	"github.com/stretchr/testify/require"
)

func TestErrorSaysWhatToDoNext(t *testing.T) {
	for want, e := range map[string]*Error{
		`exit status 3: see its output`:                             {ExitCode: 3},
		`exit status 3, last output "b": see its output`:            {ExitCode: 3, Output: "a\nb\n\n"},
		`exit status 3, last output "` + strings.Repeat("ß", 200):   {ExitCode: 3, Output: strings.Repeat("ß", 300)},
		`ended by signal killed: see its output`:                    {ExitCode: -1, Signal: os.Kill},
		`exit status 0, its output was still held open by a pro`:    {Held: true},
		`group: [7 8]: make it wait for what it starts, or set`:     {Held: true, Abandoned: []int{7, 8}},
		`exit status 1, left processes running outside of its`:      {ExitCode: 1, Abandoned: []int{7}},
		`exit status 76: remediate: stop and tell people`:           {ExitCode: 76, Err: remediate.ErrEscalate},
		`context deadline exceeded: raise Step.Timeout`:             {ExitCode: -1, Signal: os.Kill, Err: context.DeadlineExceeded, ran: true, cut: true},
		`is stopping: raise Options.Grace of the supervisor`:        {ExitCode: -1, Signal: os.Kill, Err: remediate.ErrStopping, ran: true, cut: true},
		`not started: no such file: check that the file exists`:     {ExitCode: -1, Err: errors.New("no such file")},
		`nobody knows how it ended: no child processes: look for c`: {ExitCode: -1, Err: errors.New("no child processes"), ran: true},
	} {
		e.Path = "/bin/x"
		require.ErrorContains(t, e, "command /bin/x: ")
		require.ErrorContains(t, e, want)
		require.NotContains(t, e.Error(), "\n")
		require.Less(t, len(e.Error()), 700)
	}
}
