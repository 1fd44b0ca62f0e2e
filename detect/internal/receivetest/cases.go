package receivetest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/selfheal-go/selfheal/detect"
)

var cases = []struct {
	name string
	run  func(t *testing.T, f Fixture)
}{
	{"no proof, no action", noProof},
	{"a level from firing to resolved", level},
	{"repeats restate", repeats},
	{"older never overrides newer", olderStates},
	{"a later bout fires again", laterBout},
	{"each alert for itself", eachForItself},
	{"matches", matches},
	{"wakes", wakes},
	{"expiry", expiry},
	{"a restart with a store", restartWithStore},
	{"a restart with nothing", restartWithNothing},
	{"a stored alert that cannot be read", unreadableStored},
	{"stored before answered", storedBefore},
	{"a store that hangs delays no look", hangingStore},
	{"no data starts nothing", noData},
	{"more alerts than fit", flood},
	{"many that have ended", manyEnded},
	{"bodies are bounded", bounded},
	{"garbage", garbage},
	{"forget", forget},
	{"lag", lag},
}

func noProof(t *testing.T, f Fixture) {
	w := start(t, f, Options{})
	all := w.r.All()
	r := w.f.Request(t, fires("a", time.Now()), time.Now())
	body, _ := io.ReadAll(r.Body)
	for name := range r.Header { // all that could prove anything
		r.Header.Del(name)
	}
	// A body that is signed within itself is changed instead.
	r.Body = io.NopCloser(bytes.NewReader(bytes.Replace(body, []byte(disk), []byte("Other"), 1)))
	if code := Send(w.r, r); code/100 != 4 {
		t.Fatalf("answered %d", code)
	}
	w.blind(all)
	if s := w.r.Stats(); len(s.Refused) != 1 || s.Taken != 0 || s.Requests != 1 {
		t.Fatalf("%+v", s)
	}
}

func level(t *testing.T, f Fixture) {
	w := start(t, f, Options{})
	d, other, all := w.r.Alerts(disk), w.r.Alerts("Other"), w.r.All()
	w.blind(d)
	w.blind(all)
	began := time.Now()
	time.Sleep(time.Minute)
	w.say(fires("a", began))
	for range 2 {
		w.want(d, "a", "")
		w.want(all, "a", "")
		w.want(other, "", "")
	}
	fs, _ := d.Detect(t.Context())
	if f := fs[0]; f.Key == "" || f.Summary == "" {
		t.Fatalf("%+v has no key or no summary", f)
	}
	if s := w.r.Stats(); s.Firing != 1 || s.Taken != 1 {
		t.Fatalf("%+v", s)
	}
	w.say(ends("a", began, time.Now()))
	w.want(d, "", "")
	w.want(all, "", "")
}

func repeats(t *testing.T, f Fixture) {
	w := start(t, f, Options{})
	d := w.r.Alerts(disk)
	began := time.Now()
	for range 3 {
		w.say(fires("a", began))
		time.Sleep(time.Minute)
	}
	w.want(d, "a", "")
	if s := w.r.Stats(); s.Taken != 3 || s.Firing != 1 {
		t.Fatalf("%+v", s)
	}
	ended := time.Now()
	for range 3 {
		w.say(ends("a", began, ended))
		w.want(d, "", "")
		time.Sleep(time.Minute)
	}
}

func olderStates(t *testing.T, f Fixture) {
	w := start(t, f, Options{})
	d := w.r.Alerts(disk)
	began := time.Now()
	w.say(fires("a", began))
	time.Sleep(time.Minute)
	ended := time.Now()
	w.say(ends("a", began, ended))
	time.Sleep(time.Minute)
	w.say(fires("a", began)) // the same bout, told late
	w.want(d, "", "")
	w.counted("older", w.r.Stats().Ignored, 1)
	again := time.Now()
	w.say(fires("a", again))
	w.want(d, "a", "")
	w.say(ends("a", began, ended)) // the end of the bout before
	w.want(d, "a", "")
	w.counted("older", w.r.Stats().Ignored, 2)
}

func laterBout(t *testing.T, f Fixture) {
	w := start(t, f, Options{})
	d := w.r.Alerts(disk)
	for range 3 {
		began := time.Now()
		w.say(fires("a", began))
		w.want(d, "a", "")
		time.Sleep(time.Minute)
		w.say(ends("a", began, time.Now()))
		w.want(d, "", "")
		time.Sleep(time.Minute)
	}
}

