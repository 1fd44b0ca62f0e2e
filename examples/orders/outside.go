package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// site is an HTTP server on a port of this machine that was free.
type site struct {
	url    string
	server *http.Server
	ended  chan error
}

func open(h http.Handler) (*site, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &site{
		url:    "http://" + l.Addr().String(),
		server: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second},
		ended:  make(chan error, 1),
	}
	go func() { s.ended <- s.server.Serve(l) }()
	return s, nil
}

func (s *site) close() error {
	err := s.server.Close()
	if end := <-s.ended; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

const (
	bankSlots   = 4                     // calls that the bank serves at once
	bankQuick   = 5 * time.Millisecond  // what a call takes
	bankSlow    = 70 * time.Millisecond // what it takes on a bad day
	firstKey    = "key-1"
	standbyPath = "/standby"
)

// bank is the payment server. It serves a few calls at once and lets the others
// wait, which is why more workers cannot make it faster.
type bank struct {
	slots   chan struct{}
	latency atomic.Int64
	revoked atomic.Bool
}

func newBank() *bank {
	b := &bank{slots: make(chan struct{}, bankSlots)}
	b.latency.Store(int64(bankQuick))
	return b
}

func (b *bank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == standbyPath+"/ping": // the other provider
		http.Error(w, "you have no contract with us", http.StatusForbidden)
	case b.revoked.Load() || r.Header.Get("Authorization") != "Bearer "+firstKey:
		http.Error(w, "this key was revoked", http.StatusUnauthorized)
	case r.URL.Path == "/ping":
	case r.URL.Path == "/charge":
		select {
		case b.slots <- struct{}{}:
		case <-r.Context().Done():
			return
		}
		defer func() { <-b.slots }()
		wait(r.Context(), time.Duration(b.latency.Load()))
		fmt.Fprintln(w, "paid")
	default:
		http.NotFound(w, r)
	}
}

// gateway leads to all partners. Cut, it hangs up on everybody.
type gateway struct{ cut atomic.Bool }

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.cut.Load() {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	fmt.Fprintln(w, "ready")
}

// wait waits, unless ctx ends before.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
