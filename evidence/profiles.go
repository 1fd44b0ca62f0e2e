package evidence

import (
	"context"
	"io"
	"runtime"
	"runtime/pprof"

	"github.com/selfheal-go/selfheal/escalate"
)

// Heap is heap.pb.gz: what was allocated, and what was live at the last garbage
// collection; none is run for it.
func Heap() Part {
	return profilePart("heap", func(*pprof.Profile) error {
		if runtime.MemProfileRate <= 0 {
			return absent("this program has heap profiles off (runtime.MemProfileRate)")
		}
		return nil
	})
}

// Mutex is mutex.pb.gz, of a program that has called
// runtime.SetMutexProfileFraction: no rate is changed here.
func Mutex() Part {
	return profilePart("mutex", func(*pprof.Profile) error {
		if runtime.SetMutexProfileFraction(-1) <= 0 { // reads it
			return absent("this program has mutex profiles off (runtime.SetMutexProfileFraction)")
		}
		return nil
	})
}

// Block is block.pb.gz, of a program that has called runtime.SetBlockProfileRate:
// no rate is changed here.
func Block() Part {
	return profilePart("block", func(p *pprof.Profile) error {
		if p.Count() == 0 { // the rate cannot be read
			return absent("this program has block profiles off (runtime.SetBlockProfileRate), or nothing has waited")
		}
		return nil
	})
}

func profilePart(name string, may func(*pprof.Profile) error) Part {
	return Part{Name: name + ".pb.gz", Type: ProfileType, Write: func(_ context.Context, _ escalate.Incident, w io.Writer) error {
		p := pprof.Lookup(name)
		if p == nil {
			return absent("this version of Go has no profile %q", name)
		}
		if err := may(p); err != nil {
			return err
		}
		return p.WriteTo(w, 0)
	}}
}