func eachForItself(t *testing.T, f Fixture) {
	w := start(t, f, Options{})
	d := w.r.Alerts(disk)
	began := time.Now()
	for _, i := range []string{"a", "b", "c"} {
		w.say(fires(i, began))
	}
	time.Sleep(time.Second)
	w.say(ends("b", began, time.Now()))
	fs, err := d.Detect(t.Context())
	if err != nil || len(fs) != 2 || fs[0].Key >= fs[1].Key {
		t.Fatalf("%v %v", fs, err)
	}
	for _, f := range fs {
		if f.Labels[w.f.Instance] == "b" {
			t.Fatal("b was resolved")
		}
	}
}

func matches(t *testing.T, f Fixture) {
	w := start(t, f, Options{})
	l := f.Instance
	want := map[detect.Detector]string{
		w.r.Alerts(disk, l+"=a"):                  "a",
		w.r.Alerts(disk, l+`="a"`):                "a",
		w.r.Alerts(disk, l+"!=a", l+"=~b|c"):      "b",
		w.r.Alerts(disk, l+"=~b"):                 "b",
		w.r.Alerts(disk, l+"=~B|x"):               "",
		w.r.Alerts(disk, "nobody="):               "a b",
		w.r.Alerts(disk, "nobody=~.+"):            "",
		w.r.Alerts(disk, l+"!~[a-b]"):             "",
		w.r.Alerts(strings.ToLower(disk), l+"=a"): "",
	}
	w.say(fires("a", time.Now()))
	w.say(fires("b", time.Now()))
	for d, found := range want {
		if found == "a b" {
			if fs, err := d.Detect(t.Context()); len(fs) != 2 || err != nil {
				t.Fatalf("%v %v", fs, err)
			}
			continue
		}
		w.want(d, found, "")
	}
	for _, match := range []string{"", l, "=a", l + "=~(", l + "==a", l + "!a", l + `="a`, "a b=c", `"` + l} {
		d := w.r.Alerts(disk, match)
		if err := d.(detect.Validator).Validate(); err == nil || !strings.Contains(err.Error(), disk) {
			t.Errorf("match %q: %v", match, err)
		}
		w.blind(d)
	}
	if err := w.r.Alerts("").(detect.Validator).Validate(); err == nil {
		t.Error("a missing name is a mistake")
	}
	if err := w.r.All().(detect.Validator).Validate(); err != nil {
		t.Error(err)
	}
}

func wakes(t *testing.T, f Fixture) {
	w := start(t, f, Options{})
	d := w.r.Alerts(disk)
	woken, others := 0, 0
	d.(detect.Waker).OnWake(func() {
		woken++
		_ = w.r.Stats() // no lock is held
		_, _ = w.r.All().Detect(t.Context())
	})
	w.r.Alerts("Other").(detect.Waker).OnWake(func() { others++ })
	expect := func(n int) {
		t.Helper()
		if woken != n {
			t.Fatalf("woken %d times, want %d", woken, n)
		}
	}
	began := time.Now()
	w.say(fires("a", began))
	w.say(fires("b", began))
	expect(1) // until somebody looks
	_, _ = d.Detect(t.Context())
	w.say(fires("a", began))
	expect(1) // no news
	time.Sleep(time.Second)
	w.say(ends("a", began, time.Now()))
	expect(2)
	_, _ = d.Detect(t.Context())
	d.(detect.Waker).OnWake(nil)
	w.say(ends("b", began, time.Now()))
	expect(2)
	if others != 1 { // something was heard for the first time
		t.Fatalf("another watch was woken %d times", others)
	}
}

func expiry(t *testing.T, f Fixture) {
	w := start(t, f, Options{Expiry: 10 * hour})
	d := w.r.Alerts(disk)
	began := time.Now()
	w.say(fires("a", began))
	time.Sleep(9 * hour)
	w.want(d, "a", "")
	w.say(Alert{Name: "Other", Instance: "x", State: Firing, Start: time.Now()})
	time.Sleep(hour)
	w.want(d, "", "a")
	w.want(w.r.All(), "x", "a")
	if s := w.r.Stats(); s.Firing != 1 || s.Stale != 1 {
		t.Fatalf("%+v", s)
	}
	time.Sleep(100 * hour)
	w.want(d, "", "a") // unknown, never healed
	w.say(fires("a", began))
	w.want(d, "a", "") // the very same is vouched for again
	time.Sleep(20 * hour)
	w.want(d, "", "a")
	again := began.Add(time.Second)
	w.say(fires("a", again))
	w.want(d, "a", "")
	time.Sleep(20 * hour)
	w.want(d, "", "a")
	w.say(ends("a", again, time.Now()))
	w.want(d, "", "")
}

