package email_test

import (
	"fmt"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/email"
)

func Example() {
	oncall, err := email.New(email.Config{
		Addr:     "smtp.example.com:587",
		From:     "Orders <healing@example.com>",
		To:       []string{"oncall@example.com"},
		Username: "healing",
		Password: "from a secret store",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	policy := escalate.Policy{
		Levels: []escalate.Level{{To: []escalate.Notifier{escalate.Named("oncall", oncall)}}},
		Repeat: time.Hour,
	}
	fmt.Println(oncall, policy.Validate())
	// Output: email to 1 by smtp.example.com:587 []
}

// All mistakes are told at once, each with what to do about it.
func ExampleNew_mistakes() {
	_, err := email.New(email.Config{Addr: "smtp.example.com", From: "Orders", Username: "healing"})
	fmt.Println(err)
	// Output:
	// email: Addr "smtp.example.com" is not host:port: write it as "smtp.example.com:587"
	// email: From "Orders" is no address: write it as "oncall@example.com"
	// email: To is empty: name a recipient
	// email: Username and Password belong together: set both, or neither
}
