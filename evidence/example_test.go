package evidence_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/selfheal-go/selfheal/escalate"
	"github.com/selfheal-go/selfheal/evidence"
)

// What a service wires, and what a person finds.
func Example() {
	store, err := evidence.OpenStore(evidence.StoreOptions{}) // Dir keeps it across restarts
	if err != nil {
		fmt.Println(err)
		return
	}
	ring := evidence.NewLogRing(nil, evidence.LogRingOptions{}) // nil: your handler
	log := slog.New(ring)
	gatherer := evidence.Default(evidence.Options{
		Store: store, Logs: ring, Time: time.Minute,
		Disable: []string{"system.txt", "build.txt"},
	})

	log.Error("cannot dial", "url", "postgres://app:hunter2@db:5432/orders")
	found, err := gatherer.Gather(context.Background(), escalate.Incident{ID: "inc-7", Watch: "orders/pool", Opened: time.Now()})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(found[0].Name)
	logs, err := store.Open(found[0].Ref + "/logs.jsonl")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer logs.Close()
	text, err := io.ReadAll(logs)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, url, _ := strings.Cut(string(text), `"msg":`)
	fmt.Print(url)
	// Output:
	// bundle of incident.json, logs.jsonl, metrics.txt, goroutine.pb.gz, goroutines.txt, heap.pb.gz
	// "cannot dial","url":"postgres://***@db:5432/orders"}
}

// A part of the application's own, and what happens to one that fails.
func ExamplePart() {
	sessions := evidence.Part{Name: "sessions.txt", Type: evidence.TextType, Write: func(ctx context.Context, in escalate.Incident, w io.Writer) error {
		_, err := fmt.Fprintf(w, "41 sessions in %s\n", in.Finding.Key)
		return err
	}}
	queries := evidence.Part{Name: "queries.txt", Type: evidence.TextType, Write: func(context.Context, escalate.Incident, io.Writer) error {
		return errors.New("the database does not answer")
	}}
	store, err := evidence.OpenStore(evidence.StoreOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	gatherer := evidence.Capture(evidence.Options{Store: store, Parts: []evidence.Part{sessions, queries}})
	in := escalate.Incident{ID: "inc-7", Watch: "orders/sessions"}
	in.Finding.Key = "eu"
	_, err = gatherer.Gather(context.Background(), in)
	fmt.Println("error:", err)
	bundles, err := store.List()
	if err != nil {
		fmt.Println(err)
	}
	for _, f := range bundles[0].Files {
		fmt.Println(f.Name, f.Bytes)
	}
	for _, n := range bundles[0].Notes {
		fmt.Printf("%s: %s\n", n.Part, n.Why)
	}
	// Output:
	// error: evidence: queries.txt: the database does not answer
	// sessions.txt 18
	// queries.txt: the database does not answer
}

// A bundle, or one of its files, behind an address. Ask for authority before this.
func ExampleStore_Open() {
	store, err := evidence.OpenStore(evidence.StoreOptions{Redactor: evidence.NewRedactor("tr0ub4dor")})
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := store.Put(context.Background(), evidence.Bundle{
		Incident: "inc-7", Watch: "orders/pool",
		Files: []evidence.File{{Name: "config.txt", Type: evidence.TextType, Data: []byte("login app / tr0ub4dor\n")}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /evidence/{ref...}", func(w http.ResponseWriter, r *http.Request) {
		c, err := store.Open(r.PathValue("ref"))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			http.Error(w, "it is gone, or never was", http.StatusNotFound)
			return
		case err != nil:
			http.Error(w, "it cannot be read now", http.StatusInternalServerError)
			return
		}
		defer c.Close()
		w.Header().Set("Content-Type", c.Type)
		w.Header().Set("Content-Disposition", "attachment; filename="+c.Name)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, c.Name, c.At, c)
	})
	for _, path := range []string{info.Ref + "/config.txt", "20260301T120000000Z-aaaaaaaaaaaaaaaaaaaaaaaaaa"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "/evidence/"+path, nil))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 login app / ***
	// 404 it is gone, or never was
}

func ExampleNewLogRing() {
	ring := evidence.NewLogRing(slog.DiscardHandler, evidence.LogRingOptions{
		Level: slog.LevelDebug, // what led to a warning, although the log does not have it
	})
	log := slog.New(ring)
	log.Debug("pool", "idle", 0, "waiting", 41)

	store, err := evidence.OpenStore(evidence.StoreOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	gatherer := evidence.Capture(evidence.Options{Store: store, Parts: []evidence.Part{
		evidence.Logs(ring, evidence.LogQuery{Packages: []string{"github.com/selfheal-go/selfheal/evidence_test"}}),
	}})
	found, err := gatherer.Gather(context.Background(), escalate.Incident{ID: "inc-7"})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(found[0].Name)
	// Output: bundle of logs.jsonl
}

func ExampleRecorder() {
	recorder := evidence.NewRecorder(evidence.RecorderOptions{MinAge: 5 * time.Second})
	if err := recorder.Start(); err != nil {
		fmt.Println(err)
		return
	}
	defer recorder.Stop()

	second := evidence.NewRecorder(evidence.RecorderOptions{})
	fmt.Println(errors.Is(second.Start(), evidence.ErrRecording))

	store, err := evidence.OpenStore(evidence.StoreOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	gatherer := evidence.Capture(evidence.Options{Store: store, Time: time.Minute, Parts: []evidence.Part{evidence.Flight(recorder)}})
	found, err := gatherer.Gather(context.Background(), escalate.Incident{ID: "inc-7"})
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(found[0].Name)
	// Output:
	// true
	// bundle of trace.out
}
