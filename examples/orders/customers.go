package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/selfheal-go/selfheal/examples/orders/shop"
)

const (
	customersAtOnce = 4
	calmHour        = 20 * time.Millisecond // between two orders
	rushHour        = 7 * time.Millisecond
)

// customers order all the time, over HTTP, and count the answers.
type customers struct {
	url    string
	client *http.Client
	stop   context.CancelFunc
	gone   sync.WaitGroup

	accepted, shed, full, failed atomic.Int64
}

func newCustomers(url string) *customers {
	return &customers{
		url:    url + "/orders",
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * customersAtOnce}, Timeout: 10 * time.Second},
	}
}

// come lets them order until goHome, one every so often.
func (c *customers) come(ctx context.Context, every time.Duration) {
	ctx, c.stop = context.WithCancel(ctx)
	pace := time.NewTicker(every)
	for range customersAtOnce {
		c.gone.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-pace.C:
					_, _ = c.order(ctx, shop.Order{Customer: "ada@example.com", Cents: 990, Lines: 1}) // counted
				}
			}
		})
	}
	go func() {
		<-ctx.Done()
		pace.Stop()
	}()
}

// goHome returns when the last of them has left.
func (c *customers) goHome() {
	c.stop()
	c.gone.Wait()
	c.client.CloseIdleConnections()
}

// order sends one order and returns the status code of the answer.
func (c *customers) order(ctx context.Context, o shop.Order) (int, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	res, err := c.client.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			c.failed.Add(1)
		}
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 200))
	if err != nil {
		return 0, err
	}
	switch {
	case res.StatusCode == http.StatusAccepted:
		c.accepted.Add(1)
	case strings.Contains(string(text), shop.ErrShedding.Error()):
		c.shed.Add(1)
	case strings.Contains(string(text), shop.ErrFull.Error()):
		c.full.Add(1)
	default:
		c.failed.Add(1)
	}
	return res.StatusCode, nil
}

// insist orders until it is accepted.
func (c *customers) insist(ctx context.Context, o shop.Order) error {
	for {
		code, err := c.order(ctx, o)
		switch {
		case err != nil:
			return err
		case code == http.StatusAccepted:
			return nil
		case code != http.StatusServiceUnavailable:
			return fmt.Errorf("order: HTTP %d", code)
		}
		wait(ctx, 10*time.Millisecond)
	}
}
