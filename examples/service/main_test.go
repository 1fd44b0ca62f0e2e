package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

// Every pack is wired soundly, orders are taken and paid, and nothing is sick.
func TestTheServiceRunsWithEveryPack(t *testing.T) {
	s, end, err := build()
	if err != nil {
		t.Fatal(err)
	}
	end()
	_ = s

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var out bytes.Buffer
	if err := run(ctx, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"goruntime/", "host/", "disk/", "queue/", "worker/", "sqlpool/", "dependency/"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no watch of %s", want)
		}
	}
	if strings.Contains(out.String(), "invalid") || strings.HasPrefix(out.String(), "0 orders") {
		t.Error(out.String())
	}
	t.Log(out.String())
}
