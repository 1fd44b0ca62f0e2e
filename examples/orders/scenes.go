package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/selfheal-go/selfheal/examples/orders/shop"
	"github.com/selfheal-go/selfheal/remediate"
)

// scene is a fault, what is told about it, and what must be true in the end.
type scene struct {
	letter string
	title  string
	tells  []string
	watch  string              // whose story it is; a prefix
	rush   bool                // more customers than on other days
	folded bool                // many alike: the first of a kind is printed for all
	gauge  func(*stage) string // the state of the world, beside each event
	play   func(*stage)
}

func scenes() []*scene {
	return []*scene{
		{
			letter: "a", title: "The bank gets slow and orders pile up", watch: "orders/queue", rush: true,
			tells: []string{"More workers are tried first, in vain: the bank serves four at once, however many ask.", "Fewer orders help."},
			gauge: func(s *stage) string {
				depth, _ := s.service.Queue.Depth(s.ctx)
				return fmt.Sprintf("waiting %3d  workers %2d  refused %d", depth, s.service.Pool.Size(), s.customers.shed.Load()+s.customers.full.Load())
			},
			play: slowBank,
		},
		{
			letter: "b", title: "Goroutines leak", watch: "orders/mailer",
			tells: []string{"A bug ends the goroutine that receives, so all that send wait for ever."},
			gauge: func(s *stage) string {
				n, _ := s.service.Mailer.Goroutines(s.ctx)
				return fmt.Sprintf("goroutines of the mailer %d", n)
			},
			play: leak,
		},
		{
			letter: "c", title: "The spool directory fills", watch: "orders/spool",
			tells: []string{"Old receipts go. The newest stay, and so does what is not ours."},
			gauge: func(s *stage) string {
				numbers, bytes, _ := s.service.Spool.Receipts()
				return fmt.Sprintf("receipts %3d  %4d KiB", len(numbers), bytes>>10)
			},
			play: fullSpool,
		},
		{
			letter: "d", title: "A worker deadlocks", watch: "orders/workers",
			tells: []string{"Its heart stops beating. A goroutine cannot be ended from outside, so another takes its place."},
			gauge: func(s *stage) string {
				return fmt.Sprintf("workers %d  replaced %d  orders set aside %d", s.service.Pool.Size(), s.service.Pool.Lost(), s.service.Parked())
			},
			play: deadlock,
		},
		{
			letter: "e", title: "A fault that no step can fix", watch: "orders/payment",
			tells: []string{"All that there is, is tried. Then a person is called, who reads what was tried."},
			gauge: func(s *stage) string { return fmt.Sprintf("orders set aside %d", s.service.Parked()) },
			play:  revokedKey,
		},
		{
			letter: "f", title: "Everything fails at once", watch: "partners/", folded: true,
			tells: []string{"Eight watches, one cause. The storm rail stops every disruptive step and calls once, not eight times."},
			gauge: func(s *stage) string {
				reconnects, restarts := partnerCounts(s)
				return fmt.Sprintf("reconnected %d  sessions restarted %d", reconnects, restarts)
			},
			play: storm,
		},
	}
}

func slowBank(s *stage) {
	s.breakIt("slow-bank")
	helped := s.until("shedding helped", s.sawing(ended("shed-load", remediate.Healed)))
	refused := s.customers.shed.Load()
	workers := s.service.Pool.Size()
	s.mend("slow-bank")
	s.until("the incident is closed", s.sawing(closed))

	s.check(s.saw(ended("scale-workers", remediate.NoEffect)), "scaling to %d workers had no effect", workers)
	s.check(helped && refused > 0, "shedding helped: %d orders got HTTP 503", refused)
	s.check(s.saw(undone("shed-load")) && !s.service.Queue.Shedding(), "shedding was undone once the bank had recovered")
	s.check(s.saw(undone("scale-workers")) && s.service.Pool.Size() == small().Workers, "so was scaling: %d workers again", s.service.Pool.Size())
	code, err := s.customers.order(s.ctx, shop.Order{Customer: "ada@example.com", Cents: 990})
	s.check(err == nil && code == http.StatusAccepted, "a new order is accepted: HTTP %d", code)
}

func leak(s *stage) {
	const send = "shop.(*Mailer).send("
	s.breakIt("bad-address")
	// Half of the limit, so that these are seen before the watch sees them.
	s.until("goroutines leak", func() bool {
		n, _ := s.service.Mailer.Goroutines(s.ctx)
		return int(n) > small().MailerLimit/2
	})
	before := goroutinesIn(send)
	s.until("the mailer was restarted", s.sawing(ended("restart-mailer", remediate.Healed)))
	after, confirmed := goroutinesIn(send), s.service.Mailer.Confirmed()
	s.until("the incident is closed", s.sawing(closed))
	works := s.until("mails are confirmed again", func() bool { return s.service.Mailer.Confirmed() > confirmed })

	s.check(before > small().MailerLimit/4, "%d goroutines hung in Mailer.send, when half of the limit was reached", before)
	s.check(after < small().MailerLimit/4, "%d hang there after the restart", after)
	s.check(works, "mails are confirmed again")
}

