package escalate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// DeadMan is a dead man's switch: a sign of life that is given again and again,
// for somebody outside who calls people when it stays away. It is the only way
// to learn that the whole process, or the whole zone, is gone.
//
// A sign is given only when the supervisor has turned since the last: its
// scheduler has started a look and its loop has taken in the result. A
// supervisor that hangs is silent, whatever its timers do.
//
// The zero value is off. One of URL and To, or both, switch it on.
type DeadMan struct {
	// URL is called; it is a credential where it names the switch. Any 2xx is
	// success; redirects are followed as Client follows them.
	URL Secret
	// Method is GET or POST. "": GET.
	Method string
	// Client makes the calls. nil: one that keeps no connection open and heeds the
	// proxy variables of the environment. Each call has 10 s, or Every if that is
	// less.
	Client *http.Client
	// To gets an alert that always fires, again and again under one DedupKey: a
	// receiver that expects it calls people when it ends. The supervisor never
	// resolves it. A try that fails is not repeated: the next one follows.
	To Notifier
	// Every is the time between two signs. 0: 1 min. Let the other side wait for
	// at least twice as long.
	Every time.Duration
}

// On says whether it is switched on.
func (d DeadMan) On() bool { return d.URL != "" || !missing(d.To) }

// Validate returns everything that is wrong with d, each with what to change;
// nil when d is sound.
func (d DeadMan) Validate() []error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("escalate: dead man: "+format, args...))
	}
	if d.URL != "" {
		u, err := url.Parse(string(d.URL))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			wrong("URL is no address (it is not shown: it may be a credential): use http:// or https:// with a host")
		}
	}
	if d.To != nil {
		if what := notifierMistake(d.To); what != "" {
			wrong("To %s", what)
		}
	}
	if d.Method != "" && d.Method != http.MethodGet && d.Method != http.MethodPost {
		wrong("Method is %q: use GET or POST", d.Method)
	}
	switch {
	case d.Every < 0:
		wrong("Every is %v: use 0 for 1 min, or a time", d.Every)
	case d.Every > 0 && d.Every < time.Second:
		wrong("Every is %v: use at least 1 s", d.Every)
	}
	return errs
}

// Ping calls URL once. Its errors do not show the address. It is what the
// supervisor does; call it to try the switch.
func (d DeadMan) Ping(ctx context.Context) error {
	method := d.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, string(d.URL), nil)
	if err != nil {
		return errors.New("escalate: dead man: URL is no address: use http:// or https:// with a host")
	}
	client := d.Client
	if client == nil {
		client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	}
	resp, err := client.Do(req)
	if err != nil {
		// *url.Error prints the address, which is the credential.
		if e := (*url.Error)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return fmt.Errorf("escalate: dead man: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("escalate: dead man: the other side answered %s: check the address and the method", resp.Status)
	}
	return nil
}
