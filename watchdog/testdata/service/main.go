// Service is a process for the watchdog's tests: what befalls it is its argument.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/watchdog"
)

func post(url string) escalate.Notifier {
	return escalate.NotifierFunc(func(ctx context.Context, n escalate.Notification) error {
		b, err := json.Marshal(n)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(b))
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
}

func main() {
	watchdog.Main(func(config []byte) (escalate.Notifier, error) { return post(string(config)), nil })

	what, dir, url := os.Args[1], os.Args[2], os.Args[3]
	var wedged atomic.Bool
	dog, err := watchdog.Start(context.Background(), watchdog.Options{
		Service: "orders", Dir: dir, Config: []byte(url), Every: 20 * time.Millisecond,
		Timeout: 2 * time.Second, StopLimit: 3 * time.Second, DumpWait: time.Second,
		Progress: func(ctx context.Context) error {
			if wedged.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("up")
	switch what {
	case "clean":
		time.Sleep(200 * time.Millisecond)
		dog.Stop()
		return
	case "wedge":
		wedged.Store(true)
	case "catch":
		signal.Notify(make(chan os.Signal, 1), syscall.SIGQUIT)
		wedged.Store(true)
	case "owe":
		n := dog.Guard(escalate.NotifierFunc(func(ctx context.Context, n escalate.Notification) error {
			if n.ID == "told" {
				return nil
			}
			fmt.Println("sending")
			<-ctx.Done()
			return ctx.Err()
		}))
		_ = n.Notify(context.Background(), escalate.Notification{ID: "told", DedupKey: "k0"})
		_ = n.Notify(context.Background(), escalate.Notification{ID: "owed", DedupKey: "k1", Kind: escalate.Trigger, Incident: escalate.Incident{Watch: "queue"}})
	}
	select {}
}
