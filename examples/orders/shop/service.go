package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/selfheal-go/selfheal"
)

// An Order is what a customer sends.
type Order struct {
	ID       int64  `json:"id"` // given by the service
	Customer string `json:"customer"`
	Cents    int    `json:"cents"`
	Lines    int    `json:"lines"` // of the receipt
	Gift     bool   `json:"gift"`
}

// A Service takes orders over HTTP and serves them.
type Service struct {
	Queue    *Queue
	Pool     *Pool
	Payment  *Payment
	Mailer   *Mailer
	Spool    *Spool
	Partners []*Partner

	ids, accepted, served, parked atomic.Int64
}

// New puts the parts together and starts nothing.
func New(c Config) *Service {
	s := &Service{
		Queue: NewQueue(c.QueueSize), Payment: NewPayment(c, nil),
		Mailer: NewMailer(c), Spool: NewSpool(c),
	}
	s.Pool = NewPool(c, s.Queue, s.hire, s.finished)
	for _, name := range partnerNames() {
		s.Partners = append(s.Partners, NewPartner(c, name))
	}
	return s
}

// Watches are all watches of the service: what heals it.
func (s *Service) Watches() []selfheal.Watch {
	ws := []selfheal.Watch{
		s.Queue.Healing(s.Pool), s.Pool.Healing(), s.Mailer.Healing(), s.Spool.Healing(), s.Payment.Healing(),
	}
	for _, p := range s.Partners {
		ws = append(ws, p.Healing())
	}
	return ws
}

// Start starts the mailer and the workers.
func (s *Service) Start() {
	s.Mailer.Start()
	s.Pool.Start()
}

// Stop ends everything that does not hang.
func (s *Service) Stop(ctx context.Context) error {
	s.Pool.Stop()
	return s.Mailer.Stop(ctx)
}

// ServeHTTP takes an order: 202 when it will be served, 503 when it is better to
// come back later.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/orders" {
		http.Error(w, "POST an order to /orders", http.StatusNotFound)
		return
	}
	var o Order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if o.Lines < 0 || o.Lines > 1000 {
		http.Error(w, "an order has 0 to 1000 lines", http.StatusBadRequest)
		return
	}
	o.ID = s.ids.Add(1)
	if err := s.Queue.Put(o); err != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	s.accepted.Add(1)
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintln(w, "thank you")
}

func (s *Service) finished(_ Order, err error) {
	if err != nil {
		s.parked.Add(1) // a real one would keep it for a person
		return
	}
	s.served.Add(1)
}

// Accepted is how many orders were taken; Served and Parked are what became of
// them. When nothing is under way, Accepted is the sum of the two.
func (s *Service) Accepted() int64 { return s.accepted.Load() }

// Served is how many orders were served.
func (s *Service) Served() int64 { return s.served.Load() }

// Parked is how many orders could not be served and wait for a person.
func (s *Service) Parked() int64 { return s.parked.Load() }

// hire gives a worker a till of its own.
func (s *Service) hire() Serve { return (&till{s: s}).serve }

// A till belongs to one worker. The report of the day reads it from outside,
// hence the lock.
type till struct {
	s *Service

	mu           sync.Mutex
	cents, gifts int
}

func (t *till) serve(ctx context.Context, o Order) error {
	if err := t.s.Payment.Charge(ctx, o); err != nil {
		return err
	}
	t.book(o)
	if err := t.s.Spool.Write(o); err != nil {
		return err
	}
	t.s.Mailer.Confirm(o)
	return nil
}

func (t *till) book(o Order) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cents += o.Cents
	if o.Gift {
		t.wrap()
	}
}

// wrap has a bug: book holds the lock already, and a sync.Mutex cannot be taken
// twice. Whoever serves a gift never comes back.
func (t *till) wrap() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gifts++
}
