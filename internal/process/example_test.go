//go:build unix

package process_test

import (
	"context"
	"fmt"

	"github.com/selfheal-go/selfheal/internal/process"
)

func ExampleRun() {
	exit, err := process.Run(context.Background(), process.Program{
		Path:   "/bin/sh",
		Args:   []string{"-c", `read line; echo "got: $line and $SELFHEAL_KEY"; exit 3`},
		Env:    []string{process.Reserved + "KEY=" + process.Clean("/var\x00")},
		Input:  []byte("a finding\n"),
		Bounds: process.Bounds{}.Effective(),
	})
	if err != nil {
		fmt.Println("not started:", err)
		return
	}
	how, next := process.How(true, exit.Code, exit.Signal)
	fmt.Printf("%s: %q: %s\n", how, process.LastLine(exit.Output), next)
	// Output:
	// exit status 3: "got: a finding and /var�": see its output
}
