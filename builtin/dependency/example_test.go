package dependency_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/dependency"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// A service that calls one dependency through a client, and probes another by a
// health check that it has already.
func Example() {
	payments := dependency.NewClient(dependency.ClientOptions{
		Name:  "payments",
		Retry: remediate.Backoff{Tries: 2, Initial: 50 * time.Millisecond},
	})
	pay := &http.Client{Transport: payments.Transport(dependency.TransportOptions{})}
	_ = pay // this is what the service calls payments with

	pingDB := func(ctx context.Context) error { return nil } // db.PingContext

	heal := selfheal.New(selfheal.Options{Escalate: escalate.To(escalate.Log(nil))})
	heal.Install(dependency.Module(dependency.Options{Targets: []dependency.Target{
		{Name: "payments", URL: "https://payments.internal/healthz", Client: payments},
		{Name: "orders-db", Check: pingDB},
		{Name: "mail", Addr: "mail.internal:25"},
	}}))
	fmt.Println(heal.Validate())
	fmt.Print(dependency.Down(dependency.Options{}).Playbook)
	// Output:
	// <nil>
	// playbook down:
	//   1. break: disruptive, self, undo, settle 30s, timeout 30s
	//   2. cut-concurrency: disruptive, self, undo, settle 30s, timeout 30s
	//   3. stop-retries: safe, self, undo, settle 30s, timeout 30s
	//   4. wait: safe, self, settle 30s, timeout 30s, 20 tries, 1ms ×1 to 1ms
	//   limits: cooldown 5m, breaker at 3 failed ladders in 1h for 30m, masking at 5 heals in 24h
}

func ExampleClient_Do() {
	stock := dependency.NewClient(dependency.ClientOptions{
		Name: "stock",
		Degraded: func(ctx context.Context, refused error) error {
			fmt.Println("served from the cache")
			return nil
		},
	})
	for range 7 {
		err := stock.Do(context.Background(), func(ctx context.Context) error {
			return errors.New("connection refused")
		})
		fmt.Println(err)
	}
	fmt.Println(stock.Status())
	// Output:
	// connection refused
	// connection refused
	// connection refused
	// connection refused
	// connection refused
	// served from the cache
	// <nil>
	// served from the cache
	// <nil>
	// breaker open, 5 calls failed or hung in a row
}

func ExampleGet() {
	prices := dependency.NewClient(dependency.ClientOptions{Name: "prices"})
	price, err := dependency.Get(context.Background(), prices,
		func(ctx context.Context) (int, error) { return 42, nil },
		func(ctx context.Context, refused error) (int, error) { return 40, nil }, // yesterday's
	)
	fmt.Println(price, err)
	// Output:
	// 42 <nil>
}
