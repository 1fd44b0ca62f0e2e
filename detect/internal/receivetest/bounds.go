package receivetest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

func noData(t *testing.T, f Fixture) {
	if f.NoNoData {
		t.Skip("the sender has no such state")
	}
	w := start(t, f, Options{})
	d := w.r.Alerts(disk)
	none := Alert{Name: disk, Instance: "a", State: NoData, Start: time.Now()}
	w.say(none)
	w.want(d, "", "a")
	time.Sleep(time.Minute)
	none.State, none.End, none.Data = Resolved, time.Now(), true
	w.say(none)
	w.want(d, "", "")
	time.Sleep(time.Minute)
	began := time.Now()
	w.say(fires("b", began))
	w.want(d, "b", "")
	time.Sleep(time.Minute)
	w.say(Alert{Name: disk, Instance: "b", State: NoData, Start: time.Now()})
	if fs, err := d.Detect(t.Context()); len(fs) > 0 || len(detect.StaleOf(err)) == 0 {
		t.Fatalf("%v %v", fs, err)
	}
}

func flood(t *testing.T, f Fixture) {
	w := start(t, f, Options{MaxAlerts: 2, Expiry: 10 * hour})
	d := w.r.Alerts(disk)
	began := time.Now()
	for _, i := range []string{"a", "b", "c"} {
		w.say(fires(i, began))
	}
	w.counted("no room", w.r.Stats().Ignored, 1)
	if fs, err := d.Detect(t.Context()); len(fs) != 2 || err == nil || !strings.Contains(err.Error(), "MaxAlerts") {
		t.Fatalf("%v %v", fs, err)
	}
	w.say(fires("a", began)) // those that are there can be restated
	time.Sleep(time.Second)
	w.say(ends("a", began, time.Now())) // and resolved
	time.Sleep(9 * hour)
	w.say(fires("b", began))
	time.Sleep(hour)
	w.want(d, "b", "") // the flood is over
	time.Sleep(time.Minute)
	w.say(fires("d", time.Now()))
	time.Sleep(11 * hour) // b and d expire, and make room, with a word
	w.say(fires("e", time.Now()))
	if fs, err := d.Detect(t.Context()); len(fs) != 1 || len(detect.StaleOf(err)) != 1 || !strings.Contains(err.Error(), "MaxAlerts") {
		t.Fatalf("%v %v", fs, err)
	}
}

func bounded(t *testing.T, f Fixture) {
	w := start(t, f, Options{MaxBody: 50})
	for _, known := range []bool{true, false} {
		r := w.f.Request(t, fires("a", time.Now()), time.Now())
		if !known {
			r.ContentLength = -1
		}
		if code := Send(w.r, r); code != http.StatusRequestEntityTooLarge {
			t.Fatalf("answered %d", code)
		}
	}
	r := w.f.Request(t, fires("a", time.Now()), time.Now())
	r.Method = http.MethodGet
	if code := Send(w.r, r); code != http.StatusMethodNotAllowed {
		t.Fatalf("answered %d", code)
	}
	r = w.f.Request(t, fires("a", time.Now()), time.Now())
	r.Header.Set("Content-Encoding", "gzip")
	if code := Send(w.r, r); code != http.StatusUnsupportedMediaType {
		t.Fatalf("answered %d", code)
	}
	w.counted("too large", w.r.Stats().Refused, 2)
	w.blind(w.r.All())
	if _, err := f.New(t, Options{MaxBody: -1}); err == nil {
		t.Fatal("a negative bound is a mistake")
	}
}

func garbage(t *testing.T, f Fixture) {
	if f.Garbage == nil {
		t.Skip("nothing is proved that cannot be read")
	}
	w := start(t, f, Options{})
	if code := Send(w.r, f.Garbage(t)); code/100 != 2 {
		t.Fatalf("answered %d", code)
	}
	w.counted("malformed", w.r.Stats().Ignored, 1)
	w.blind(w.r.All()) // nothing was said of any alert
}

