package alertmanager

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/escalate/internal/deliver"
)

// Config of a [Notifier]. URLs is required.
type Config struct {
	// URLs are the addresses of all members of the cluster, each as Prometheus has
	// it: with its route prefix, without /api. Not that of a balancer in front of
	// them: members do not pass alerts on to each other.
	URLs []string
	// Bearer is a token, or BasicUser and BasicPassword are a login, where
	// something before Alertmanager demands one.
	Bearer        escalate.Secret
	BasicUser     string
	BasicPassword escalate.Secret
	// Labels are added to every alert, for routes: team, environment. They win
	// over ours of the same name, and must not change while alerts are open.
	Labels map[string]string
	// FindingLabels names the labels of findings that become labels of the alert.
	// The others are annotations, because labels are the alert's identity: name
	// only what stays the same as long as an incident is open.
	FindingLabels []string
	// Expire is how long an alert outlives its last sending. 0 means 24 h. Where
	// [Notifier.Run] does not run, it is longer than Policy.Repeat, or an alert
	// ends in Alertmanager while its incident is open.
	Expire time.Duration
	// Hold is how long an alert fires at least: Alertmanager tells nobody of one
	// that ended before its group was due. 0 means 6 min, longer than the default
	// group_interval; -1 ends alerts at once.
	Hold time.Duration
	// Resend is how often [Notifier.Run] sends what is open again. 0 means 1 min.
	Resend time.Duration
	// Client makes the requests, without following redirects. nil is one that
	// uses the proxy of the environment and keeps no connections.
	Client *http.Client
	// Timeout of one request. 0 means 5 s, which leaves time for others where a
	// member hangs. The context's deadline holds too.
	Timeout time.Duration
	// Log gets what is no failure of a notification: a member that did not take
	// what another took, and what goes wrong in Run. nil logs nothing.
	Log *slog.Logger
}

const provider = "alertmanager"

// A Notifier sends alerts to the members of an Alertmanager cluster. It is safe
// for concurrent use. It has nothing to close; Run ends with its context.
type Notifier struct {
	cfg     Config
	members []*url.URL
	header  http.Header
	sender  *deliver.Sender

	mu   sync.Mutex
	live map[string]*sent // by identity; never changed in place
}

// New makes a notifier. Its errors name the fields that are wrong, and what to
// give.
func New(c Config) (*Notifier, error) {
	var errs []error
	var members []*url.URL
	for i, raw := range c.URLs {
		u, err := deliver.Base(fmt.Sprintf("URLs[%d]", i), raw)
		errs = append(errs, err)
		members = append(members, u)
	}
	if len(c.URLs) == 0 {
		errs = append(errs, deliver.Wrong("URLs", "is empty: give the address of each member, such as http://alertmanager:9093"))
	}
	header := http.Header{}
	switch {
	case c.Bearer != "" && c.BasicUser != "":
		errs = append(errs, deliver.Wrong("Bearer", "and BasicUser are both set: use one"))
	case c.Bearer != "":
		errs = append(errs, deliver.Token("Bearer", c.Bearer))
		header.Set("Authorization", "Bearer "+string(c.Bearer))
	case c.BasicUser != "":
		login := c.BasicUser + ":" + string(c.BasicPassword)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(login)))
	case c.BasicPassword != "":
		errs = append(errs, deliver.Wrong("BasicPassword", "is set without BasicUser: give both"))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		if labelName(name) != name {
			errs = append(errs, deliver.Wrong("Labels", "has the name %q: use letters, digits and _, not beginning with a digit; Alertmanager refuses others", name))
		}
	}
	for name, d := range map[string]time.Duration{"Expire": c.Expire, "Resend": c.Resend} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s is %v: use 0 for the default, or a duration", name, d))
		}
	}
	if c.Hold < -1 {
		errs = append(errs, deliver.Wrong("Hold", "is %v: use 0 for the default, -1 for none, or a duration", c.Hold))
	}
	c.Expire, c.Hold, c.Resend = cmp.Or(c.Expire, 24*time.Hour), cmp.Or(c.Hold, longestGroup), cmp.Or(c.Resend, time.Minute)
	if c.Resend > 0 && c.Expire > 0 && c.Expire < 3*c.Resend {
		errs = append(errs, deliver.Wrong("Expire", "is %v and Resend %v: an alert would end when two sendings fail; make Expire three times Resend or more", c.Expire, c.Resend))
	}
	if err := deliver.Mistakes(provider, errs...); err != nil {
		return nil, err
	}
	c.Labels, c.FindingLabels, c.URLs = maps.Clone(c.Labels), slices.Clone(c.FindingLabels), slices.Clone(c.URLs)
	hidden := []string{string(c.Bearer), string(c.BasicPassword), header.Get("Authorization")}
	sender, err := deliver.New(deliver.Config{Provider: provider, Client: c.Client, Timeout: cmp.Or(c.Timeout, 5*time.Second), Secrets: hidden})
	if err != nil {
		return nil, err
	}
	return &Notifier{cfg: c, members: members, header: header, sender: sender, live: map[string]*sent{}}, nil
}

func (n *Notifier) warn(msg string, args ...any) {
	if n.cfg.Log != nil {
		n.cfg.Log.Warn("selfheal: alertmanager: "+msg, args...)
	}
}
