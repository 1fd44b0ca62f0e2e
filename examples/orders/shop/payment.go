package shop

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/detect"
	"github.com/selfheal-go/selfheal/remediate"
)

// Payment is a client of the payment server.
type Payment struct {
	primary, standby string
	keyFile          string
	client           *http.Client

	mu  sync.Mutex
	url string
	key string
}

// NewPayment returns a client that uses the primary server. A nil transport is
// one of its own.
func NewPayment(c Config, t http.RoundTripper) *Payment {
	if t == nil {
		t = &http.Transport{MaxIdleConnsPerHost: c.MaxWorkers}
	}
	p := &Payment{
		primary: c.PaymentURL, standby: c.StandbyURL, keyFile: c.KeyFile,
		client: &http.Client{Transport: t, Timeout: c.PaymentTimeout},
		url:    c.PaymentURL,
	}
	_ = p.ReloadKey(context.Background(), remediate.Request{}) // without a key, Ping says what the server says
	return p
}

// Charge has an order paid.
func (p *Payment) Charge(ctx context.Context, o Order) error {
	return p.call(ctx, p.server(), http.MethodPost, fmt.Sprintf("/charge?order=%d&cents=%d", o.ID, o.Cents))
}

// Ping asks whether payments would be accepted. It charges nothing.
func (p *Payment) Ping(ctx context.Context) error {
	return p.call(ctx, p.server(), http.MethodGet, "/ping")
}

func (p *Payment) server() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.url
}

func (p *Payment) call(ctx context.Context, url, method, path string) error {
	p.mu.Lock()
	key := p.key
	p.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, method, url+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 200))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("payment says %d: %s", res.StatusCode, strings.TrimSpace(string(body)))
	}
	return nil
}

// Reconnect drops the idle connections, in case they lead nowhere.
func (p *Payment) Reconnect(context.Context, remediate.Request) error {
	p.client.CloseIdleConnections()
	return nil
}

// ReloadKey reads the key again, in case a newer one was put there.
func (p *Payment) ReloadKey(context.Context, remediate.Request) error {
	key, err := os.ReadFile(p.keyFile)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key = strings.TrimSpace(string(key))
	return nil
}

// UseStandby goes to the other provider. It asks first whether that one would take
// us, so that nothing changes where it would not.
func (p *Payment) UseStandby(ctx context.Context, _ remediate.Request) error {
	if err := p.call(ctx, p.standby, http.MethodGet, "/ping"); err != nil {
		return fmt.Errorf("the standby refuses: %w", err)
	}
	p.use(p.standby)
	return nil
}

// UsePrimary goes back. It asks first, too: as long as the primary refuses us, the
// standby stays in use, and the error of this undo tells a person so.
func (p *Payment) UsePrimary(ctx context.Context, _ remediate.Request) error {
	if p.server() == p.primary {
		return nil
	}
	if err := p.call(ctx, p.primary, http.MethodGet, "/ping"); err != nil {
		return fmt.Errorf("the primary still refuses: %w", err)
	}
	p.use(p.primary)
	return nil
}

func (p *Payment) use(url string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.url = url
}

// Healing watches whether payments are accepted. The ladder goes from what costs
// nothing to what costs most. The standby takes a higher fee, so it is undone: when
// the primary is well again, or at once when the standby did not help.
func (p *Payment) Healing() selfheal.Watch {
	return selfheal.Watch{
		Name:     "orders/payment",
		Detector: detect.Probe(p.Ping),
		For:      time.Minute,
		KeepFor:  3 * time.Minute,
		Runbook:  "https://wiki.example/orders/payment",
		Playbook: remediate.Ladder(
			remediate.Step{Name: "reconnect", Run: p.Reconnect, Settle: time.Minute, Risk: remediate.Safe},
			remediate.Step{Name: "reload-key", Run: p.ReloadKey, Settle: time.Minute, Risk: remediate.Safe},
			remediate.Step{Name: "use-standby", Run: p.UseStandby, Undo: p.UsePrimary, Settle: time.Minute},
		),
	}
}