func forget(t *testing.T, f Fixture) {
	store := &detect.MemoryStore{}
	w := start(t, f, Options{Store: store, Expiry: 10 * hour})
	d := w.r.Alerts(disk)
	began := time.Now()
	w.say(fires("a", began))
	fs, _ := d.Detect(t.Context())
	time.Sleep(20 * hour)
	w.want(d, "", "a")
	if err := w.r.Forget(t.Context(), fs[0].Key); err != nil {
		t.Fatal(err)
	}
	w.want(d, "", "")
	if err := w.r.Forget(t.Context(), fs[0].Key); err == nil {
		t.Fatal("it was forgotten already")
	}
	w = start(t, f, Options{Store: store, Expiry: 10 * hour})
	if fs, err := w.r.All().Detect(t.Context()); len(fs) > 0 || detect.StaleOf(err) != nil {
		t.Fatalf("%v %v", fs, err)
	}
}

func lag(t *testing.T, f Fixture) {
	for given, want := range map[time.Duration]time.Duration{0: 6 * time.Minute, -1: 0, hour: hour} {
		w := start(t, f, Options{Lag: given})
		for _, d := range []detect.Detector{w.r.Alerts(disk), w.r.All()} {
			if got := d.(detect.Lagging).Lag(); got != want {
				t.Fatalf("Lag %v gives %v, want %v", given, got, want)
			}
		}
	}
	if _, err := f.New(t, Options{Lag: -hour}); err == nil {
		t.Fatal("a negative lag is a mistake")
	}
	if _, err := f.New(t, Options{Expiry: -hour}); err == nil {
		t.Fatal("a negative expiry is a mistake")
	}
	if _, err := f.New(t, Options{MaxAlerts: -1}); err == nil {
		t.Fatal("a negative number is a mistake")
	}
}

// atOnce posts from several goroutines while others look.
func atOnce(t *testing.T, f Fixture) {
	r, err := f.New(t, Options{Store: &detect.MemoryStore{}})
	if err != nil {
		t.Fatal(err)
	}
	d, began := r.Alerts(disk), time.Now().Add(-time.Hour)
	var requests [4][]*http.Request
	for g := range requests {
		for n := range 10 {
			a := fires(fmt.Sprint(g), began.Add(time.Duration(2*n)*time.Second))
			requests[g] = append(requests[g], f.Request(t, a, time.Now()))
			if n < 9 {
				requests[g] = append(requests[g], f.Request(t, ends(a.Instance, a.Start, a.Start.Add(time.Second)), time.Now()))
			}
		}
	}
	var wg sync.WaitGroup
	for g := range requests {
		wg.Go(func() {
			for _, q := range requests[g] {
				if code := Send(r, q); code != http.StatusOK {
					t.Errorf("answered %d", code)
				}
			}
		})
		wg.Go(func() {
			for range 50 {
				_, _ = d.Detect(t.Context())
				_ = r.Stats()
				_, _ = r.All().Detect(t.Context())
			}
		})
	}
	wg.Wait()
	if fs, err := d.Detect(t.Context()); len(fs) != len(requests) || err != nil {
		t.Fatalf("%d found, %v: %+v", len(fs), err, r.Stats())
	}
}

func healthyLook(t *testing.T, f Fixture) {
	r, err := f.New(t, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := r.Alerts(disk)
	began := time.Now().Add(-time.Hour)
	for _, a := range []Alert{fires("a", began), ends("a", began, began.Add(time.Second))} {
		if code := Send(r, f.Request(t, a, time.Now())); code != http.StatusOK {
			t.Fatalf("answered %d", code)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = d.Detect(t.Context()) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// manyEnded resolves more alerts than may fire: they are remembered, not all.
func manyEnded(t *testing.T, f Fixture) {
	store := &detect.MemoryStore{}
	w := start(t, f, Options{Store: store, MaxAlerts: 2, Expiry: 100 * hour})
	for n := range 20 {
		began := time.Now()
		w.say(fires(fmt.Sprint(n), began))
		time.Sleep(time.Second)
		w.say(ends(fmt.Sprint(n), began, time.Now()))
	}
	entries, _ := store.Load(t.Context())
	if len(entries) > 2+4+1 { // what fires, what has ended, and when anything was heard
		t.Fatalf("%d entries are stored", len(entries))
	}
	w.want(w.r.All(), "", "")
}
