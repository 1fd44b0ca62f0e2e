package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/worker"
	"github.com/selfheal-go/selfheal/escalate"
)

func Example() {
	up := make(chan struct{})
	runs := 0
	mailer := func(ctx context.Context, beat func()) error {
		if runs++; runs == 1 {
			return errors.New("connection lost")
		}
		close(up)
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-tick.C:
				beat() // sent what was due
			case <-ctx.Done():
				tick.Stop()
				return nil
			}
		}
	}

	g := worker.NewGroup(worker.GroupOptions{Logger: slog.New(slog.DiscardHandler)})
	if err := g.Add(worker.Spec{Name: "mailer", Run: mailer, Budget: 30 * time.Second}); err != nil {
		fmt.Println(err)
	}
	heal := selfheal.New(selfheal.Options{Escalate: escalate.To(escalate.Log(nil))})
	heal.Install(worker.Module(worker.Options{Groups: []*worker.Group{g}}))
	fmt.Println("mistakes:", heal.Validate())

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }() // with an errgroup: eg.Go(func() error { return g.Run(ctx) })
	<-up
	for _, w := range g.Status().Workers {
		fmt.Printf("%s is %s, died %d time of %q\n", w.Name, w.State, w.Deaths, w.Err)
	}
	cancel()
	fmt.Println("ended:", <-ended)
	// Output:
	// mistakes: <nil>
	// mailer is running, died 1 time of "connection lost"
	// ended: <nil>
}
