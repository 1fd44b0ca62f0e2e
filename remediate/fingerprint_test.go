package remediate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func noop(context.Context, Request) error { return nil }

// fields calls visit with a setter for every leaf field below v, whatever
// types come in the future: the setter changes the field to another value.
func fields(t *testing.T, path string, v reflect.Value, visit func(path string, change func())) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fields(t, path+"."+v.Type().Field(i).Name, v.Field(i), visit)
		}
	case reflect.Slice:
		visit(path+" longer", func() { v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem()))) })
		for i := range v.Len() {
			fields(t, fmt.Sprintf("%s[%d]", path, i), v.Index(i), visit)
		}
	case reflect.String:
		visit(path, func() { v.SetString(v.String() + "x") })
	case reflect.Bool:
		visit(path, func() { v.SetBool(!v.Bool()) })
	case reflect.Int, reflect.Int64:
		visit(path, func() { v.SetInt(v.Int() + 7) })
	case reflect.Uint8:
		visit(path, func() { v.SetUint(v.Uint() + 1) })
	case reflect.Float64:
		visit(path, func() { v.SetFloat(v.Float() + 0.5) })
	case reflect.Func:
		visit(path, func() {
			if v.IsNil() {
				v.Set(reflect.MakeFunc(v.Type(), func([]reflect.Value) []reflect.Value { panic("not called") }))
				return
			}
			v.SetZero()
		})
	default:
		t.Fatalf("%s is a %s: teach this test and the fingerprint about it", path, v.Kind())
	}
}

// changed calls visit once for each field of a playbook, with that one changed.
func changed(t *testing.T, build func() Playbook, visit func(field string, p Playbook)) {
	t.Helper()
	p := build()
	var paths []string
	fields(t, "Playbook", reflect.ValueOf(&p).Elem(), func(path string, _ func()) { paths = append(paths, path) })
	require.Greater(t, len(paths), 20)
	for i, want := range paths {
		q, n := build(), 0
		fields(t, "Playbook", reflect.ValueOf(&q).Elem(), func(path string, change func()) {
			if n == i {
				require.Equal(t, want, path)
				change()
			}
			n++
		})
		visit(want, q)
	}
}

func full() Playbook {
	return Playbook{
		Name: "orders",
		Steps: []Step{
			{Name: "scale", Run: noop, Risk: Safe},
			{
				Name: "shed", Run: noop, Undo: noop, Verify: noop, Measure: "shedding",
				Settle: time.Minute, Timeout: 10 * time.Second, Scope: Host, Risk: Disruptive,
				Retry: Backoff{Tries: 3, Initial: time.Second, Max: 5 * time.Second, Multiplier: 1.5, Jitter: 0.25},
			},
		},
		Limits: Limits{
			Cooldown: time.Minute, Exclusive: "db",
			Breaker: Breaker{Failures: 2, Within: time.Hour, OpenFor: time.Minute}, Heals: Heals{N: 4, Within: time.Hour},
		},
	}
}

func TestFingerprintCoversEveryField(t *testing.T) {
	for name, build := range map[string]func() Playbook{
		"full":  full,
		"empty": func() Playbook { return Ladder(Step{}) },
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]string{build().Fingerprint(): "unchanged"}
			changed(t, build, func(field string, p Playbook) {
				f := p.Fingerprint()
				require.Len(t, f, 32)
				require.Empty(t, seen[f], "%s gives the same fingerprint", field)
				seen[f] = field
			})
		})
	}
}

func TestFingerprintIsStable(t *testing.T) {
	other := full()
	other.Steps[0].Run = func(context.Context, Request) error { return ErrSkip }
	require.Equal(t, full().Fingerprint(), other.Fingerprint(), "what a function does is not in it")
	require.Equal(t, "0656113ba3459998f90711f0e14ecdb9", full().Fingerprint())
	require.Equal(t, "cd7a6481082ebfe4483337803772c9fd", Playbook{}.Fingerprint())
}

func TestFingerprintKeepsFieldsApart(t *testing.T) {
	require.NotEqual(t,
		Ladder(Step{Name: "ab", Measure: "c"}).Fingerprint(),
		Ladder(Step{Name: "a", Measure: "bc"}).Fingerprint())
	require.NotEqual(t,
		Playbook{Name: "x", Steps: []Step{{Name: "a"}, {Name: "b"}}}.Fingerprint(),
		Playbook{Name: "x", Steps: []Step{{Name: "b"}, {Name: "a"}}}.Fingerprint())
	require.NotEqual(t, Ladder(Step{}).Fingerprint(), Ladder(Step{Risk: Disruptive}).Fingerprint(), "as it is written")
}

