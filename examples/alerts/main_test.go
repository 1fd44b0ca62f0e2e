package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestTheWholeChain(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{"step disk-full", "clean: healed", "step slow-replica", "reconnect: no effect", "page slow-replica", "resolve slow-replica", "is refused"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}
