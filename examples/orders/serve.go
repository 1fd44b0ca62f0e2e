package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// explore keeps the service running until ctx ends. It has the same watches at the
// same pace; faults are caused and mended over HTTP.
func (o *options) explore(ctx context.Context) bool {
	sc := &scene{
		letter: "–", title: "The service is yours", rush: true,
		gauge: func(s *stage) string {
			depth, _ := s.service.Queue.Depth(s.ctx)
			return fmt.Sprintf("waiting %d  served %d  set aside %d", depth, s.service.Served(), s.service.Parked())
		},
	}
	o.screen.title(sc)
	s, err := newStage(ctx, o, sc)
	if err == nil {
		err = errors.Join(s.serve(ctx), s.close())
	}
	if err != nil {
		o.screen.print("orders: " + err.Error())
	}
	return err == nil
}

// serve waits for ctrl-C.
func (s *stage) serve(ctx context.Context) error {
	control, err := s.open(s.control())
	if err != nil {
		return err
	}
	s.instructions(control.url)
	<-ctx.Done()
	s.screen.print("", "Ending.")
	return nil
}

func (s *stage) instructions(control string) {
	var names []string
	for _, f := range faults() {
		names = append(names, f.name)
	}
	s.screen.print(
		"   status, as JSON   curl "+control+"/status",
		"   an order          curl -d '{\"customer\":\"you@example.com\",\"cents\":990}' "+s.front.url+"/orders",
		"   a fault           curl -X POST "+control+"/break/NAME",
		"   and its end       curl -X POST "+control+"/mend/NAME",
		"   where NAME is     "+strings.Join(names, ", "),
		"",
		"   Here all faults meet one supervisor, so its rails will hold: try one twice, or four in a row. Ctrl-C ends it.",
		"",
	)
}

// control is the console of the supervisor, and the switches of the faults.
func (s *stage) control() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /status", s.sup.Handler())
	mux.HandleFunc("POST /break/{name}", func(w http.ResponseWriter, r *http.Request) {
		f, ok := findFault(r.PathValue("name"))
		if !ok {
			http.Error(w, "there is no such fault", http.StatusNotFound)
			return
		}
		s.screen.world(s, "FAULT", f.says)
		if err := f.cause(r.Context(), s); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, f.says)
	})
	mux.HandleFunc("POST /mend/{name}", func(w http.ResponseWriter, r *http.Request) {
		f, ok := findFault(r.PathValue("name"))
		if !ok || f.mend == nil {
			http.Error(w, "there is no such fault, or only healing ends it", http.StatusNotFound)
			return
		}
		s.mend(f.name)
		fmt.Fprintln(w, f.mended)
	})
	return mux
}
