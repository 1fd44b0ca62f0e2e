package host_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/builtin/host"
	"github.com/selfheal-go/selfheal/escalate"
)

// What a host has decides what is watched.
func ExampleModule() {
	o := host.Options{
		Root:       filepath.Join("testdata", "v1"), // a recorded container; leave it out
		DropCaches: func(context.Context) error { return nil },
	}
	for _, w := range host.Module(o).Watches {
		fmt.Print(w.Name, ":")
		for _, s := range w.Playbook.Steps {
			fmt.Print(" ", s.Name)
		}
		fmt.Println()
	}
	for _, l := range host.LeftOut(o) {
		fmt.Println("not here:", l.Watch)
	}
	// Output:
	// clock:
	// descriptors: close-idle recycle
	// oom: drop-caches
	// cpu-throttling:
	// not here: memory-pressure
	// not here: memory-high
	// not here: stalls
	// not here: certificate-stale
	// not here: certificate-expiry
	// not here: dns
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
