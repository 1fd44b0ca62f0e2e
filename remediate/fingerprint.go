package remediate

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"time"
)

// Fingerprint identifies the plan: 32 hexadecimal digits over every data field
// of the playbook and its steps, and over which functions are set. An approval
// is bound to it. It is the same in every process of one build; what the
// functions do is not in it, for which reason approvals are bound to the build
// too.
//
// Fields count as they are written: a default that is spelled out is another
// fingerprint than a zero.
func (p Playbook) Fingerprint() string {
	sum := sha256.Sum256(canonical(p))
	return hex.EncodeToString(sum[:16])
}

// canonical encodes a playbook so that two that differ in any field differ in
// their encodings: fixed order, fixed widths, and lengths before what varies.
func canonical(p Playbook) []byte {
	var e encoder
	e.text("selfheal playbook 1")
	e.text(p.Name)
	e.number(int64(len(p.Steps)))
	for _, s := range p.Steps {
		e.step(s)
	}
	l := p.Limits
	e.duration(l.Cooldown)
	e.text(l.Exclusive)
	e.number(int64(l.Breaker.Failures))
	e.duration(l.Breaker.Within)
	e.duration(l.Breaker.OpenFor)
	e.number(int64(l.Heals.N))
	e.duration(l.Heals.Within)
	return e.out
}

func (e *encoder) step(s Step) {
	e.text(s.Name)
	e.flag(s.Run != nil)
	e.flag(s.Undo != nil)
	e.flag(s.Lasting)
	e.text(s.Measure)
	e.flag(s.Verify != nil)
	e.duration(s.Settle)
	e.duration(s.Timeout)
	e.number(int64(s.Retry.Tries))
	e.duration(s.Retry.Initial)
	e.duration(s.Retry.Max)
	e.float(s.Retry.Multiplier)
	e.float(s.Retry.Jitter)
	e.number(int64(s.Scope))
	e.number(int64(s.Risk))
}

type encoder struct{ out []byte }

func (e *encoder) number(n int64)           { e.out = binary.BigEndian.AppendUint64(e.out, uint64(n)) }
func (e *encoder) duration(d time.Duration) { e.number(int64(d)) }
func (e *encoder) float(f float64) {
	e.out = binary.BigEndian.AppendUint64(e.out, math.Float64bits(f))
}

func (e *encoder) text(s string) {
	e.number(int64(len(s)))
	e.out = append(e.out, s...)
}

func (e *encoder) flag(b bool) {
	if b {
		e.out = append(e.out, 1)
		return
	}
	e.out = append(e.out, 0)
}
