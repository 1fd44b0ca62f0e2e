package shop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// A Partner is somebody else's service, reached through the gateway.
type Partner struct {
	name, addr string
	client     *http.Client
	reconnects atomic.Int64
	restarts   atomic.Int64
}

// partnerNames are those that an order needs on its way. All of them are reached
// through one gateway: a shared cause waits to happen.
func partnerNames() []string {
	return []string{"carrier", "customs", "fraud", "loyalty", "prices", "returns", "stock", "tax"}
}

// NewPartner returns a client of the partner with this name.
func NewPartner(c Config, name string) *Partner {
	return &Partner{
		name: name, addr: c.PartnersURL + "/" + name,
		client: &http.Client{Transport: &http.Transport{}, Timeout: c.PaymentTimeout},
	}
}

// Ping asks whether it answers.
func (p *Partner) Ping(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.addr, nil)
	if err != nil {
		return err
	}
	res, err := p.client.Do(req)
	if err != nil {
		var u *url.Error // the address would say nothing that the name does not
		if errors.As(err, &u) {
			err = u.Err
		}
		return fmt.Errorf("does not answer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answers %s", res.Status)
	}
	return nil
}

// Reconnect drops the idle connections.
func (p *Partner) Reconnect(context.Context, remediate.Request) error {
	p.reconnects.Add(1)
	p.client.CloseIdleConnections()
	return nil
}

// Restart begins a new session. Whatever the old one was about is asked again,
// which is why it is not done lightly, and never for all partners at once.
func (p *Partner) Restart(ctx context.Context, req remediate.Request) error {
	p.restarts.Add(1)
	return p.Reconnect(ctx, req)
}

// Reconnects is how often Reconnect ran, Restarts how often Restart did.
func (p *Partner) Reconnects() int64 { return p.reconnects.Load() }

// Restarts is how often Restart ran.
func (p *Partner) Restarts() int64 { return p.restarts.Load() }

// Healing watches whether the partner answers. Each partner has this watch; that
// they may all fail together is for the storm rail to notice, not for this file.
func (p *Partner) Healing() selfheal.Watch {
	return selfheal.Watch{
		Name:     "partners/" + p.name,
		Detector: detect.Probe(p.Ping),
		For:      time.Minute,
		KeepFor:  3 * time.Minute,
		Playbook: remediate.Ladder(
			remediate.Step{Name: "reconnect", Run: p.Reconnect, Settle: 4 * time.Minute, Risk: remediate.Safe},
			remediate.Step{Name: "restart-session", Run: p.Restart, Lasting: true, Settle: 4 * time.Minute},
		),
	}
}
