package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/examples/orders/shop"
)

// limit bounds the whole run, however busy the machine is.
const limit = 120 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(code)
}

// options are the flags, and where to print to.
type options struct {
	screen   *screen
	scenes   string
	sabotage string
	serve    bool
	log      bool
	toRead   time.Duration // between two scenes
	look     func(*stage)  // a test's own look at the world at the end of a scene
}

// run is the whole program: 0 if everything happened as told, 1 if not, 2 if the
// flags are wrong.
func run(ctx context.Context, args []string, out io.Writer) int {
	o, err := parse(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	_, code := o.run(ctx)
	return code
}

func (o *options) run(ctx context.Context) ([]result, int) {
	results, ok := o.show(ctx)
	if o.serve && ctx.Err() == nil {
		ok = o.explore(ctx) && ok
	}
	if !ok {
		return results, 1
	}
	return results, 0
}

func parse(args []string, out io.Writer) (*options, error) {
	o := &options{screen: newScreen(out), toRead: time.Second}
	f := flag.NewFlagSet("orders", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&o.scenes, "scenes", "abcdef", "the letters of the scenes to play; \"\" for none")
	f.StringVar(&o.sabotage, "sabotage", "", "name of a step, such as shed-load, that is to do nothing")
	f.BoolVar(&o.serve, "serve", false, "afterwards, keep the service running for exploring, until ctrl-C")
	f.BoolVar(&o.log, "log", false, "print what the library logs, to standard error")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if unknown := strings.Trim(o.scenes, "abcdef"); unknown != "" {
		fmt.Fprintf(out, "orders: -scenes: there is no scene %q\n", unknown)
		return nil, errors.New("no such scene")
	}
	if o.sabotage != "" && !hasStep(o.sabotage) {
		fmt.Fprintf(out, "orders: -sabotage: there is no step %q\n", o.sabotage)
		return nil, errors.New("no such step")
	}
	return o, nil
}

func hasStep(name string) bool {
	for _, w := range shop.New(small()).Watches() {
		for _, s := range w.Playbook.Steps {
			if s.Name == name {
				return true
			}
		}
	}
	return false
}

// show plays the scenes, prints the summary, and says whether all was as told.
func (o *options) show(ctx context.Context) ([]result, bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	var play []*scene
	for _, sc := range scenes() {
		if strings.Contains(o.scenes, sc.letter) {
			play = append(play, sc)
		}
	}
	o.preface()
	var results []result
	for _, sc := range play {
		if ctx.Err() != nil {
			break
		}
		results = append(results, o.play(ctx, sc))
		wait(ctx, o.toRead)
	}
	if len(play) == 0 {
		return nil, true
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return results, false
	}
	return results, o.screen.summary(play, results, time.Since(began))
}

// play plays one scene.
func (o *options) play(ctx context.Context, sc *scene) (r result) {
	o.screen.title(sc)
	s, err := newStage(ctx, o, sc)
	if err != nil {
		o.screen.checks([]check{{what: "the scene cannot begin: " + err.Error()}})
		return result{letter: sc.letter}
	}
	if s.until("orders are served", func() bool { return s.service.Served() >= 20 && s.healthy() }) {
		s.screen.world(s, "healthy", fmt.Sprintf("%d orders served; %d watches look, and find nothing", s.service.Served(), len(s.sup.Status().Watches)))
		sc.play(s)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		if err := s.close(); err != nil {
			o.screen.print("orders: " + err.Error())
		}
		o.screen.print("", "Interrupted.")
		return result{letter: sc.letter}
	}
	settle(s)
	if o.look != nil {
		o.look(s)
	}
	r = s.measure()
	if err := s.close(); err != nil {
		s.check(false, "everything ends cleanly: %v", err)
		r.asTold = false
	}
	o.screen.checks(s.checks)
	return r
}

// preface says what is different from production, to the last value.
func (o *options) preface() {
	sc := o.screen
	sc.print(
		sc.paint(bold, "An order service that is broken in front of you and heals itself"),
		"",
		"The service, its faults and its healing are real: HTTP on this machine, goroutines, mutexes, files. Its",
		fmt.Sprintf("watches are those of production, run %d times as fast, and its sizes are small. What that shortens:", faster),
		"",
	)
	for _, l := range shortened(shop.New(small()).Watches(), small()) {
		sc.print("   " + sc.paint(dim, l))
	}
	sc.print("",
		"Every rail is on, at its default: one disruptive step at a time and 30 an hour, 5 min between incidents,",
		"a storm when more than 5 fall sick within a minute, … So that one scene does not hold the next, each has a",
		"supervisor of its own, with all 13 watches. Its timeline is printed as it happens, and on the right what",
		"the world looks like at that moment.",
	)
}
