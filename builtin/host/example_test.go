package host_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/host"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/remediate"
)

// The hooks of the options decide what is done, and the host what can be seen.
func ExampleModule() {
	o := host.Options{
		Root:       filepath.Join("testdata", "v1"), // a recorded container; leave it out
		DropCaches: func(context.Context) error { return nil },
		Shed:       func(_ context.Context, on bool) error { return nil },
	}
	for _, w := range host.Module(o).Watches {
		fmt.Print(w.Name, ":")
		for _, s := range w.Playbook.Steps {
			fmt.Print(" ", s.Name)
		}
		if _, err := w.Detector.Detect(context.Background()); err != nil {
			fmt.Print(" (blind here)")
		}
		fmt.Println()
	}
	// Output:
	// clock:
	// descriptors: close-idle recycle
	// memory-pressure: drop-caches shed recycle (blind here)
	// oom: drop-caches
	// memory-high: drop-caches (blind here)
	// cpu-throttling:
	// stalls: (blind here)
}

// Last good answers are served while the first server fails, and not before a step of
// the ladder says so.
func ExampleResolver() {
	well := true
	resolver := host.NewResolver(host.ResolverOptions{
		First: func(_ context.Context, name string) ([]string, error) {
			if !well {
				return nil, errors.New("no answer")
			}
			return []string{"10.0.0.7"}, nil
		},
	})
	ctx := context.Background()
	fmt.Println(resolver.LookupHost(ctx, "db.example.com."))
	well = false
	fmt.Println(resolver.LookupHost(ctx, "db.example.com."))
	step := resolver.ServeLastGood() // what the ladder of DNS does
	if err := step.Run(ctx, remediate.Request{}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(resolver.LookupHost(ctx, "db.example.com."))
	// Output:
	// [10.0.0.7] <nil>
	// [] no answer
	// [10.0.0.7] <nil>
}

// A call for help gets descriptors that nothing else uses.
func ExampleReserve() {
	reserve, err := host.NewReserve(2)
	if err != nil {
		fmt.Println(err)
	}
	defer reserve.Close()
	tries := 0
	err = reserve.Do(func() error {
		if tries++; tries == 1 {
			return fmt.Errorf("dial: %w", syscall.EMFILE)
		}
		fmt.Println("called with", reserve.Held(), "in reserve")
		return nil
	})
	fmt.Println(err, reserve.Held())
	// Output:
	// called with 0 in reserve
	// <nil> 2
}

// A service asks before it takes a lease.
func ExampleTrust() {
	trust := &host.Trust{}
	watch := host.Clock(host.Options{Clock: host.ClockOptions{
		Trust:     trust,
		Reference: func(context.Context) (time.Duration, error) { return 3 * time.Second, nil }, // as host.SNTP
	}})
	if _, err := watch.Detector.Detect(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(trust.Trusted())
	// Output: false the clock is 3s behind, above 500ms
}

// A service with a certificate, a resolver and a reserve of descriptors.
func Example() {
	pair, err := host.NewKeypair(host.KeypairOptions{CertFile: "tls.crt", KeyFile: "tls.key"})
	if err != nil {
		fmt.Println("there is no certificate here:", errors.Is(err, fs.ErrNotExist))
	}
	reserve, err := host.NewReserve(0)
	if err != nil {
		fmt.Println(err)
	}
	defer reserve.Close()
	resolver := host.NewResolver(host.ResolverOptions{Second: host.Server("10.1.0.2:53")})
	transport := &http.Transport{DialContext: resolver.DialContext(&net.Dialer{})}
	defer transport.CloseIdleConnections()
	accepts := host.NewAccepts() // server.Serve(accepts.Listener(l))

	o := host.Options{
		Root:        filepath.Join("testdata", "v2"),
		Descriptors: host.DescriptorOptions{Reserve: reserve, Accepts: accepts},
		DNS:         host.DNSOptions{Names: []string{"db.example.com."}, Resolver: resolver},
	}
	if pair != nil {
		o.Certificates = []host.Certificate{{Pair: pair}}
	}
	page := escalate.Named("pager", reserve.Notifier(escalate.Log(nil)))
	heal := selfheal.New(selfheal.Options{Escalate: escalate.To(page)})
	heal.Install(host.Module(o))
	fmt.Println(heal.Validate())
	// Output:
	// there is no certificate here: true
	// <nil>
}
