//go:build unix

package command_test

import (
	"context"
	"fmt"

	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/command"
)

// A program gets the incident as data: the summary below would be two commands to
// a shell that read it as code.
func Example() {
	page, err := command.New(command.Config{
		Path: "/bin/sh",
		Args: []string{"-c", `echo "pager: $SELFHEAL_TITLE"; exit 75`},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = page.Notify(context.Background(), escalate.Notification{
		ID: "n1", DedupKey: "disk-3",
		Incident: escalate.Incident{Watch: "disk", Finding: detect.Finding{Key: "/var", Summary: "full; $(reboot)"}},
	})
	fmt.Println(err)
	fmt.Println("permanent:", escalate.IsPermanent(err))
	// Output:
	// command /bin/sh: exit status 75: it may pass, last output "pager: disk[/var]: full; $(reboot)"
	// permanent: false
}