func fullSpool(s *stage) {
	foreign, err := putForeign(s)
	if err != nil {
		s.fail("foreign files: %v", err)
		return
	}
	s.breakIt("wholesale")
	s.until("old receipts were deleted", s.sawing(ended("delete-old", remediate.Healed)))
	numbers, bytes, err := s.service.Spool.Receipts()
	s.until("the incident is closed", s.sawing(closed))

	if err != nil || len(numbers) == 0 {
		s.check(false, "there are receipts: %v", err)
		return
	}
	oldest, newest := numbers[0], numbers[len(numbers)-1]
	s.check(oldest > 1 && int(bytes>>10) < small().SpoolLimit, "receipts 1 to %d are gone, %d KiB are left", oldest-1, bytes>>10)
	// They are numbered as they are written: without a gap up to the last, none went
	// that is newer than one that stayed.
	s.check(len(numbers) >= small().SpoolKeep && newest-oldest == len(numbers)-1, "the newest stayed: %d to %d, without a gap", oldest, newest)
	lost := missing(foreign)
	s.check(len(lost) == 0, "%d of %d files that are not ours are as they were", len(foreign)-len(lost), len(foreign))
}

func deadlock(s *stage) {
	const inMutex = "shop.(*till).wrap("
	others := goroutinesIn(inMutex)
	s.breakIt("gift")
	hung := s.until("a worker hangs in its mutex", func() bool { return goroutinesIn(inMutex) > others })
	s.until("it was replaced", s.sawing(ended("replace-worker", remediate.Healed)))
	s.until("the incident is closed", s.sawing(closed))
	works := s.until("all workers serve orders", func() bool {
		served := s.service.Pool.Served()
		for _, n := range served {
			if n == 0 {
				return false
			}
		}
		return len(served) == small().Workers
	})

	s.check(hung, "a worker hung in sync.Mutex.Lock")
	// On a starved machine another worker may have looked dead, too.
	s.check(s.service.Pool.Lost() >= 1 && works, "%d worker was replaced, and all %d serve orders", s.service.Pool.Lost(), s.service.Pool.Size())
	s.check(s.service.Parked() >= 1, "the order that it hung on is set aside, not lost")
}

func revokedKey(s *stage) {
	s.calls = 1
	s.breakIt("revoked-key")
	s.until("a person was called", func() bool { return s.pager.called() == 1 && s.saw(paged) })
	wait(s.ctx, 500*time.Millisecond) // the person reads; nothing else must be tried meanwhile
	steps := s.count(anyStep)
	s.mend("revoked-key")
	s.until("the incident is closed", s.sawing(closed))
	s.until("the person was told that it is over", func() bool { return s.pager.resolved.Load() == 1 })

	s.check(s.inOrder(
		ended("reconnect", remediate.NoEffect), ended("reload-key", remediate.NoEffect), ended("use-standby", remediate.Failed),
		undone("use-standby"), paged,
	), "the ladder was climbed rung by rung, what did not help was undone, then a person was called")
	text := s.screen.lastCall()
	s.check(containsAll(text, "reconnect: no effect", "reload-key: no effect", "use-standby: failed", "undone"), "the page says what was tried")
	s.check(steps == 3 && s.count(anyStep) == 3, "nothing was tried after it")
	s.check(s.saw(told), "the person who was called was told that it is over")
}

func storm(s *stage) {
	s.calls = 1
	partners := len(s.service.Partners)
	s.breakIt("dead-gateway")
	s.until("all partners are held by the storm", func() bool { return s.saw(stormy) && s.count(heldBy(remediate.RailStorm)) >= partners })
	s.until("a person was called", func() bool { return s.pager.called() == 1 })
	wait(s.ctx, 500*time.Millisecond) // nothing more must happen meanwhile
	reconnects, restarts := partnerCounts(s)
	s.mend("dead-gateway")
	s.until("all incidents are closed", func() bool { return s.count(closed) >= partners })

	s.check(s.count(opened) == partners, "%d incidents opened", s.count(opened))
	s.check(reconnects >= int64(partners), "safe steps went on: %d reconnects", reconnects)
	s.check(restarts == 0 && s.count(started("restart-session")) == 0, "every disruptive step was stopped: %d restarts", restarts)
	_, restarts = partnerCounts(s)
	s.check(restarts == 0 && s.count(closed) == partners, "all closed when the cause was gone, and nothing was replayed")
}

func partnerCounts(s *stage) (reconnects, restarts int64) {
	for _, p := range s.service.Partners {
		reconnects += p.Reconnects()
		restarts += p.Restarts()
	}
	return reconnects, restarts
}

// settle is the end of every scene: the customers go home, and what they ordered
// is either served or set aside.
func settle(s *stage) {
	s.customers.goHome()
	balanced := func() bool { return s.service.Accepted() == s.service.Served()+s.service.Parked() }
	for deadline := time.Now().Add(patience); !balanced() && time.Now().Before(deadline) && s.ctx.Err() == nil; {
		time.Sleep(5 * time.Millisecond)
	}
	s.check(balanced() && s.customers.failed.Load() == 0, "no order is lost: %d accepted = %d served + %d set aside",
		s.service.Accepted(), s.service.Served(), s.service.Parked())
	switch n := s.pager.called(); n {
	case 0:
		s.check(s.calls == 0, "nobody was called")
	case 1:
		s.check(s.calls == 1, "a person was called, once")
	default:
		s.check(s.calls == n, "people were called %d times", n)
	}
}
