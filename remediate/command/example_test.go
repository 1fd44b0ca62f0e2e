//go:build unix

package command_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
	"github.com/selfheal-go/selfheal/remediate/command"
)

// A program gets the finding as data: the summary below would be three commands
// to a shell that read it as code.
func Example() {
	rotate := command.New(command.Options{
		Path: "/bin/sh",
		Args: []string{"-c", `echo "$SELFHEAL_PHASE on $SELFHEAL_KEY because of: $SELFHEAL_SUMMARY"`},
	})
	var log bytes.Buffer
	err := rotate(context.Background(), remediate.Request{
		Incident: "disk-3", Step: "rotate-logs", Attempt: 1, Try: 1,
		Finding: detect.Finding{Key: "/var", Summary: "full; $(reboot) `id`"},
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "took" {
				return slog.Attr{}
			}
			return a
		}})),
	})
	fmt.Print(log.String())
	fmt.Println(err)
	// Output:
	// level=INFO msg="command ended" path=/bin/sh exit=0 output="run on /var because of: full; $(reboot) `id`\n"
	// <nil>
}

// Exit codes of the program decide what the ladder does next.
func ExampleNew_exitCodes() {
	fix := command.New(command.Options{
		Path:     "/bin/sh",
		Args:     []string{"-c", "echo no replica to promote; exit 75"},
		SkipExit: 75,
	})
	fmt.Println(fix(context.Background(), remediate.Request{}))
	// Output:
	// command /bin/sh: exit status 75: remediate: step does not apply, last output "no replica to promote"
}