func restartWithStore(t *testing.T, f Fixture) {
	store := &detect.MemoryStore{}
	w := start(t, f, Options{Store: store, Expiry: 10 * hour})
	began := time.Now()
	w.say(fires("a", began))
	w.say(fires("b", began))
	time.Sleep(time.Minute)
	ended := time.Now()
	w.say(ends("b", began, ended))
	time.Sleep(time.Minute)

	w = start(t, f, Options{Store: store, Expiry: 10 * hour})
	d := w.r.Alerts(disk)
	woken := 0
	d.(detect.Waker).OnWake(func() { woken++ })
	w.want(d, "", "a")
	w.want(w.r.Alerts("Other"), "", "")
	w.say(fires("b", began)) // what was resolved stays resolved
	w.want(d, "", "a")
	w.say(fires("a", began))
	if woken != 1 {
		t.Fatalf("woken %d times", woken)
	}
	w.want(d, "a", "")
	time.Sleep(time.Second)
	w.say(ends("a", began, time.Now()))
	w.want(d, "", "")

	w = start(t, f, Options{Store: store, Expiry: 10 * hour})
	w.want(w.r.Alerts(disk), "", "") // it is known that all is well
	time.Sleep(20 * hour)
	w = start(t, f, Options{Store: store, Expiry: 10 * hour})
	w.blind(w.r.Alerts(disk)) // that was too long ago
	for i := range 5 {
		w.say(fires(fmt.Sprint("c", i), time.Now()))
		time.Sleep(5 * hour)
	}
	entries, _ := store.Load(t.Context())
	for _, e := range entries {
		if bytes.Contains(e.Value, []byte(`"b"`)) {
			t.Fatal("what was resolved long ago is still stored")
		}
	}
}

func restartWithNothing(t *testing.T, f Fixture) {
	w := start(t, f, Options{Store: &detect.MemoryStore{}})
	d, other := w.r.Alerts(disk), w.r.Alerts("Other")
	w.blind(d)
	time.Sleep(100 * hour)
	w.blind(d)
	w.say(Alert{Name: "Other", Instance: "x", State: Firing, Start: time.Now()})
	w.want(d, "", "")
	w.want(other, "x", "")
}

func unreadableStored(t *testing.T, f Fixture) {
	store := &detect.MemoryStore{}
	w := start(t, f, Options{Store: store})
	began := time.Now()
	w.say(fires("a", began))
	entries, _ := store.Load(t.Context())
	for _, e := range entries {
		if bytes.Contains(e.Value, []byte(`"name"`)) {
			_ = store.Put(t.Context(), detect.Entry{Key: e.Key, Value: bytes.Replace(e.Value, []byte(`"v":1`), []byte(`"v":99`), 1)})
		}
	}
	w = start(t, f, Options{Store: store})
	d := w.r.Alerts(disk)
	if fs, err := d.Detect(t.Context()); len(fs) > 0 || len(detect.StaleOf(err)) != 1 {
		t.Fatalf("%v %v", fs, err)
	}
	w.say(fires("a", began))
	w.want(d, "a", "")
}

func storedBefore(t *testing.T, f Fixture) {
	store := &BrokenStore{Err: errDisk}
	w := start(t, f, Options{Store: store})
	d := w.r.Alerts(disk)
	began := time.Now()
	if code := w.send(fires("a", began)); code != http.StatusServiceUnavailable {
		t.Fatalf("answered %d", code)
	}
	w.blind(d)
	store.Err, store.Panic = nil, true
	if code := w.send(fires("a", began)); code != http.StatusServiceUnavailable {
		t.Fatalf("answered %d", code)
	}
	w.counted("not stored", w.r.Stats().Failed, 2)
	store.Panic = false
	w.say(fires("a", began))
	w.want(d, "a", "")
	puts := store.Puts
	w.say(fires("a", began))
	if store.Puts != puts {
		t.Fatal("what is only restated need not be stored again at once")
	}
	store.Err = errDisk
	time.Sleep(time.Second)
	if code := w.send(ends("a", began, time.Now())); code != http.StatusServiceUnavailable {
		t.Fatalf("answered %d", code)
	}
	w.want(d, "a", "")
}

func hangingStore(t *testing.T, f Fixture) {
	store := &BrokenStore{Hang: make(chan struct{})}
	w := start(t, f, Options{Store: store})
	d := w.r.Alerts(disk)
	first := make(chan int)
	began := time.Now()
	r := w.f.Request(t, fires("a", began), began)
	go func() { first <- Send(w.r, r) }()
	synctest.Wait()
	w.blind(d) // at once
	if code := w.send(fires("b", began)); code != http.StatusServiceUnavailable {
		t.Fatalf("answered %d", code)
	}
	w.counted("busy", w.r.Stats().Failed, 1)
	close(store.Hang)
	if code := <-first; code != http.StatusOK {
		t.Fatalf("answered %d", code)
	}
	w.want(d, "a", "")
}
