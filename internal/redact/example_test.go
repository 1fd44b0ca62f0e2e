package redact_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/selfheal-go/selfheal/internal/redact"
)

func Example() {
	r := redact.New(redact.Options{Secrets: []string{"hunter2-hunter2"}})
	fmt.Println(r.String("login as app with hunter2-hunter2 failed"))
	fmt.Println(r.String("dial postgres://app:pw@db:5432/orders?sslmode=disable"))
	fmt.Println(r.String(`{"user":"app","password":"pw","took":"1m30s"}`))
	fmt.Println(r.Error(errors.New("post https://hooks.slack.com/services/T0/B0/x: timeout")))
	// Output:
	// login as app with *** failed
	// dial postgres://***@db:5432/orders?sslmode=disable
	// {"user":"app","password":"***","took":"1m30s"}
	// post https://hooks.slack.com/***: timeout
}

func ExampleRedactor_Handler() {
	r := redact.New(redact.Options{})
	log := slog.New(r.Handler(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
	log.Info("called", "api_key", "4bf92f35", "status", 503, "trace", "4bf92f3577b34da6")
	// Output: level=INFO msg=called api_key=*** status=503 trace=4bf92f3577b34da6
}