// decode reads what canonical wrote: an encoding that can be read back is
// injective.
func decode(in []byte) (p Playbook, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("short")
		}
	}()
	u64 := func() uint64 { n := binary.BigEndian.Uint64(in); in = in[8:]; return n }
	num := func() int { return int(u64()) }
	dur := func() time.Duration { return time.Duration(u64()) }
	text := func() string { n := num(); s := string(in[:n]); in = in[n:]; return s }
	flag := func() bool { b := in[0] == 1; in = in[1:]; return b }
	action := func() Action {
		if flag() {
			return noop
		}
		return nil
	}
	if text() != "selfheal playbook 1" {
		return p, errors.New("no header")
	}
	p.Name = text()
	for range num() {
		p.Steps = append(p.Steps, Step{
			Name: text(), Run: action(), Undo: action(), Lasting: flag(), Measure: text(), Verify: action(), Settle: dur(), Timeout: dur(),
			Retry: Backoff{Tries: num(), Initial: dur(), Max: dur(), Multiplier: math.Float64frombits(u64()), Jitter: math.Float64frombits(u64())},
			Scope: Scope(u64()), Risk: Risk(u64()),
		})
	}
	p.Limits = Limits{Cooldown: dur(), Exclusive: text(), Breaker: Breaker{Failures: num(), Within: dur(), OpenFor: dur()}, Heals: Heals{N: num(), Within: dur()}}
	if len(in) > 0 {
		return p, errors.New("rest")
	}
	return p, nil
}

func FuzzFingerprint(f *testing.F) {
	f.Add("orders", "scale", "shed", "db", int64(7), int64(-1), 1.5, uint16(0b1011))
	f.Add("", "", "", "", int64(0), int64(0), 0.0, uint16(0))
	f.Add("\x00", "a\x00\x00\x00\x00\x00\x00\x00\x01b", "b", "", int64(1), int64(1<<62), math.Inf(1), uint16(0xffff))
	f.Fuzz(func(t *testing.T, name, a, b, other string, n, m int64, x float64, bits uint16) {
		set := func(bit int) bool { return bits>>bit&1 == 1 }
		action := func(bit int) Action {
			if set(bit) {
				return noop
			}
			return nil
		}
		step := func(name, measure string, shift int) Step {
			return Step{
				Name: name, Measure: measure, Run: action(shift), Undo: action(shift + 1), Verify: action(shift + 2), Lasting: set(shift + 3),
				Settle: time.Duration(n), Timeout: time.Duration(m), Scope: Scope(n), Risk: Risk(m),
				Retry: Backoff{Tries: int(m), Initial: time.Duration(n), Max: time.Duration(m), Multiplier: x, Jitter: -x},
			}
		}
		p := Playbook{Name: name, Limits: Limits{
			Cooldown: time.Duration(m), Exclusive: other, Breaker: Breaker{Failures: int(n), Within: time.Duration(m), OpenFor: time.Duration(n)},
			Heals: Heals{N: int(m), Within: time.Duration(n)},
		}}
		if set(14) {
			p.Steps = append(p.Steps, step(a, b, 0))
		}
		if set(15) {
			p.Steps = append(p.Steps, step(b, a, 4))
		}
		q, err := decode(canonical(p))
		require.NoError(t, err)
		// %#v shows NaN as equal to itself; functions differ as set and not set.
		require.Equal(t, printed(p), printed(q))
		require.Equal(t, p.Fingerprint(), q.Fingerprint())
	})
}

func printed(p Playbook) string {
	s := fmt.Sprintf("%q %+v", p.Name, p.Limits.Effective())
	for _, st := range p.Steps {
		set := [3]bool{st.Run != nil, st.Undo != nil, st.Verify != nil}
		st.Run, st.Undo, st.Verify = nil, nil, nil
		s += fmt.Sprintf("|%v %#v", set, st)
	}
	return s + fmt.Sprintf("%#v", p.Limits)
}

func BenchmarkFingerprint(b *testing.B) {
	p := full()
	b.ReportAllocs()
	for b.Loop() {
		p.Fingerprint()
	}
}
