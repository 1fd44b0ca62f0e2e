package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/selfheal-go/selfheal"
	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/examples/orders/shop"
)

// display is a screen that can be read while it is written.
type display struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (d *display) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all.Write(b)
}

func (d *display) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all.String()
}

func TestEverythingHappensAsTold(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	out := &display{}
	t.Cleanup(func() { t.Log("\n" + out.String()) })
	o, err := parse(nil, out)
	require.NoError(t, err)
	o.toRead = 0
	looked := 0
	// The test looks for itself, not only at what the scenes say of themselves.
	o.look = func(s *stage) {
		looked++
		service := s.service
		switch s.scene.letter {
		case "a":
			assert.False(t, service.Queue.Shedding())
			assert.Equal(t, small().Workers, service.Pool.Size())
			assert.NotZero(t, s.customers.shed.Load())
		case "b":
			assert.Zero(t, goroutinesIn("shop.(*Mailer).send("))
		case "c":
			numbers, bytes, err := service.Spool.Receipts()
			assert.NoError(t, err)
			assert.Greater(t, numbers[0], 1)
			assert.Less(t, bytes, int64(small().SpoolLimit<<10))
			entries, err := os.ReadDir(s.dir + "/spool")
			assert.NoError(t, err)
			assert.Len(t, entries, len(numbers)+5, "the foreign ones, one of them a folder")
		case "d":
			assert.Positive(t, service.Pool.Lost())
			assert.Positive(t, service.Parked())
		case "e":
			assert.NoError(t, service.Payment.Ping(t.Context()))
			assert.Equal(t, 1, s.pager.called())
		case "f":
			_, restarts := partnerCounts(s)
			assert.Zero(t, restarts)
			assert.Equal(t, 1, s.pager.called())
		}
		assert.Eventually(t, func() bool { // an order may just be on its way
			return service.Accepted() == service.Served()+service.Parked()
		}, 10*time.Second, 5*time.Millisecond, "no order is lost")
	}
	results, code := o.run(t.Context())

	require.Zero(t, code)
	require.Equal(t, 6, looked)
	// On a starved machine there may be more incidents than the scene's own; the
	// pages are exact.
	type row struct{ incidents, healed, paged int }
	for i, want := range []row{{1, 1, 0}, {1, 1, 0}, {1, 1, 0}, {1, 1, 0}, {1, 0, 1}, {8, 0, 1}} {
		r := results[i]
		require.GreaterOrEqual(t, r.incidents, want.incidents, "scene %s", r.letter)
		require.GreaterOrEqual(t, r.healed, want.healed, "scene %s", r.letter)
		require.Equal(t, want.paged, r.paged, "scene %s", r.letter)
		require.Equal(t, r.incidents-r.paged, r.avoided())
		require.Positive(t, r.detect)
		if want.healed > 0 {
			require.Greater(t, r.heal, r.detect)
		}
	}
	for _, line := range []string{
		"2m → 600ms", "scale-workers: no effect", "undo    shed-load",
		"3. use-standby: failed: the standby refuses", "storm", "Everything happened as told",
	} {
		require.Contains(t, out.String(), line)
	}
	require.NotContains(t, out.String(), "✗")

	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left, "temporary files are cleaned up")
	require.LessOrEqual(t, goroutinesIn("orders/shop."), 1, "nothing runs on but the worker that hangs in its mutex")
}

// A remedy that does nothing must be noticed, and must end in a page.
func TestABrokenRemedyIsNoticed(t *testing.T) {
	for scene, step := range map[string]string{"b": "restart-mailer", "c": "delete-old"} {
		t.Run(step, func(t *testing.T) {
			out := &display{}
			code := run(t.Context(), []string{"-scenes", scene, "-sabotage", step}, out)
			require.Equal(t, 1, code, "%s", out)
			// What grows on may just as well look worse.
			require.Regexp(t, step+": (no effect|worse)", out.String())
			require.Contains(t, out.String(), "a person was called before this")
			require.Contains(t, out.String(), "Not everything happened as told")
		})
	}
}

func TestServeCanBeExplored(t *testing.T) {
	out := &display{}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"-scenes", "", "-serve"}, out) }()
	address := func(pattern string) (found string) {
		require.Eventually(t, func() bool {
			m := regexp.MustCompile(pattern).FindStringSubmatch(out.String())
			if m != nil {
				found = m[1]
			}
			return m != nil
		}, 30*time.Second, 10*time.Millisecond)
		return found
	}
	status, front := address(`(http://\S+)/status`), address(`(http://\S+)/orders`)

	res, err := http.Get(status + "/status")
	require.NoError(t, err)
	defer res.Body.Close()
	var st selfheal.Status
	require.NoError(t, json.NewDecoder(res.Body).Decode(&st))
	require.Len(t, st.Watches, 13)

	require.Equal(t, http.StatusAccepted, post(t, front+"/orders", `{"customer":"you@example.com","cents":990}`))
	require.Equal(t, http.StatusOK, post(t, status+"/break/bad-address", ""))
	require.Equal(t, http.StatusNotFound, post(t, status+"/break/nonsense", ""))
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "restart-mailer: healed") }, 60*time.Second, 10*time.Millisecond)

	interrupt()
	require.Zero(t, <-ended, "%s", out)
}

func post(t *testing.T, url, body string) int {
	res, err := http.Post(url, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	return res.StatusCode
}

func TestFlags(t *testing.T) {
	out := &display{}
	require.Equal(t, 2, run(t.Context(), []string{"-sabotage", "nonsense"}, out))
	require.Equal(t, 2, run(t.Context(), []string{"-scenes", "xyz"}, out))
	require.Equal(t, 2, run(t.Context(), []string{"-nonsense"}, out))
	require.Equal(t, 0, run(t.Context(), []string{"-help"}, out))
}

// What the show shortens, it must say; and its watches must be sound.
func TestThePaceIsSaid(t *testing.T) {
	service := shop.New(small())
	table := strings.Join(shortened(service.Watches(), small()), "\n")
	s := selfheal.New(selfheal.Options{Every: lookEvery, Escalate: escalate.To(newPager())})
	for _, w := range service.Watches() {
		s.Watch(hurry(w))
		for _, step := range w.Playbook.Steps {
			require.Contains(t, table, step.Name+" "+slowFast(step.Settle))
		}
		require.Contains(t, table, slowFast(w.KeepFor))
	}
	require.NoError(t, s.Validate())
	full := selfheal.New(selfheal.Options{Escalate: escalate.To(newPager())})
	full.Watch(service.Watches()...)
	require.NoError(t, full.Validate())
}
