package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/examples/orders/shop"
	"github.com/selfheal-go/selfheal/remediate"
)

// patience is how long a scene waits for one thing. A supervisor that is late
// doubts itself and holds everything for 30 s; then only the limit of the whole
// run counts.
const patience = 20 * time.Second

// stage is one scene under way: the service, the world around it, and a
// supervisor with all of the service's watches.
type stage struct {
	ctx    context.Context
	scene  *scene
	screen *screen

	dir       string
	bank      *bank
	gateway   *gateway
	service   *shop.Service
	customers *customers
	sites     []*site
	front     *site // where orders go to
	pager     *pager
	sup       *selfheal.Supervisor
	supEnds   context.CancelFunc
	supEnded  chan error

	began  time.Time
	broke  time.Time // the fault was caused
	calls  int       // that are expected
	failed bool
	checks []check

	mu     sync.Mutex
	events []selfheal.Event
}

// check is something that was told, and whether it is so.
type check struct {
	what string
	ok   bool
}

func newStage(ctx context.Context, o *options, sc *scene) (s *stage, err error) {
	s = &stage{
		ctx: ctx, scene: sc, screen: o.screen, began: time.Now(),
		bank: newBank(), gateway: &gateway{}, pager: newPager(), supEnded: make(chan error, 1),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "orders-"); err != nil {
		return s, err
	}
	c := small()
	c.SpoolDir = filepath.Join(s.dir, "spool")
	c.KeyFile = filepath.Join(s.dir, "key")
	if err = errors.Join(os.Mkdir(c.SpoolDir, 0o700), os.WriteFile(c.KeyFile, []byte(firstKey+"\n"), 0o600)); err != nil {
		return s, err
	}
	bankSite, err := s.open(s.bank)
	if err != nil {
		return s, err
	}
	gatewaySite, err := s.open(s.gateway)
	if err != nil {
		return s, err
	}
	c.PaymentURL, c.StandbyURL, c.PartnersURL = bankSite.url, bankSite.url+standbyPath, gatewaySite.url
	s.service = shop.New(c)
	s.service.Start()
	if s.front, err = s.open(s.service); err != nil {
		return s, err
	}

	s.sup = selfheal.New(selfheal.Options{
		Service: "webshop", Every: lookEvery, Logger: o.logger(),
		Escalate: escalate.To(escalate.Named("phone", s.pager)),
		Observer: selfheal.ObserverFunc(s.observe),
	})
	for _, w := range s.service.Watches() {
		s.sup.Watch(sabotaged(hurry(w), o.sabotage))
	}
	if err = s.sup.Validate(); err != nil {
		return s, err
	}
	// Not ctx: at ctrl-C the scene ends the supervisor itself, before the rest.
	supCtx, end := context.WithCancel(context.WithoutCancel(ctx))
	s.supEnds = end
	go func() { s.supEnded <- s.sup.Run(supCtx) }()

	s.customers = newCustomers(s.front.url)
	hour := calmHour
	if sc.rush {
		hour = rushHour
	}
	s.customers.come(ctx, hour)
	return s, nil
}

func (s *stage) open(h http.Handler) (*site, error) {
	x, err := open(h)
	if err == nil {
		s.sites = append(s.sites, x)
	}
	return x, err
}

// sabotaged is a watch whose step of that name does nothing.
func sabotaged(w selfheal.Watch, step string) selfheal.Watch {
	for n := range w.Playbook.Steps {
		if w.Playbook.Steps[n].Name == step {
			w.Playbook.Steps[n].Run = func(context.Context, remediate.Request) error { return nil }
		}
	}
	return w
}

// close ends everything, the supervisor first, as a service should: it must not
// see the rest go down and heal it.
func (s *stage) close() error {
	var errs []error
	if s.supEnds != nil {
		s.supEnds()
		errs = append(errs, <-s.supEnded)
	}
	if s.customers != nil {
		s.customers.goHome()
	}
	if s.service != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		errs = append(errs, s.service.Stop(ctx))
		cancel()
	}
	for _, x := range s.sites {
		errs = append(errs, x.close())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// observe gets every event of the supervisor, in order.
func (s *stage) observe(ctx context.Context, e selfheal.Event) {
	s.mu.Lock()
	s.events = append(s.events, e)
	s.mu.Unlock()
	s.screen.event(s, e)
	if _, ok := e.(selfheal.EventPage); ok {
		s.screen.call(s.pager.next(ctx, e.Meta().Incident))
	}
}

// healthy says whether every watch has looked and found nothing.
func (s *stage) healthy() bool {
	return !slices.ContainsFunc(s.sup.Status().Watches, func(w selfheal.WatchStatus) bool { return w.State != "healthy" })
}

// breakIt causes a fault.
func (s *stage) breakIt(name string) {
	f, ok := findFault(name)
	if !ok {
		s.check(false, "there is no fault %q", name)
		return
	}
	s.broke = time.Now()
	s.screen.world(s, "FAULT", f.says)
	if err := f.cause(s.ctx, s); err != nil {
		s.check(false, "%s: %v", f.says, err)
	}
}

// mend ends a fault that does not end by itself.
func (s *stage) mend(name string) {
	if f, ok := findFault(name); ok && f.mend != nil {
		s.screen.world(s, "MENDED", f.mended)
		f.mend(s)
	}
}

// until waits for something, and not for longer than it makes sense. Once it was
// in vain, all others are.
func (s *stage) until(what string, is func() bool) bool {
	deadline := time.Now().Add(patience)
	for !s.failed {
		switch {
		case is():
			return true
		case s.pager.called() > s.calls:
			s.fail("a person was called before this: %s", what)
		case s.ctx.Err() != nil:
			s.fail("the run ended before this: %s", what)
		case time.Now().After(deadline) && !s.saw(tilted):
			s.fail("this did not happen within %v: %s", patience, what)
		default:
			time.Sleep(5 * time.Millisecond)
		}
	}
	return false
}

func (s *stage) fail(format string, args ...any) {
	s.failed = true
	s.check(false, format, args...)
}

// check notes whether something that was told is so.
func (s *stage) check(ok bool, format string, args ...any) {
	s.checks = append(s.checks, check{fmt.Sprintf(format, args...), ok})
}

func (o *options) logger() *slog.Logger {
	if o.log {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}
